//! A ceiling on bytes per second, shared by all readers.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// A token bucket that may be overdrawn: who takes too much waits until the debt is paid.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Bytes per second; none means no ceiling.
    rate: Option<u64>,
    /// When everything taken so far will be paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// Creates a bucket that lets `rate` bytes through per second.
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), paid_at: Mutex::new(None) }
    }

    /// Waits until `bytes` more may pass.
    pub(crate) async fn take(&self, bytes: usize) {
        if let Some(until) = self.charge(bytes, Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }

    fn charge(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let mut paid_at = self.paid_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let until = paid_at.map_or(now, |paid_at| paid_at.max(now)) + cost;
        *paid_at = Some(until);
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_readers_share_one_ceiling() {
        let limit = RateLimit::new(Some(1_000_000));
        let start = Instant::now();
        futures::future::join_all((0..4).map(|_| async {
            for _ in 0..10 {
                limit.take(50_000).await;
            }
        }))
        .await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((1.95..2.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_ceiling_does_not_wait() {
        let limit = RateLimit::new(None);
        let start = Instant::now();
        limit.take(usize::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
