//! How often somebody may ask: a bucket that fills with time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many addresses are remembered; beyond, those that have been quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// Buckets by address.
#[derive(Debug)]
pub(crate) struct Rate {
    a_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Rate {
    pub(crate) fn new(a_second: f64, burst: f64) -> Self {
        Self { a_second, burst, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one; `Err` is how long to wait for the next. `now` never goes back.
    pub(crate) fn take(&self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        self.change(address, now, |left| {
            if left >= 1.0 {
                return (left - 1.0, Ok(()));
            }
            let wait = (1.0 - left) / self.a_second.max(1e-6);
            (left, Err(Duration::from_secs_f64(wait.min(3600.0))))
        })
    }

    /// Returns whether one could be taken; takes none.
    pub(crate) fn allows(&self, address: IpAddr, now: Duration) -> bool {
        self.change(address, now, |left| (left, left >= 1.0))
    }

    fn change<T>(&self, address: IpAddr, now: Duration, step: impl FnOnce(f64) -> (f64, T)) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |bucket: &Bucket| {
            let since = now.saturating_sub(bucket.at).as_secs_f64();
            (bucket.left + since * self.a_second).min(self.burst)
        };
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| filled(bucket) < self.burst);
        }
        if buckets.len() >= REMEMBERED {
            // An attack from everywhere: start over rather than grow.
            buckets.clear();
        }
        let bucket =
            buckets.entry(network(address)).or_insert(Bucket { left: self.burst, at: now });
        let (left, result) = step(filled(bucket));
        *bucket = Bucket { left, at: now };
        result
    }
}

/// One who has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_each_for_itself() {
        let rate = Rate::new(2.0, 3.0);
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let at = Duration::from_millis;
        for _ in 0..3 {
            assert!(rate.take(one, at(0)).is_ok());
        }
        assert_eq!(rate.take(one, at(0)), Err(at(500)));
        assert!(rate.take(two, at(0)).is_ok());
        assert!(rate.take(one, at(499)).is_err());
        assert!(rate.take(one, at(500)).is_ok());
        assert!(!rate.allows(one, at(600)));
        assert!(rate.allows(one, at(1100)));
    }

    #[test]
    fn an_ipv6_network_is_one_and_memory_is_bounded() {
        let rate = Rate::new(1.0, 1.0);
        assert!(rate.take("2001:db8::1".parse().unwrap(), Duration::ZERO).is_ok());
        assert!(rate.take("2001:db8::2".parse().unwrap(), Duration::ZERO).is_err());
        for number in 0..30_000_u32 {
            let _ = rate.take(IpAddr::V4(number.into()), Duration::ZERO);
        }
        assert!(rate.buckets.lock().unwrap().len() <= REMEMBERED);
    }
}
