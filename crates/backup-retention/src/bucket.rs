//! Hours, days, weeks, months and years of a zone.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Rule;

/// One hour, day, week, month or year; orders by time within one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket {
    order: i64,
    /// What people call it: `2026-03-01`, `2026-W09`.
    pub(crate) label: String,
}

impl Bucket {
    /// Returns the bucket of `rule` that holds `time`; none for rules without buckets.
    pub(crate) fn of(rule: Rule, time: Timestamp, zone: &TimeZone) -> Option<Self> {
        let civil = time.to_zoned(zone.clone());
        let (year, month, day) =
            (i64::from(civil.year()), i64::from(civil.month()), i64::from(civil.day()));
        let mut label = String::new();
        let (order, written) = match rule {
            Rule::Last | Rule::Within => return None,
            Rule::Hourly => {
                // By the start's instant: the hour that a zone repeats in autumn is two hours.
                let into = i64::from(civil.minute()) * 60 + i64::from(civil.second());
                let text = write!(label, "{} {:02}:00", civil.date(), civil.hour());
                (time.as_second() - into, text)
            }
            Rule::Daily => (year * 10_000 + month * 100 + day, write!(label, "{}", civil.date())),
            Rule::Weekly => {
                let week = civil.date().iso_week_date();
                let (of_year, number) = (i64::from(week.year()), i64::from(week.week()));
                (of_year * 100 + number, write!(label, "{of_year}-W{number:02}"))
            }
            Rule::Monthly => (year * 100 + month, write!(label, "{year}-{month:02}")),
            Rule::Yearly => (year, write!(label, "{year}")),
        };
        written.is_ok().then_some(Self { order, label })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(rule: Rule, time: &str, zone: &TimeZone) -> String {
        Bucket::of(rule, time.parse().unwrap(), zone).unwrap().label
    }

    #[test]
    fn weeks_are_iso_weeks() {
        for (time, week) in [
            ("2026-01-01T00:00:00Z", "2026-W01"),
            ("2027-01-03T23:59:59Z", "2026-W53"),
            ("2027-01-04T00:00:00Z", "2027-W01"),
            ("2024-12-30T00:00:00Z", "2025-W01"),
        ] {
            assert_eq!(label(Rule::Weekly, time, &TimeZone::UTC), week);
        }
    }

    #[test]
    fn days_begin_where_the_zone_says() {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(label(Rule::Daily, "2026-03-01T14:59:59Z", &zone), "2026-03-01");
        assert_eq!(label(Rule::Daily, "2026-03-01T15:00:00Z", &zone), "2026-03-02");
        assert_eq!(label(Rule::Monthly, "2026-03-31T15:00:00Z", &zone), "2026-04");
        assert_eq!(label(Rule::Yearly, "2026-12-31T15:00:00Z", &zone), "2027");
    }

    #[test]
    fn the_hour_repeated_in_autumn_is_two_hours() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let hour = |time: &str| Bucket::of(Rule::Hourly, time.parse().unwrap(), &zone).unwrap();
        let (first, second) = (hour("2026-10-25T00:30:00Z"), hour("2026-10-25T01:30:00Z"));
        assert_eq!(first.label, second.label);
        assert!(first < second);
    }
}
