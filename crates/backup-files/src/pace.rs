//! A ceiling on bytes per second.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Holds those who use it to a rate, all together.
pub(crate) struct Pace {
    rate: Option<u64>,
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), free_at: Mutex::new(None) }
    }

    /// Waits as long as so many bytes take.
    pub(crate) async fn passed(&self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let until = {
            let Ok(mut free_at) = self.free_at.lock() else { return };
            let begin = free_at.map_or(now, |at| at.max(now));
            let until = begin + Duration::from_secs_f64(bytes as f64 / rate as f64);
            *free_at = Some(until);
            until
        };
        tokio::time::sleep_until(until).await;
    }
}
