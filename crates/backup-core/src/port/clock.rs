//! Time.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the wall clock: for naming and showing, never for measuring.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed instant; never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}
