//! When the next one should come, and whether it is late: by the calendar, never by silence.

use std::time::Duration;

use backup_schedule::{Blackouts, Timetable};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A run that began so shortly before its time (another clock, a person) is not the one of that
/// time … by as much as clocks of two machines may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// However quick backups are, so long is not late yet: others may come first.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// When something is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// When it is due.
    pub timetable: Timetable,
    /// When it may not start.
    pub blackouts: Blackouts,
    /// The zone of those windows.
    pub zone: TimeZone,
}

impl Rhythm {
    /// Returns when it is due next after it last began; `None` only at the end of time.
    #[must_use]
    pub fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let Timetable { cron, zone, shift } = &self.timetable;
        // Counted from the calendar's own times: who starts it may not know of the shift.
        let due = cron.next(last.checked_add(SKEW).ok()?, zone)?;
        let due = due.checked_add(SignedDuration::try_from(*shift).ok()?).ok()?;
        Some(self.blackouts.until(due, &self.zone).unwrap_or(due))
    }
}

/// When the next one is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    /// When it is due.
    pub expected_at: Timestamp,
    /// Since when it is late; absent while it is not.
    pub overdue_since: Option<Timestamp>,
}

/// Judges by when it last began. What takes `usual` long is late when it is not there twice as
/// long, and half an hour at least, after it was due.
#[must_use]
pub fn lateness(
    rhythm: &Rhythm,
    last: Timestamp,
    usual: Duration,
    now: Timestamp,
) -> Option<Lateness> {
    let expected_at = rhythm.after(last)?;
    let patience = usual.saturating_mul(2).max(PATIENCE);
    let patience = SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX);
    let late = now.duration_since(expected_at) > patience;
    Some(Lateness { expected_at, overdue_since: late.then_some(expected_at) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nightly(shift: u64, blackouts: Blackouts) -> Rhythm {
        let timetable = Timetable {
            cron: "0 2 * * *".parse().unwrap(),
            zone: TimeZone::UTC,
            shift: Duration::from_secs(shift * 60),
        };
        Rhythm { timetable, blackouts, zone: TimeZone::UTC }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_night_that_was_left_out_is_late_half_an_hour_after() {
        let rhythm = nightly(0, Blackouts::default());
        let judge = |now: &str, usual: u64| {
            let usual = Duration::from_secs(usual * 60);
            lateness(&rhythm, at("2026-01-01T02:00:03Z"), usual, at(now)).unwrap()
        };
        let soon = judge("2026-01-02T02:29:00Z", 5);
        assert_eq!(soon.expected_at, at("2026-01-02T02:00:00Z"));
        assert_eq!(soon.overdue_since, None);
        let late = judge("2026-01-02T02:31:00Z", 5);
        assert_eq!(late.overdue_since, Some(at("2026-01-02T02:00:00Z")));
        assert_eq!(judge("2026-01-02T03:31:00Z", 60).overdue_since, None, "it takes an hour");
    }

    #[test]
    fn another_clock_and_a_shift_nobody_knows_of_make_nothing_late() {
        let shifted = nightly(10, Blackouts::default());
        for last in ["2026-01-01T01:59:20Z", "2026-01-01T02:00:00Z", "2026-01-01T02:10:00Z"] {
            assert_eq!(shifted.after(at(last)), Some(at("2026-01-02T02:10:00Z")), "{last}");
        }
        let quiet = Blackouts::new(vec!["01:00-06:00".parse().unwrap()]).unwrap();
        let waits = nightly(0, quiet);
        assert_eq!(waits.after(at("2026-01-01T06:00:00Z")), Some(at("2026-01-02T06:00:00Z")));
    }

    proptest! {
        #[test]
        fn what_is_late_stays_late_until_it_comes(
            last in 0..2_000_000_000_i64,
            usual in 0..100_000_u64,
            now in 0..2_000_000_000_i64,
            later in 0..1_000_000_i64,
        ) {
            let rhythm = nightly(7, Blackouts::default());
            let instant = |second: i64| Timestamp::from_second(second).unwrap();
            let usual = Duration::from_secs(usual);
            let judge = |now| lateness(&rhythm, instant(last), usual, instant(now)).unwrap();
            let (first, then) = (judge(now), judge(now + later));
            prop_assert!(first.expected_at > instant(last));
            prop_assert_eq!(first.expected_at, then.expected_at);
            prop_assert!(first.overdue_since.is_none() || then.overdue_since.is_some());
            // One that came just now is never late.
            let fresh = lateness(&rhythm, instant(now), usual, instant(now)).unwrap();
            prop_assert_eq!(fresh.overdue_since, None);
        }
    }
}
