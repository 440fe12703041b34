//! Who hears what, and how patiently.

use std::time::Duration;

use crate::alert::{Destination, Route};

/// How alerts are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertPolicy {
    /// The channels, by name.
    pub channels: Vec<ChannelPolicy>,
    /// The pause after the first failed delivery; it doubles from one to the next.
    pub first_pause: Duration,
    /// The longest pause between deliveries; they are tried for ever.
    pub max_pause: Duration,
    /// A channel that takes nothing for so long is a problem of its own.
    pub deaf_after: Duration,
    /// Good news that waits for longer is no news.
    pub news_expires: Duration,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPolicy {
    /// Its name; deliveries that wait find it again by that after a restart.
    pub name: String,
    /// What it wants to hear.
    pub route: Route,
    /// After how long it is reminded of a problem that is still there; absent: never.
    pub remind_after: Option<Duration>,
}

impl Default for AlertPolicy {
    /// No channel; pauses from 30 s to 15 min; deaf after 10 min; news of a day.
    fn default() -> Self {
        Self {
            channels: Vec::new(),
            first_pause: Duration::from_secs(30),
            max_pause: Duration::from_secs(15 * 60),
            deaf_after: Duration::from_secs(10 * 60),
            news_expires: Duration::from_secs(24 * 3600),
        }
    }
}

impl AlertPolicy {
    /// Returns the usual policy for these destinations.
    #[must_use]
    pub fn of(destinations: &[Destination]) -> Self {
        let channel = |destination: &Destination| ChannelPolicy {
            name: destination.channel.clone(),
            route: destination.route.clone(),
            remind_after: destination.remind_after,
        };
        Self { channels: destinations.iter().map(channel).collect(), ..Self::default() }
    }
}

impl ChannelPolicy {
    /// How long until a problem that is still there is told again, unless somebody says
    /// otherwise.
    pub const REMIND_AFTER: Duration = Duration::from_secs(24 * 3600);
}
