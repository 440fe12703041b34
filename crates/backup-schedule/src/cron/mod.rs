//! Cron expressions of the usual five fields.

mod civil;
mod field;
mod pause;
mod zoned;

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, ErrorKind, Result};

use field::{DAY, FIELDS, HOUR, MINUTE, MONTH, WEEKDAY};

/// A cron expression: minute, hour, day of month, month, day of week (0 and 7 are Sunday), or one
/// of `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`.
///
/// As cron has always done: when both day fields are restricted, either may match.
#[derive(Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// One bit for each value that matches.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is bit 0.
    weekdays: u64,
    /// Whether both day fields are restricted.
    either_day: bool,
}

const PRESETS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Cron {
    /// Returns the expression: five fields joined by single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches in every hour: then it keeps its beat through the doubled hour of a
    /// clock that is set back, instead of running once.
    fn every_hour(&self) -> bool {
        self.hours == HOUR.all()
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.text).finish()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason: String| {
            Error::new(ErrorKind::ConfigInvalid, "parse cron expression")
                .with("expression", text.escape_debug())
                .because(reason)
                .hint(
                    "Write five fields: minute, hour, day of month, month, day of week; \
                     \"0 2 * * *\" is every night at two. Or @hourly, @daily, @weekly, @monthly, \
                     @yearly.",
                )
        };
        let preset = PRESETS.iter().find(|(name, _)| text.trim().eq_ignore_ascii_case(name));
        let words: Vec<&str> =
            preset.map_or(text, |(_, fields)| fields).split_whitespace().collect();
        if words.len() != FIELDS.len() {
            return Err(invalid(format!("it has {} fields instead of 5", words.len())));
        }
        let mut masks = [0; FIELDS.len()];
        for ((word, field), mask) in words.iter().zip(&FIELDS).zip(&mut masks) {
            *mask = field
                .mask(word)
                .ok_or_else(|| invalid(format!("'{word}' is no {}", field.what)))?;
        }
        let restricted = |position: usize| words.get(position).is_some_and(|w| !w.starts_with('*'));
        let cron = Self {
            text: words.join(" "),
            minutes: masks[MINUTE.position],
            hours: masks[HOUR.position],
            days: masks[DAY.position],
            months: masks[MONTH.position],
            weekdays: WEEKDAY.fold_sunday(masks[WEEKDAY.position]),
            either_day: restricted(DAY.position) && restricted(WEEKDAY.position),
        };
        if cron.never() {
            return Err(invalid("no such day exists".into()));
        }
        Ok(cron)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_usual_five_fields() {
        for text in [
            "0 2 * * *",
            "*/15 * * * *",
            "0 0,12 1-15/2 JAN-mar mon-fri",
            "59 23 31 12 7",
            "0 4 * * Sun",
            "5/10 * * * 0",
            "0 4 * * sat-sun",
            "0 0 29 2 *",
        ] {
            assert_eq!(text.parse::<Cron>().unwrap().as_str(), text);
        }
        assert_eq!(" 0  2 * *\t* ".parse::<Cron>().unwrap().as_str(), "0 2 * * *");
        assert_eq!("@Daily".parse::<Cron>().unwrap().as_str(), "0 0 * * *");
        let sunday = |text: &str| text.parse::<Cron>().unwrap().weekdays;
        assert_eq!(sunday("0 0 * * 0"), sunday("0 0 * * 7"));
        assert_eq!(sunday("0 0 * * sat-sun"), 0b100_0001);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("", "0 fields"),
            ("0 0 2 * * *", "6 fields"),
            ("@reboot", "1 fields"),
            ("60 * * * *", "'60' is no minute"),
            ("* 24 * * *", "no hour"),
            ("* * 0 * *", "no day of month"),
            ("* * * 13 *", "no month"),
            ("* * * * 8", "no day of week"),
            ("*/0 * * * *", "no minute"),
            ("5-1 * * * *", "no minute"),
            ("1,,2 * * * *", "no minute"),
            ("+5 * * * *", "no minute"),
            ("0 0 30 2 *", "no such day"),
            ("0 0 31 4,6,9,11 *", "no such day"),
        ] {
            let error = text.parse::<Cron>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
