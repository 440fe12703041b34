//! A clock that runs as fast as any other, from another instant.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::port::Clock;
use jiff::{SignedDuration, Timestamp};

/// A clock that showed `from` when it was made.
#[derive(Debug)]
pub(crate) struct MovedClock {
    from: Timestamp,
    made: Instant,
}

impl MovedClock {
    pub(crate) fn new(from: Timestamp) -> Self {
        Self { from, made: Instant::now() }
    }
}

#[async_trait]
impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        self.from + SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::ZERO)
    }

    fn elapsed(&self) -> Duration {
        self.made.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
