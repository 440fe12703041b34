//! How fast bases are read: on a far store they may cost more than they save.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backup_core::port::Clock;

/// After this many bytes of bases their rate is known well enough to judge.
const SAMPLE: u64 = 8 << 20;
/// Slower than this, in bytes per second, bases cost more than they save.
const FLOOR: f64 = 25e6;

/// The rate of one snapshot's base reads, whoever reads them.
#[derive(Debug)]
pub(crate) struct BaseRate {
    clock: Arc<dyn Clock>,
    /// Bases are near without measuring.
    near: bool,
    bytes: AtomicU64,
    nanos: AtomicU64,
    slow: AtomicBool,
}

impl BaseRate {
    pub(crate) fn new(clock: Arc<dyn Clock>, near: bool) -> Self {
        let (bytes, nanos) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { clock, near, bytes, nanos, slow: AtomicBool::new(false) }
    }

    /// Returns the moment at which a read begins.
    pub(crate) fn begin(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Counts a read that began then and fetched so many bytes.
    pub(crate) fn end(&self, began: Duration, fetched: u64) {
        let took = self.clock.elapsed().saturating_sub(began);
        let bytes = self.bytes.fetch_add(fetched, Ordering::Relaxed) + fetched;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let nanos = self.nanos.fetch_add(nanos, Ordering::Relaxed) + nanos;
        let slow = (bytes as f64) < FLOOR * nanos as f64 / 1e9;
        if !self.near && bytes >= SAMPLE && slow {
            self.slow.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether bases cost more than they save; once so, for the rest of the snapshot.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }
}
