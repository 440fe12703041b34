//! Time that tests control.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::sync::lock;

/// A clock that moves only when told to, or, when made with [`FakeClock::new`], also when
/// somebody sleeps.
#[derive(Debug)]
pub struct FakeClock {
    start: Timestamp,
    state: Mutex<State>,
    moved: Notify,
    jumps_on_sleep: bool,
}

#[derive(Debug, Default)]
struct State {
    elapsed: Duration,
    skew: SignedDuration,
    slept: Duration,
}

impl FakeClock {
    /// Creates a clock on which sleeping takes no real time: it moves the clock and returns.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { start, state: Mutex::default(), moved: Notify::new(), jumps_on_sleep: true }
    }

    /// Creates a clock whose sleepers wait until [`FakeClock::advance`] takes it far enough.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self { jumps_on_sleep: false, ..Self::new(start) }
    }

    /// Moves time forward and wakes whoever has slept enough.
    pub fn advance(&self, duration: Duration) {
        lock(&self.state).elapsed += duration;
        self.moved.notify_waiters();
    }

    /// Sets the wall clock off by `skew`, as a wrong clock or an administrator would; the
    /// monotonic time does not change.
    pub fn skew(&self, skew: SignedDuration) {
        lock(&self.state).skew = skew;
    }

    /// Returns how long everybody has asked to sleep, together.
    #[must_use]
    pub fn slept(&self) -> Duration {
        lock(&self.state).slept
    }
}

impl Default for FakeClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_225_600, 0))
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let state = lock(&self.state);
        let passed = SignedDuration::try_from(state.elapsed).unwrap_or(SignedDuration::MAX);
        self.start.saturating_add(passed.saturating_add(state.skew)).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        lock(&self.state).elapsed
    }

    async fn sleep(&self, duration: Duration) {
        let until = {
            let mut state = lock(&self.state);
            state.slept += duration;
            state.elapsed + duration
        };
        if self.jumps_on_sleep {
            self.advance(duration);
            tokio::task::yield_now().await;
            return;
        }
        loop {
            let moved = self.moved.notified();
            if self.elapsed() >= until {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn sleeping_moves_the_clock() {
        let clock = FakeClock::default();
        clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
        clock.skew(SignedDuration::from_hours(-1));
        assert_eq!(clock.now().to_string(), "2025-12-31T23:01:30Z");
        assert_eq!(clock.slept(), Duration::from_secs(90));
    }

    #[tokio::test]
    async fn manual_sleepers_wait() {
        let clock = Arc::new(FakeClock::manual(Timestamp::UNIX_EPOCH));
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }
}
