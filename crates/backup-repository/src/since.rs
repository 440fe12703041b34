//! How long ago something was, also when the machine slept in between.

use std::time::Duration;

use backup_core::port::Clock;
use jiff::Timestamp;

/// An instant on both clocks: the monotonic one may stand still while a machine is suspended,
/// the wall clock may be set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    elapsed: Duration,
    wall: Timestamp,
}

impl Since {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { elapsed: clock.elapsed(), wall: clock.now() }
    }

    /// Returns whether this was before `other`, by the monotonic clock.
    pub(crate) fn is_before(self, other: Self) -> bool {
        self.elapsed < other.elapsed
    }

    /// Returns the longer of what the two clocks say has passed.
    pub(crate) fn passed(self, clock: &dyn Clock) -> Duration {
        let wall = Duration::try_from(clock.now().duration_since(self.wall)).unwrap_or_default();
        clock.elapsed().saturating_sub(self.elapsed).max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_testkit::FakeClock;

    #[test]
    fn either_clock_counts() {
        let clock = FakeClock::default();
        let since = Since::now(&clock);
        clock.skew(jiff::SignedDuration::from_hours(5));
        assert_eq!(since.passed(&clock).as_secs(), 5 * 3600);
        clock.skew(jiff::SignedDuration::from_hours(-5));
        clock.advance(Duration::from_secs(60));
        assert_eq!(since.passed(&clock).as_secs(), 60);
    }
}
