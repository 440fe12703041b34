//! Histories for tests.

use backup_core::{SnapshotId, VerifyLevel};
use backup_retention::SnapshotFacts;
use jiff::{SignedDuration, Timestamp};

/// Returns a trusted, unverified snapshot whose id spells its sequence.
pub(crate) fn at(sequence: u64, stored_at: Timestamp) -> SnapshotFacts {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&u32::try_from(sequence).unwrap().to_be_bytes());
    SnapshotFacts {
        id: SnapshotId(id),
        source: "shop".parse().unwrap(),
        sequence,
        stored_at,
        finished_at: stored_at,
        level: VerifyLevel::None,
        suspect: false,
        pinned: false,
    }
}

/// Returns `count` snapshots, one every `hours`, the last stored at `end`.
pub(crate) fn history(count: u64, hours: i64, end: &str) -> Vec<SnapshotFacts> {
    let end: Timestamp = end.parse().unwrap();
    (0..count)
        .map(|i| {
            let back = i64::try_from(count - 1 - i).unwrap() * hours;
            at(i + 1, end - SignedDuration::from_hours(back))
        })
        .collect()
}
