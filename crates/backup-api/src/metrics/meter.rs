//! Requests, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

use super::families::{AUDIT_FAILURES, HTTP_DURATION, HTTP_REQUESTS};
use super::text::Page;

/// Seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counts requests by operation and status, and how long they took.
#[derive(Default)]
pub(crate) struct Meter(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: BTreeMap<(&'static str, u16), u64>,
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl Meter {
    pub(crate) fn count(&self, operation: &'static str, status: StatusCode, took: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry((operation, status.as_u16())).or_default() += 1;
        let seconds = took.as_secs_f64();
        counts.count += 1;
        counts.seconds += seconds;
        for (bucket, bound) in counts.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    pub(crate) fn write(&self, page: &mut Page, audit_failures: u64) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((operation, status), count) in &counts.requests {
            let labels = [("operation", *operation), ("status", &status.to_string())];
            page.add(&HTTP_REQUESTS, &labels, *count as f64);
        }
        for (bucket, bound) in counts.buckets.iter().zip(BOUNDS) {
            let bound = bound.to_string();
            page.add_suffixed(&HTTP_DURATION, "_bucket", &[("le", &bound)], *bucket as f64);
        }
        let count = counts.count as f64;
        page.add_suffixed(&HTTP_DURATION, "_bucket", &[("le", "+Inf")], count);
        page.add_suffixed(&HTTP_DURATION, "_sum", &[], counts.seconds);
        page.add_suffixed(&HTTP_DURATION, "_count", &[], count);
        page.add(&AUDIT_FAILURES, &[], audit_failures as f64);
    }
}
