//! What holds for one vendor.

use std::time::Duration;

/// A vendor's name and habits.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The vendor, for people.
    pub vendor: &'static str,
    /// Answers by which the vendor says that a request was *not* executed, so that a change may
    /// be tried again. 429 always is one.
    pub unexecuted: &'static [u16],
    /// Of those, what means "another operation is running": waited for longer than an error.
    pub busy: &'static [u16],
    /// Where its page in the documentation says which permissions a token needs.
    pub page: &'static str,
    /// How patiently it is called.
    pub patience: Patience,
}

impl Rules {
    /// Returns the rules of a vendor that says nothing more about itself.
    #[must_use]
    pub fn new(vendor: &'static str) -> Self {
        Self {
            vendor,
            unexecuted: &[423, 429],
            busy: &[423],
            page: "docs/providers",
            patience: Patience::default(),
        }
    }
}

/// How long, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long one attempt may take, the answer included.
    pub timeout: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// The pause after the first failed attempt; it doubles from one to the next.
    pub first_pause: Duration,
    /// The longest pause of our own making.
    pub max_pause: Duration,
    /// The longest pause that a vendor may ask for; beyond it the call fails instead.
    pub longest_wait: Duration,
    /// How long a vendor may be busy with other operations.
    pub busy_for: Duration,
}

impl Default for Patience {
    /// 30 s an attempt, 5 attempts, pauses from 250 ms to 10 s, at most 2 min when asked to wait,
    /// 10 min while other operations run.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            attempts: 5,
            first_pause: Duration::from_millis(250),
            max_pause: Duration::from_secs(10),
            longest_wait: Duration::from_secs(120),
            busy_for: Duration::from_secs(600),
        }
    }
}
