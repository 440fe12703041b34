//! Holes in what can be brought back: WAL that is missing, backups that were due and did not come.

use backup::daemon::StreamStanding;
use backup_api::view::{Day, DayState, Gap, Window};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Returns the unbroken ranges that WAL and physical snapshots bring back, oldest first; those
/// that end at the same position are one.
pub(super) fn ranges(stream: &StreamStanding) -> Vec<Window> {
    let mut ranges: Vec<((u32, backup_core::Lsn), Window)> = Vec::new();
    for window in &stream.windows {
        let end = (window.timeline, window.end);
        let until = window.stored_at.unwrap_or(window.from).max(window.from);
        match ranges.last_mut() {
            Some((known, range)) if *known == end => range.to = range.to.max(until),
            _ => {
                ranges.push((end, Window { from: window.from, to: until, continuous: true }));
            }
        }
    }
    let mut ranges: Vec<Window> = ranges.into_iter().map(|(_, range)| range).collect();
    // While nothing is missing, the newest goes on to what was stored last.
    if let (0, Some(newest), Some(fresh)) = (stream.gaps, ranges.last_mut(), stream.fresh_at()) {
        newest.to = newest.to.max(fresh);
    }
    ranges
}

/// Returns the holes between those ranges, oldest first, and the one behind the newest where WAL
/// is missing that no snapshot makes up for.
pub(super) fn between(stream: &StreamStanding, now: Timestamp) -> Vec<Gap> {
    let ranges = ranges(stream);
    let mut gaps: Vec<Gap> = ranges
        .windows(2)
        .filter_map(|pair| {
            let [before, after] = pair else { return None };
            (after.from > before.to).then(|| Gap {
                from: before.to,
                to: after.from,
                reason: "Write-ahead log is missing; a newer physical snapshot makes up for it \
                         from then on."
                    .to_owned(),
            })
        })
        .collect();
    if let (Some(newest), Some(hole)) = (ranges.last(), stream.holes.first()) {
        gaps.push(Gap { from: newest.to, to: now.max(newest.to), reason: hole.clone() });
    }
    gaps
}

/// Returns the stretches of days on which no backup came although one was due, or all failed:
/// from the last good snapshot before them to the first one after, or to now. `good` are the
/// instants of good snapshots, oldest first; so are the days.
pub(super) fn missed(days: &[Day], good: &[Timestamp], now: Timestamp) -> Vec<Gap> {
    let bad = |day: &Day| matches!(day.state, DayState::Overdue | DayState::Failed);
    let mut gaps: Vec<Gap> = Vec::new();
    for stretch in days.chunk_by(|a, b| bad(a) == bad(b)) {
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { continue };
        let (true, Ok(begin), Ok(end)) =
            (bad(first), first.date.to_zoned(TimeZone::UTC), last.date.to_zoned(TimeZone::UTC))
        else {
            continue;
        };
        let (begin, end) = (begin.timestamp(), end.timestamp() + SignedDuration::from_hours(24));
        let before = good.iter().rev().find(|at| **at < end).copied();
        let after = good.iter().find(|at| **at >= end).copied();
        let count = |state| stretch.iter().filter(|day| day.state == state).count();
        let (overdue, failed) = (count(DayState::Overdue), count(DayState::Failed));
        let on = |count| if count == 1 { "one day".to_owned() } else { format!("{count} days") };
        let reason = match (overdue, failed) {
            (_, 0) => format!("A backup was due and did not run, on {}.", on(overdue)),
            (0, _) => format!("Backups failed, on {}.", on(failed)),
            _ => format!(
                "A backup was due and did not run, on {}; backups failed, on {}.",
                on(overdue),
                on(failed)
            ),
        };
        gaps.push(Gap { from: before.unwrap_or(begin), to: after.unwrap_or(now), reason });
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(date: &str, state: DayState) -> Day {
        Day { date: date.parse().unwrap(), state, note: String::new() }
    }

    #[test]
    fn a_hole_reaches_from_the_last_good_snapshot_to_the_next() {
        let days = [
            day("2026-03-01", DayState::Good),
            day("2026-03-02", DayState::Overdue),
            day("2026-03-03", DayState::Failed),
            day("2026-03-04", DayState::Good),
            day("2026-03-05", DayState::Idle),
            day("2026-03-06", DayState::Overdue),
        ];
        let good = [at("2026-03-01T02:00:00Z"), at("2026-03-04T02:00:00Z")];
        let now = at("2026-03-06T12:00:00Z");
        let gaps = missed(&days, &good, now);
        assert_eq!(gaps.len(), 2, "{gaps:?}");
        assert_eq!((gaps[0].from, gaps[0].to), (good[0], good[1]));
        assert!(gaps[0].reason.contains("did not run, on one day; backups failed"), "{gaps:?}");
        assert_eq!((gaps[1].from, gaps[1].to), (good[1], now), "it lasts");
        assert_eq!(missed(&days[..1], &good, now), []);
        // Nothing good was ever there: the hole begins with the first day without a backup.
        assert_eq!(missed(&days[1..2], &[], now)[0].from, at("2026-03-02T00:00:00Z"));
        // A day that ended badly after a good snapshot.
        let late = [at("2026-03-03T05:00:00Z"), good[1]];
        assert_eq!(missed(&days[2..3], &late, now)[0].from, late[0]);
    }
}
