//! What a vendor says about its limit on requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backup_core::port::RateFacts;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The newest word on the limit.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<RateFacts>);

impl Rate {
    fn facts_mut(&self) -> MutexGuard<'_, RateFacts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts(&self) -> RateFacts {
        *self.facts_mut()
    }

    /// Counts a request.
    pub(crate) fn sent(&self) {
        self.facts_mut().requests += 1;
    }

    /// Reads what an answer says.
    pub(crate) fn heard(&self, headers: &HeaderMap, throttled: bool, now: Timestamp) {
        let mut facts = self.facts_mut();
        facts.throttled += u64::from(throttled);
        let limit = number(headers, "limit");
        let remaining = number(headers, "remaining");
        if limit.is_none() && remaining.is_none() {
            return;
        }
        (facts.limit, facts.remaining) = (limit, remaining);
        facts.resets_at = number(headers, "reset").and_then(|reset| moment(reset, now));
    }

    /// Returns how long to wait so that the next request is not one too many.
    pub(crate) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let facts = self.facts_mut();
        let resets = facts.resets_at.filter(|_| facts.remaining == Some(0))?;
        Duration::try_from(resets.duration_since(now)).ok().filter(|pause| !pause.is_zero())
    }
}

fn number(headers: &HeaderMap, what: &str) -> Option<u64> {
    let name = |prefix: &str| headers.get(format!("{prefix}{what}"))?.to_str().ok();
    let text = name("x-ratelimit-").or_else(|| name("ratelimit-"))?;
    text.trim()
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite() && *value >= 0.0)
        .map(|value| value as u64)
}

/// A reset is told in seconds from now, or as a moment in seconds or milliseconds.
fn moment(reset: u64, now: Timestamp) -> Option<Timestamp> {
    const YEARS: u64 = 100_000_000;
    let number = i64::try_from(reset).ok()?;
    match reset {
        0..YEARS => now.checked_add(jiff::SignedDuration::from_secs(number)).ok(),
        YEARS..100_000_000_000 => Timestamp::from_second(number).ok(),
        _ => Timestamp::from_millisecond(number).ok(),
    }
}

/// Reads `Retry-After`, in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_limit_is_kept_and_heeded() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let rate = Rate::default();
        assert_eq!(rate.pause(now), None);
        rate.heard(
            &headers(&[
                ("x-ratelimit-limit", "120"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "42"),
            ]),
            false,
            now,
        );
        assert_eq!(rate.pause(now), Some(Duration::from_secs(42)));
        assert_eq!(rate.facts().limit, Some(120));
        rate.heard(&headers(&[]), true, now);
        assert_eq!((rate.facts().throttled, rate.facts().remaining), (1, Some(0)));
        rate.heard(&headers(&[("ratelimit-remaining", "7")]), false, now);
        assert_eq!(rate.pause(now), None);
    }

    #[test]
    fn a_reset_is_a_time_to_wait_or_a_moment() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = "2026-01-01T00:01:00Z".parse::<Timestamp>().unwrap();
        for reset in [60, 1_767_225_660, 1_767_225_660_000] {
            assert_eq!(moment(reset, now), Some(later));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let wait = |text| retry_after(&headers(&[("retry-after", text)]), now);
        assert_eq!(wait("30"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Thu, 01 Jan 2026 00:00:10 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Wed, 31 Dec 2025 00:00:10 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
