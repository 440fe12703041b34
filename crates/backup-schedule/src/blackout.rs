//! Windows in which nothing starts.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, ErrorKind, Result};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const DAY: u16 = 24 * 60;
const WEEK: usize = 7 * DAY as usize;
const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One window of the week: `mon-fri 08:00-18:00`, `22:00-06:00` (into the next day), or
/// `sat,sun 00:00-24:00`. Days are those on which it begins; without them it is every day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blackout {
    text: String,
    /// Sunday is bit 0.
    days: u8,
    /// Minutes of the day.
    from: u16,
    length: u16,
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Blackout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(ErrorKind::ConfigInvalid, "parse blackout window")
                .with("text", text.escape_debug())
                .hint("Write days and times, such as \"mon-fri 08:00-18:00\" or \"22:00-06:00\".")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, times) = match words.as_slice() {
            [times] => (0b111_1111, *times),
            [days, times] => (days_of(days).ok_or_else(invalid)?, *times),
            _ => return Err(invalid()),
        };
        let (from, to) = times.split_once('-').ok_or_else(invalid)?;
        let from = minutes(from).filter(|from| *from < DAY).ok_or_else(invalid)?;
        let to = minutes(to).ok_or_else(invalid)?;
        if from == to {
            return Err(invalid().because("it begins and ends at the same time"));
        }
        let length = if to > from { to - from } else { to + DAY - from };
        Ok(Self { text: words.join(" "), days, from, length })
    }
}

fn days_of(text: &str) -> Option<u8> {
    let day = |name: &str| NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
    text.split(',').try_fold(0, |mask, item| {
        let (from, to) = item.split_once('-').unwrap_or((item, item));
        let (from, to) = (day(from)?, day(to)?);
        // `fri-mon` goes round the end of the week.
        let length = (to + 7 - from) % 7;
        Some((0..=length).fold(mask, |mask, step| mask | 1 << ((from + step) % 7)))
    })
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let time = hours * 60 + minutes;
    (minutes < 60 && time <= DAY).then_some(time)
}

impl Blackout {
    /// Returns the end of the window that `at` lies in.
    fn end(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.to_datetime(at).date();
        let yesterday = today.yesterday().ok();
        [yesterday, Some(today)].into_iter().flatten().find_map(|date| {
            if self.days >> date.weekday().to_sunday_zero_offset() & 1 == 0 {
                return None;
            }
            let begin = wall(date, self.from, zone)?;
            let end = wall(date, self.from + self.length, zone)?;
            (begin <= at && at < end).then_some(end)
        })
    }
}

/// Returns the instant at which the clock on the wall shows so many minutes of a day.
fn wall(date: Date, minutes: u16, zone: &TimeZone) -> Option<Timestamp> {
    let civil = date.at(0, 0, 0, 0).checked_add(i64::from(minutes).minutes()).ok()?;
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

/// Every window of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blackouts(Vec<Blackout>);

impl Blackouts {
    /// Takes windows together; all of the week is `ConfigInvalid`, since nothing would ever run.
    pub fn new(windows: Vec<Blackout>) -> Result<Self> {
        let mut covered = vec![false; WEEK];
        for window in &windows {
            for day in (0..7_usize).filter(|day| window.days >> day & 1 == 1) {
                let from = day * usize::from(DAY) + usize::from(window.from);
                for minute in from..from + usize::from(window.length) {
                    covered[minute % WEEK] = true;
                }
            }
        }
        if covered.iter().all(|covered| *covered) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "combine blackout windows")
                .because("together they cover the whole week")
                .hint("Leave a time in which something may run."));
        }
        Ok(Self(windows))
    }

    /// Returns when the windows that `at` lies in are over; `None` when it lies in none.
    #[must_use]
    pub fn until(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut free = at;
        // Windows may follow each other; each step passes at least one.
        for _ in 0..=7 * self.0.len() {
            match self.0.iter().filter_map(|window| window.end(free, zone)).max() {
                Some(end) if end > free => free = end,
                _ => break,
            }
        }
        (free > at).then_some(free)
    }

    /// Returns whether there is no window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(windows: &[&str], zone: &str, at: &str) -> Option<String> {
        let windows = windows.iter().map(|text| text.parse().unwrap()).collect();
        let zone = TimeZone::get(zone).unwrap();
        let blackouts = Blackouts::new(windows).unwrap();
        blackouts.until(at.parse().unwrap(), &zone).map(|end| end.to_string())
    }

    #[test]
    fn ends_when_the_wall_clock_says() {
        let office = ["mon-fri 08:00-18:00"];
        let berlin = "Europe/Berlin";
        // A Friday, and the Saturday after.
        assert_eq!(
            until(&office, berlin, "2026-06-05T07:00:00Z").as_deref(),
            Some("2026-06-05T16:00:00Z")
        );
        assert_eq!(until(&office, berlin, "2026-06-05T16:00:00Z"), None, "the end is free");
        assert_eq!(until(&office, berlin, "2026-06-06T07:00:00Z"), None);
        let night = ["fri 22:00-06:00"];
        assert_eq!(
            until(&night, "UTC", "2026-06-06T05:59:00Z").as_deref(),
            Some("2026-06-06T06:00:00Z")
        );
        assert_eq!(until(&night, "UTC", "2026-06-07T05:59:00Z"), None);
        // The clock is set back at 3:00: the night is an hour longer.
        assert_eq!(
            until(&["22:00-06:00"], berlin, "2026-10-25T02:30:00Z").as_deref(),
            Some("2026-10-25T05:00:00Z")
        );
    }

    #[test]
    fn windows_that_meet_are_one() {
        let both = ["sat,sun 00:00-24:00", "mon 00:00-07:30"];
        assert_eq!(
            until(&both, "UTC", "2026-06-06T12:00:00Z").as_deref(),
            Some("2026-06-08T07:30:00Z")
        );
    }

    #[test]
    fn refuses_what_means_nothing_or_everything() {
        for bad in
            ["", "08:00", "mon", "8:00-9:00", "08:00-08:00", "24:00-01:00", "xyz 01:00-02:00"]
        {
            assert!(bad.parse::<Blackout>().is_err(), "{bad:?}");
        }
        let all = vec!["00:00-12:00".parse().unwrap(), "12:00-00:00".parse().unwrap()];
        assert!(Blackouts::new(all).is_err());
        let almost = vec!["00:00-12:00".parse().unwrap(), "12:00-23:59".parse().unwrap()];
        assert!(!Blackouts::new(almost).unwrap().is_empty());
    }
}
