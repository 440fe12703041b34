//! Bandwidth.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A token bucket shared by all requests in one direction; holds a tenth of a second.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// `None` is unlimited.
    bucket: Option<Arc<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    rate: NonZeroU64,
    /// When all bytes granted so far have had their time.
    busy_until: Mutex<Instant>,
}

const BURST: Duration = Duration::from_millis(100);
const LARGEST_PIECE: usize = 256 << 10;
const SMALLEST_PIECE: u64 = 1 << 10;

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        let bucket = |rate| Arc::new(Bucket { rate, busy_until: Mutex::new(Instant::now()) });
        Self { bucket: rate.map(bucket) }
    }

    /// Returns how many bytes to send at once so that the flow is even.
    pub(crate) fn piece(&self) -> usize {
        self.bucket.as_ref().map_or(LARGEST_PIECE, |bucket| {
            let tenth = (bucket.rate.get() / 10).max(SMALLEST_PIECE);
            usize::try_from(tenth).unwrap_or(LARGEST_PIECE).min(LARGEST_PIECE)
        })
    }

    /// Waits until `bytes` may go.
    pub(crate) async fn take(&self, bytes: u64) {
        let Some(bucket) = &self.bucket else { return };
        let start = bucket.reserve(bytes);
        tokio::time::sleep_until(start).await;
    }
}

impl Bucket {
    /// Books the line for `bytes`; returns when they may go.
    fn reserve(&self, bytes: u64) -> Instant {
        let seconds = bytes as f64 / self.rate.get() as f64;
        let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4);
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // An idle line has saved up at most one burst.
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let start = (*busy_until).max(earliest);
        *busy_until = start + time;
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_takers_share_one_rate() {
        let pace = Pace::new(NonZeroU64::new(1_000_000));
        let started = Instant::now();
        let takers = (0..10).map(|_| {
            let pace = pace.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    pace.take(100_000).await;
                }
            })
        });
        for taker in takers.collect::<Vec<_>>() {
            taker.await.unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        assert!((9.7..=10.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_rate_is_no_wait() {
        let started = Instant::now();
        Pace::new(None).take(u64::MAX).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[test]
    fn pieces_are_a_tenth_of_a_second() {
        assert_eq!(Pace::new(NonZeroU64::new(100_000)).piece(), 10_000);
        assert_eq!(Pace::new(NonZeroU64::new(10)).piece(), 1024);
        assert_eq!(Pace::new(None).piece(), LARGEST_PIECE);
    }
}
