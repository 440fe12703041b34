//! How long an expression can be silent.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Cron;

/// Matches looked at: more than a year of weekdays, and eight years of months.
const LOOKED_AT: usize = 400;

impl Cron {
    /// Returns the longest time between two matches that follow each other, looking at some
    /// hundred of them; zero when it matches once at most.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        let mut longest = Duration::ZERO;
        // Any instant does; a fixed one makes it the same every time.
        let mut before = Timestamp::from_second(1_767_225_600).ok();
        before = before.and_then(|start| self.next(start, &TimeZone::UTC));
        for _ in 0..LOOKED_AT {
            let Some(at) = before else { break };
            before = self.next(at, &TimeZone::UTC);
            let pause = before.map(|next| next.duration_since(at)).unwrap_or_default();
            longest = longest.max(Duration::try_from(pause).unwrap_or_default());
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts() {
        let hours = |text: &str| text.parse::<Cron>().unwrap().longest_pause().as_secs() / 3600;
        assert_eq!(hours("0 5 * * *"), 24);
        assert_eq!(hours("@weekly"), 7 * 24);
        assert_eq!(hours("0 5 * * mon-fri"), 3 * 24);
        assert_eq!(hours("0 5 1 * *"), 31 * 24);
        assert_eq!(hours("*/5 8-17 * * *"), 14);
    }
}
