//! How often and how soon a failed job is tried again.

use std::time::Duration;

use crate::jitter;

/// Attempts for one due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// How long to wait after the first failure; twice as long after each further one.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Default for Retry {
    /// Five attempts: at once, then after 1, 2, 4 and 8 minutes.
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_secs(60), most: Duration::from_secs(30 * 60) }
    }
}

impl Retry {
    /// Returns how long to wait after so many failures in a row, up to a quarter longer by `name`
    /// so that many jobs do not come back at once; `None` when that were enough.
    #[must_use]
    pub fn delay(&self, failures: u32, name: &str) -> Option<Duration> {
        if failures == 0 || failures >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures - 1));
        let delay = doubled.min(self.most);
        Some(delay + jitter(name, delay / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_most_and_ends() {
        let retry =
            Retry { attempts: 5, first: Duration::from_secs(60), most: Duration::from_secs(200) };
        let waits: Vec<_> =
            (0..7).map(|failures| retry.delay(failures, "x").map(|wait| wait.as_secs())).collect();
        assert_eq!(waits[0], None);
        for (wait, least) in waits[1..5].iter().zip([60, 120, 200, 200]) {
            let wait = wait.unwrap();
            assert!((least..=least + least / 4).contains(&wait), "{wait} for {least}");
        }
        assert_eq!(waits[5..], [None, None]);
    }
}
