//! A ceiling on bytes per second, shared by all readers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets so many bytes through per second; whoever takes too much waits until the debt is paid.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: Option<u64>,
    paid_at: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// No ceiling without a rate.
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), paid_at: Mutex::new(None) }
    }

    /// Waits until `bytes` more may pass.
    pub(crate) async fn take(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let until = {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let until = paid_at.map_or(now, |paid_at| paid_at.max(now)) + cost;
            *paid_at = Some(until);
            until
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_readers_share_one_ceiling() {
        let limit = RateLimit::new(Some(1_000_000));
        let start = Instant::now();
        futures::future::join_all((0..4).map(|_| limit.take(500_000))).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((1.95..2.1).contains(&seconds), "{seconds}");
    }
}
