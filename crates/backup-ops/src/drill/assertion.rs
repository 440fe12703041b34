//! Questions of a person's own: a statement and what it should return.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// One statement with what its first value must be; all that is stated must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assertion {
    /// What it is about.
    pub name: String,
    /// The statement; it may only read.
    pub sql: String,
    /// The value, as text, or as a number where both are.
    pub equals: Option<String>,
    /// How far a number may be from `equals`.
    pub tolerance: f64,
    /// The least number.
    pub at_least: Option<f64>,
    /// The greatest number.
    pub at_most: Option<f64>,
    /// How long before the snapshot's instant the time that is returned may lie.
    pub younger_than: Option<Duration>,
}

impl Assertion {
    /// Judges what the statement returned. `Ok` says what was found, `Err` what is wrong.
    pub fn judge(&self, value: Option<&str>, data_from: Timestamp) -> Result<String, String> {
        let Some(value) = value else {
            return Err("nothing was returned (no row, or NULL)".into());
        };
        if let Some(wanted) = &self.equals {
            let close = match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(found), Ok(wanted)) if self.tolerance > 0.0 => {
                    (found - wanted).abs() <= self.tolerance
                }
                _ => same(value, wanted),
            };
            if !close {
                let about = if self.tolerance > 0.0 {
                    format!(" within {}", self.tolerance)
                } else {
                    String::new()
                };
                return Err(format!("{value}, not {wanted}{about}"));
            }
        }
        if self.at_least.is_some() || self.at_most.is_some() {
            let found: f64 = value.parse().map_err(|_| format!("'{value}' is no number"))?;
            if let Some(least) = self.at_least.filter(|least| found.is_nan() || found < *least) {
                return Err(format!("{value}, less than {least}"));
            }
            if let Some(most) = self.at_most.filter(|most| found.is_nan() || found > *most) {
                return Err(format!("{value}, more than {most}"));
            }
        }
        if let Some(limit) = self.younger_than {
            return younger(value, limit, data_from);
        }
        Ok(value.to_owned())
    }

    /// Returns whether anything is asserted at all.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.equals.is_some()
            || self.at_least.is_some()
            || self.at_most.is_some()
            || self.younger_than.is_some()
    }
}

/// The same text, or whole numbers that differ only in how they are written.
fn same(value: &str, wanted: &str) -> bool {
    value == wanted
        || matches!((value.parse::<i128>(), wanted.parse::<i128>()), (Ok(a), Ok(b)) if a == b)
        || (matches!(value, "t" | "f") && matches!((value, wanted), ("t", "true") | ("f", "false")))
}

fn younger(value: &str, limit: Duration, data_from: Timestamp) -> Result<String, String> {
    let at = time(value).ok_or_else(|| format!("'{value}' is no time"))?;
    let age = Duration::try_from(data_from.duration_since(at)).unwrap_or(Duration::ZERO);
    if age <= limit {
        return Ok(format!("{value}, {} s before the snapshot", age.as_secs()));
    }
    Err(format!(
        "{value} is {} s older than the snapshot, at most {} s were allowed",
        age.as_secs(),
        limit.as_secs()
    ))
}

/// Reads a time as PostgreSQL prints it in UTC, or as RFC 3339.
fn time(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let plain = text.strip_suffix("+00").unwrap_or(text);
    let civil = plain.parse::<DateTime>().ok().or_else(|| {
        let date: Date = plain.parse().ok()?;
        Some(date.at(0, 0, 0, 0))
    })?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(assertion: &Assertion, value: &str) -> bool {
        let instant = "2026-01-02T00:00:00Z".parse().unwrap();
        assertion.judge(Some(value), instant).is_ok()
    }

    #[test]
    fn values_are_compared_as_text_or_number() {
        let equals = |wanted: &str, tolerance: f64| Assertion {
            equals: Some(wanted.into()),
            tolerance,
            ..Assertion::default()
        };
        assert!(judge(&equals("5", 0.0), "5"));
        assert!(judge(&equals("true", 0.0), "t"));
        assert!(!judge(&equals("5", 0.0), "6"));
        assert!(judge(&equals("100", 2.5), "97.5"));
        assert!(!judge(&equals("100", 2.5), "97.4"));
        assert!(!judge(&equals("100", 2.5), "NaN"));
        assert!(equals("5", 0.0).judge(None, Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn bounds_hold_together() {
        let bounds =
            || Assertion { at_least: Some(2.0), at_most: Some(3.0), ..Assertion::default() };
        assert!(judge(&bounds(), "2") && judge(&bounds(), "3.0"));
        for bad in ["1.9", "3.1", "NaN", "two"] {
            assert!(!judge(&bounds(), bad), "{bad}");
        }
    }

    #[test]
    fn freshness_is_measured_at_the_snapshots_instant() {
        let day = || Assertion {
            younger_than: Some(Duration::from_secs(86_400)),
            ..Assertion::default()
        };
        for fresh in [
            "2026-01-01 00:00:00+00",
            "2026-01-01T12:00:00Z",
            "2026-01-01 23:59:59.5",
            "2026-01-01",
        ] {
            assert!(judge(&day(), fresh), "{fresh}");
        }
        for stale in ["2025-12-31 23:59:58+00", "2025-12-31", "yesterday"] {
            assert!(!judge(&day(), stale), "{stale}");
        }
    }
}
