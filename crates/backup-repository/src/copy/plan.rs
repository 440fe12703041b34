//! What is copied: pure decisions.

use std::collections::{HashMap, HashSet};

use backup_core::{SnapshotId, SnapshotKind, SnapshotRecord, SourceName, WalFile};

use crate::wal::{WalEntry, WalObject};

/// Which snapshots are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Of each source and kind those that are newer than the newest one there; where there is none,
    /// all. What the other place has forgotten is not brought back.
    Newer,
    /// All that are not there.
    Missing,
    /// These, unless they are there.
    These(Vec<SnapshotId>),
}

/// Returns the snapshots of `ours` to copy, in order.
pub(super) fn choose<'a>(
    ours: &'a [SnapshotRecord],
    theirs: &[SnapshotRecord],
    wanted: &Wanted,
) -> Vec<&'a SnapshotRecord> {
    let there: HashSet<SnapshotId> = theirs.iter().map(|record| record.snapshot.id).collect();
    let mut newest: HashMap<(&SourceName, SnapshotKind), u64> = HashMap::new();
    for record in theirs {
        let snapshot = &record.snapshot;
        let sequence = newest.entry((&snapshot.source, snapshot.kind)).or_default();
        *sequence = (*sequence).max(snapshot.sequence);
    }
    let is_wanted = |record: &SnapshotRecord| {
        let snapshot = &record.snapshot;
        match wanted {
            Wanted::Missing => true,
            Wanted::These(ids) => ids.contains(&snapshot.id),
            Wanted::Newer => newest
                .get(&(&snapshot.source, snapshot.kind))
                .is_none_or(|newest| snapshot.sequence > *newest),
        }
    };
    ours.iter().filter(|record| !there.contains(&record.snapshot.id) && is_wanted(record)).collect()
}

/// Returns the files of a log to copy: what is missing there and not older than what is kept there.
/// Segments that still grow are left out: the whole one follows.
pub(super) fn choose_wal(ours: Vec<WalObject>, theirs: &[WalObject]) -> Vec<WalObject> {
    let there: HashSet<&str> = theirs.iter().map(|object| object.name.as_str()).collect();
    // Where in the log, whatever the timeline.
    let place = |object: &WalObject| match object.entry {
        WalEntry::File(WalFile::Segment(segment)) | WalEntry::Gap(segment) => {
            Some((segment.high, segment.low))
        }
        _ => None,
    };
    let oldest = theirs.iter().filter_map(place).min();
    let mut chosen = ours;
    chosen.retain(|object| {
        let grows = matches!(object.entry, WalEntry::Growing(..));
        let kept = place(object).is_none_or(|place| oldest.is_none_or(|oldest| place >= oldest));
        !grows && kept && !there.contains(object.name.as_str())
    });
    chosen
}
