//! `Cron::next` against brute force, around every change of the clock.

use std::collections::BTreeSet;

use backup_schedule::Cron;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

/// Half hours, whole days, both hemispheres, changes at midnight, negative daylight saving.
const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Asia/Tehran",
    "America/Havana",
];

/// Reads the expression a second time, its own way.
struct Oracle {
    fields: Vec<BTreeSet<i8>>,
    either: bool,
    every_hour: bool,
}

impl Oracle {
    fn new(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let spans = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let mut fields: Vec<BTreeSet<i8>> = words
            .iter()
            .zip(spans)
            .map(|(word, (first, last))| {
                let mut values = BTreeSet::new();
                for item in word.split(',') {
                    let (span, step) = item.split_once('/').unwrap_or((item, "1"));
                    let step: i8 = step.parse().unwrap();
                    let (from, to) = match span.split_once('-') {
                        Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                        None if span == "*" => (first, last),
                        None if item.contains('/') => (span.parse().unwrap(), last),
                        None => (span.parse().unwrap(), span.parse().unwrap()),
                    };
                    values.extend((from..=to).filter(|value| (value - from) % step == 0));
                }
                values
            })
            .collect();
        if fields[4].remove(&7) {
            fields[4].insert(0);
        }
        let starred = |field: usize| words[field].starts_with('*');
        Self { either: !starred(2) && !starred(4), every_hour: fields[1].len() == 24, fields }
    }

    fn matches(&self, at: DateTime) -> bool {
        let day = self.fields[2].contains(&at.day());
        let weekday = self.fields[4].contains(&at.weekday().to_sunday_zero_offset());
        let days = if self.either { day || weekday } else { day && weekday };
        days && self.fields[0].contains(&at.minute())
            && self.fields[1].contains(&at.hour())
            && self.fields[3].contains(&at.month())
    }

    /// Every run in `(from, to]`, minute by minute.
    fn all(&self, zone: &TimeZone, from: Timestamp, to: Timestamp) -> BTreeSet<Timestamp> {
        let inside = |at: &Timestamp| *at > from && *at <= to;
        if self.every_hour {
            return (0..=to.duration_since(from).as_mins())
                .map(|step| from + SignedDuration::from_mins(step))
                .filter(|at| self.matches(zone.to_datetime(*at)) && inside(at))
                .collect();
        }
        let mut date = zone.to_datetime(from).date().checked_sub(3.days()).unwrap();
        let last = zone.to_datetime(to).date().tomorrow().unwrap();
        let mut runs = BTreeSet::new();
        while date <= last {
            for (hour, minute) in
                self.fields[1].iter().flat_map(|h| self.fields[0].iter().map(move |m| (*h, *m)))
            {
                let civil = date.at(hour, minute, 0, 0);
                if self.matches(civil) {
                    runs.insert(zone.to_ambiguous_timestamp(civil).compatible().unwrap());
                }
            }
            date = date.tomorrow().unwrap();
        }
        runs.retain(inside);
        runs
    }
}

fn check(text: &str, zone: &str, from: Timestamp, hours: i64) {
    let cron: Cron = text.parse().unwrap();
    let zone_name = zone;
    let zone = TimeZone::get(zone).unwrap();
    let to = from + SignedDuration::from_hours(hours);
    let mut found = BTreeSet::new();
    let mut at = from;
    while let Some(next) = cron.next(at, &zone).filter(|next| *next <= to) {
        assert!(next > at);
        found.insert(next);
        at = next;
    }
    let expected = Oracle::new(text).all(&zone, from, to);
    assert_eq!(found, expected, "{text} in {zone_name} from {from}");
}

fn changes(zone: &str) -> Vec<Timestamp> {
    let zone = TimeZone::get(zone).unwrap();
    let from = "2010-01-01T00:00:00Z".parse().unwrap();
    let until: Timestamp = "2029-01-01T00:00:00Z".parse().unwrap();
    let all: Vec<_> = zone
        .following(from)
        .map(|change| change.timestamp())
        .take_while(|at| *at < until)
        .collect();
    // The first ones, where rules changed most, and every fifth of the others.
    let some = all.iter().enumerate().filter(|(position, _)| *position < 5 || position % 5 == 0);
    some.map(|(_, at)| *at).collect()
}

#[test]
fn no_run_is_lost_or_doubled_when_clocks_are_moved() {
    let mut seen = 0;
    for zone in ZONES {
        for change in changes(zone) {
            seen += 1;
            let from = change - SignedDuration::from_hours(27);
            for text in ["30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "*/20 * * * *"] {
                check(text, zone, from, 54);
            }
        }
    }
    assert!(seen > 80, "{seen} changes of clocks");
}

#[test]
fn every_night_has_one_run() {
    for zone in ZONES {
        let zone = TimeZone::get(zone).unwrap();
        let cron: Cron = "30 2 * * *".parse().unwrap();
        let mut at: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for _ in 0..400 {
            let next = cron.next(at, &zone).unwrap();
            let hours = next.duration_since(at).as_secs() as f64 / 3600.0;
            assert!(hours < 25.6, "{hours} h without a run before {next}");
            at = next;
        }
    }
}

#[test]
fn rare_days_are_found() {
    let utc = TimeZone::UTC;
    let next = |text: &str, after: &str| {
        let cron: Cron = text.parse().unwrap();
        cron.next(after.parse().unwrap(), &utc).unwrap().to_string()
    };
    assert_eq!(next("0 0 29 2 *", "2096-03-01T00:00:00Z"), "2104-02-29T00:00:00Z");
    assert_eq!(next("0 12 31 * *", "2026-03-31T12:00:00Z"), "2026-05-31T12:00:00Z");
    // Both day fields restricted: either.
    assert_eq!(next("0 0 13 * 5", "2026-02-01T00:00:00Z"), "2026-02-06T00:00:00Z");
    assert_eq!(next("0 0 13 * 5", "2026-02-06T00:00:00Z"), "2026-02-13T00:00:00Z");
    assert_eq!(next("59 23 31 12 *", "2026-01-01T00:00:00Z"), "2026-12-31T23:59:00Z");
    let end: Cron = "* * * * *".parse().unwrap();
    assert_eq!(end.next(Timestamp::MAX, &utc), None);
}

fn item(first: u8, last: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (2..=last.min(20)).prop_map(|step| format!("*/{step}")),
        3 => (first..=last).prop_map(|value| value.to_string()),
        2 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (first..=last, 1..=last.min(9)).prop_map(|(a, step)| format!("{a}/{step}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let list = |first, last| {
        prop::collection::vec(item(first, last), 1..3).prop_map(|items| items.join(","))
    };
    (list(0, 59), list(0, 23), list(1, 28), list(1, 12), list(0, 7))
        .prop_map(|(m, h, d, mo, w)| format!("{m} {h} {d} {mo} {w}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_counting_minutes(
        text in expression(),
        zone in prop::sample::select(&ZONES[..]),
        second in 1_262_304_000_i64..1_893_456_000,
    ) {
        let from = Timestamp::from_second(second).unwrap();
        check(&text, zone, from - SignedDuration::from_secs(second % 60), 72);
    }
}
