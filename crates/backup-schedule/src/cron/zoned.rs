//! The next match in a time zone.
//!
//! An expression that names hours is about the clock on the wall: a time that is skipped runs when
//! the clock has jumped (later by as much), a time that is doubled runs the first time. One that
//! matches in every hour is a beat: it has no run in an hour that does not exist, and one in each
//! of two hours that are called the same.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::Cron;

/// No clock was ever moved further (Samoa once skipped a day).
const WIDEST: SignedDuration = SignedDuration::from_hours(25);

/// More changes of offset than any zone has between two matches.
const MOST_CHANGES: usize = 64;

impl Cron {
    /// Returns the first time after `after`; `None` only at the end of time.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.every_hour() { self.next_beat(after, zone) } else { self.next_on_wall(after, zone) }
    }

    /// Walks along instants, from one change of offset to the next.
    fn next_beat(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut offset = zone.to_offset(after);
        let mut from = minute(offset.to_datetime(after)).checked_add(1.minute()).ok()?;
        let mut reached = after;
        for _ in 0..MOST_CHANGES {
            let change = zone.following(reached).next().map(|change| change.timestamp());
            let found = self.at_or_after(from).and_then(|civil| instant(civil, offset));
            let Some(change) = change else { return found };
            if let Some(found) = found.filter(|found| *found < change) {
                return Some(found);
            }
            offset = zone.to_offset(change);
            from = round_up(offset.to_datetime(change))?;
            reached = change;
        }
        None
    }

    /// Walks along the wall clock, and keeps the earliest instant after `after`.
    fn next_on_wall(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moved = zone
            .preceding(after.checked_add(SignedDuration::from_nanos(1)).ok()?)
            .next()
            .is_some_and(|change| after.duration_since(change.timestamp()) < WIDEST);
        let mut from = minute(zone.to_datetime(after));
        if moved {
            from = from.checked_sub(WIDEST).ok()?;
        }
        let mut best: Option<Timestamp> = None;
        while let Some(civil) = self.at_or_after(from) {
            // What comes later on the wall than the best comes later in time as well.
            if best.is_some_and(|best| civil >= zone.to_datetime(best)) {
                break;
            }
            let Ok(at) = zone.to_ambiguous_timestamp(civil).compatible() else { break };
            if at > after && best.is_none_or(|best| at < best) {
                best = Some(at);
            }
            let Ok(next) = civil.checked_add(1.minute()) else { break };
            from = next;
        }
        best
    }
}

fn minute(civil: DateTime) -> DateTime {
    civil.date().at(civil.hour(), civil.minute(), 0, 0)
}

fn round_up(civil: DateTime) -> Option<DateTime> {
    let whole = minute(civil);
    if whole == civil { Some(whole) } else { whole.checked_add(1.minute()).ok() }
}

fn instant(civil: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(civil).ok()
}
