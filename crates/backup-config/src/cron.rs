//! Cron expressions, checked for their form.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, ErrorKind, Result};

/// A cron expression of the usual five fields: minute, hour, day of month, month, day of week
/// (0 and 7 are Sunday). Only its form is checked here; when it fires next is the scheduler's
/// business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron(String);

impl Cron {
    /// Returns the expression, fields joined by single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

struct Field {
    what: &'static str,
    range: std::ops::RangeInclusive<u32>,
    /// Names, counted from the range's start.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { what: "minute", range: 0..=59, names: &[] },
    Field { what: "hour", range: 0..=23, names: &[] },
    Field { what: "day of month", range: 1..=31, names: &[] },
    Field { what: "month", range: 1..=12, names: &MONTHS },
    Field { what: "day of week", range: 0..=7, names: &DAYS },
];

impl FromStr for Cron {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason: String| {
            Error::new(ErrorKind::ConfigInvalid, "parse cron expression")
                .with("expression", text.escape_debug())
                .because(reason)
                .hint(
                    "Write five fields: minute, hour, day of month, month, day of week; \
                     \"0 2 * * *\" is every night at two.",
                )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != FIELDS.len() {
            return Err(invalid(format!("it has {} fields instead of 5", words.len())));
        }
        for (word, field) in words.iter().zip(&FIELDS) {
            if !word.split(',').all(|item| field.accepts(item)) {
                return Err(invalid(format!("'{word}' is no {}", field.what)));
            }
        }
        Ok(Self(words.join(" ")))
    }
}

impl Field {
    /// Accepts `*`, `5`, `1-5`, `mon-fri`, each with `/step`.
    fn accepts(&self, item: &str) -> bool {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(step)),
            None => (item, None),
        };
        let good_step = step.is_none_or(|step| {
            number(step).is_some_and(|step| (1..=*self.range.end()).contains(&step))
        });
        let good_span = match span.split_once('-') {
            Some((from, to)) => match (self.value(from), self.value(to)) {
                (Some(from), Some(to)) => from <= to,
                _ => false,
            },
            None => span == "*" || self.value(span).is_some(),
        };
        good_step && good_span
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        if let Some(position) = named {
            return Some(self.range.start() + u32::try_from(position).ok()?);
        }
        number(text).filter(|value| self.range.contains(value))
    }
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone would take "+5".
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
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
        ] {
            assert_eq!(text.parse::<Cron>().unwrap().as_str(), text);
        }
        assert_eq!(" 0  2 * *\t* ".parse::<Cron>().unwrap().as_str(), "0 2 * * *");
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("", "0 fields"),
            ("0 0 2 * * *", "6 fields"),
            ("@daily", "1 fields"),
            ("60 * * * *", "'60' is no minute"),
            ("* 24 * * *", "no hour"),
            ("* * 0 * *", "no day of month"),
            ("* * * 13 *", "no month"),
            ("* * * * 8", "no day of week"),
            ("*/0 * * * *", "no minute"),
            ("5-1 * * * *", "no minute"),
            ("1,,2 * * * *", "no minute"),
            ("+5 * * * *", "no minute"),
        ] {
            let error = text.parse::<Cron>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
