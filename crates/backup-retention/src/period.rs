//! Lengths of time as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use backup_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// A length of time in whole seconds; parses `26h`, `15m`, `1h30m`, prints one unit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Period(u64);

const UNITS: [(char, u64); 5] =
    [('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Period {
    /// Creates a period of that many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Creates a period of that many hours.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours.saturating_mul(3_600))
    }

    /// Creates a period of that many days of 24 hours.
    #[must_use]
    pub const fn from_days(days: u64) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// Returns the seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Returns the same length as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.as_duration()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    /// Writes the largest unit up to days that divides it: `14d`, `26h`, `90m`, `45s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS[1..].iter().find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        let (name, scale) = unit.copied().unwrap_or(('s', 1));
        f.pad(&format!("{}{name}", self.0 / scale))
    }
}

impl TryFrom<String> for Period {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl FromStr for Period {
    type Err = Error;

    /// Parses numbers with units `w d h m s` (`m` is minutes); a bare number has no meaning
    /// and is refused.
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map(Self).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "parse length of time")
                .with("text", text.escape_debug())
                .hint("Write numbers with units w, d, h, m or s, such as 26h, 15m, 14d or 1h30m.")
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut smallest = u64::MAX;
    for c in text.trim().chars().filter(|c| *c != ' ') {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
            continue;
        }
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == c.to_ascii_lowercase())?;
        // Each unit once, large to small: `1h1h` and `5s2d` are slips of the pen.
        if *scale >= smallest {
            return None;
        }
        smallest = *scale;
        total = total.checked_add(number.take()?.checked_mul(*scale)?)?;
    }
    (number.is_none() && smallest != u64::MAX).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_people_write() {
        for (text, seconds, printed) in [
            ("26h", 93_600, "26h"),
            ("15m", 900, "15m"),
            ("14d", 1_209_600, "14d"),
            ("2w", 1_209_600, "14d"),
            ("1h30m", 5_400, "90m"),
            ("1h 30m", 5_400, "90m"),
            ("45S", 45, "45s"),
            ("0s", 0, "0s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.as_secs(), seconds, "{text}");
            assert_eq!(period.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Period>().unwrap(), period, "{text}");
        }
    }

    #[test]
    fn refuses_what_could_mean_two_things() {
        for bad in ["", "26", "h", "1.5h", "1h1h", "5s2d", "-1h", "1y", "99999999999999999999w"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }
}
