//! Which snapshots may count, and whose times may be believed.
//!
//! Deletion must never follow from a clock that jumped. A snapshot whose time contradicts the
//! order of the sequence numbers, the writer's clock or the present is kept, does not count,
//! and is reported.

use std::collections::BTreeSet;

use backup_core::SnapshotId;
use jiff::{SignedDuration, Timestamp};

use crate::SnapshotFacts;

/// How far clocks and overlapping runs may disagree before a time is doubted.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// How many times as many contradictions make one of two the wrong one.
const PLAINLY_WRONG: usize = 10;

/// Whether a snapshot counts for the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts.
    Counts,
    /// Something in it cannot be trusted.
    Suspect,
    /// It claims to be from the future.
    Future,
    /// Its time contradicts its place in the history.
    Disordered,
    /// It was stored long after it was finished.
    StoredLate,
}

/// Returns the snapshots whose times cannot be believed; `records` are all of one source and kind,
/// in any order, `now` is the store's time.
#[must_use]
pub fn doubted(records: &[SnapshotFacts], now: Timestamp) -> BTreeSet<SnapshotId> {
    let mut records = records.to_vec();
    records.sort_by_key(|r| std::cmp::Reverse((r.sequence, r.stored_at, r.id)));
    let standings = standings(&records, now).into_iter();
    let doubted = records.iter().zip(standings).filter(|(_, standing)| match standing {
        Standing::Counts | Standing::Suspect => false,
        Standing::Future | Standing::Disordered | Standing::StoredLate => true,
    });
    doubted.map(|(record, _)| record.id).collect()
}

/// Returns the standing of each record; `records` are newest first by sequence.
pub(crate) fn standings(records: &[SnapshotFacts], now: Timestamp) -> Vec<Standing> {
    let mut standings: Vec<Standing> = records
        .iter()
        .map(|record| {
            if record.stored_at > now {
                Standing::Future
            } else if record.stored_at.duration_since(record.finished_at) > TOLERANCE {
                Standing::StoredLate
            } else {
                Standing::Counts
            }
        })
        .collect();
    for position in disordered(records, &standings) {
        standings[position] = Standing::Disordered;
    }
    for (standing, record) in standings.iter_mut().zip(records) {
        if record.suspect && *standing == Standing::Counts {
            *standing = Standing::Suspect;
        }
    }
    standings
}

/// Returns the positions of records whose times contradict their order by more than the
/// tolerance.
///
/// One of two that contradict each other is wrong, and nothing says which, so both are doubted;
/// unless one of them contradicts so many others that it is plainly the wrong one.
fn disordered(records: &[SnapshotFacts], standings: &[Standing]) -> Vec<usize> {
    let oldest_first: Vec<usize> =
        (0..records.len()).rev().filter(|i| standings[*i] == Standing::Counts).collect();
    let times: Vec<i128> =
        oldest_first.iter().map(|i| records[*i].stored_at.as_nanosecond()).collect();
    let pairs = contradictions(&times);
    let mut count = vec![0usize; times.len()];
    for (earlier, later) in &pairs {
        count[*earlier] += 1;
        count[*later] += 1;
    }
    let mut doubtful = vec![false; times.len()];
    for (earlier, later) in pairs {
        doubtful[earlier] |= count[later] < PLAINLY_WRONG * count[earlier];
        doubtful[later] |= count[earlier] < PLAINLY_WRONG * count[later];
    }
    oldest_first.into_iter().zip(doubtful).filter_map(|(i, doubt)| doubt.then_some(i)).collect()
}

/// Returns every pair of positions whose times run against their order.
fn contradictions(times: &[i128]) -> Vec<(usize, usize)> {
    let tolerance = TOLERANCE.as_nanos();
    let mut pairs = Vec::new();
    let mut latest = i128::MIN;
    for (later, time) in times.iter().enumerate() {
        // Only a time that lies behind one before it needs the search: none, as a rule.
        if latest.saturating_sub(*time) > tolerance {
            let earlier = times[..later].iter().enumerate();
            pairs.extend(
                earlier
                    .filter(|(_, before)| before.saturating_sub(*time) > tolerance)
                    .map(|(position, _)| (position, later)),
            );
        }
        latest = latest.max(*time);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_times_against_their_order() {
        let day = TOLERANCE.as_nanos();
        assert_eq!(contradictions(&[0, 5 * day, day, 2 * day, 6 * day]), [(1, 2), (1, 3)]);
        assert!(contradictions(&[2 * day, day, 3 * day]).is_empty(), "within the tolerance");
        assert!(contradictions(&[]).is_empty());
    }
}
