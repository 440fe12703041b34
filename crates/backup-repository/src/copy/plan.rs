//! What is copied: pure decisions.

use std::collections::{BTreeMap, HashMap, HashSet};

use backup_core::{SnapshotId, SnapshotKind, SnapshotRecord, SourceName, WalFile};
use jiff::{SignedDuration, Timestamp};

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
    let mut newest: HashMap<(&SourceName, SnapshotKind), (u64, Timestamp)> = HashMap::new();
    for record in theirs {
        let snapshot = &record.snapshot;
        let last = newest
            .entry((&snapshot.source, snapshot.kind))
            .or_insert((snapshot.sequence, snapshot.finished_at));
        *last = (last.0.max(snapshot.sequence), last.1.max(snapshot.finished_at));
    }
    let is_wanted = |record: &SnapshotRecord| {
        let snapshot = &record.snapshot;
        match wanted {
            Wanted::Missing => true,
            Wanted::These(ids) => ids.contains(&snapshot.id),
            Wanted::Newer => newest
                .get(&(&snapshot.source, snapshot.kind))
                // A number is given again when the newest snapshot was forgotten here.
                .is_none_or(|(sequence, finished_at)| {
                    snapshot.sequence > *sequence || snapshot.finished_at > *finished_at
                }),
        }
    };
    ours.iter().filter(|record| !there.contains(&record.snapshot.id) && is_wanted(record)).collect()
}

/// So many files of a log may be on their way at once when a copy is killed: that many before the
/// newest one there may be missing.
pub(super) const IN_FLIGHT: usize = 8;

/// What was stored here so long before the newest file was stored there was seen by an earlier copy,
/// whatever the clocks of the two stores.
const SEEN: SignedDuration = SignedDuration::from_hours(24);

/// Returns the files of a log to copy, timeline by timeline, oldest first: what is newer than the
/// newest there, what an earlier copy may have left out when it was killed, and what came late. What
/// an earlier copy has seen and is not there was pruned there, and stays so. Segments that still
/// grow are left out: the whole one follows.
pub(super) fn choose_wal(ours: Vec<WalObject>, theirs: &[WalObject]) -> Vec<WalObject> {
    let there: HashSet<&str> = theirs.iter().map(|object| object.name.as_str()).collect();
    let seen = theirs.iter().map(|object| object.stored_at).max();
    let seen = seen.map(|last| last.checked_sub(SEEN).unwrap_or(Timestamp::MIN));
    let newest = |timeline: u32| {
        let own = theirs.iter().filter(|object| object.entry.timeline() == timeline);
        own.filter_map(place).max()
    };
    let last_timeline = theirs.iter().map(|object| object.entry.timeline()).max();
    let mut timelines: BTreeMap<u32, Vec<WalObject>> = BTreeMap::new();
    for object in ours {
        if !matches!(object.entry, WalEntry::Growing(..)) {
            timelines.entry(object.entry.timeline()).or_default().push(object);
        }
    }
    let mut chosen = Vec::new();
    for (timeline, mut files) in timelines {
        // Histories and the like have no place, and go first.
        files.sort_by_key(place);
        let newest = newest(timeline);
        // A timeline is begun when those before it are copied.
        let passed = newest.is_none() && last_timeline.is_some_and(|last| timeline < last);
        let known = files.iter().filter(|file| place(file) <= newest).count();
        let first = if passed { files.len() } else { known.saturating_sub(IN_FLIGHT) };
        let files = files.into_iter().enumerate();
        let wanted = files.filter(|(at, file)| {
            let late = seen.is_none_or(|seen| file.stored_at > seen);
            !there.contains(file.name.as_str()) && (*at >= first || late || place(file).is_none())
        });
        chosen.extend(wanted.map(|(_, file)| file));
    }
    chosen
}

/// Where in its timeline a segment, or the gap of one, is.
fn place(object: &WalObject) -> Option<(u32, u32)> {
    match object.entry {
        WalEntry::File(WalFile::Segment(segment)) | WalEntry::Gap(segment) => {
            Some((segment.high, segment.low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::WalSegment;

    fn segment(timeline: u32, low: u32, hour: i64) -> WalObject {
        let entry = WalEntry::File(WalFile::Segment(WalSegment { timeline, high: 0, low }));
        let at = Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap();
        let name = format!("wal/shop/7/{timeline:08x}/{low:08x}-00").parse().unwrap();
        WalObject { entry, digest: [0; 8], name, size: 1, stored_at: at }
    }

    fn chosen(ours: &[WalObject], theirs: &[WalObject]) -> Vec<(u32, u32)> {
        let files = choose_wal(ours.to_vec(), theirs);
        let number = |file: &WalObject| (file.entry.timeline(), place(file).unwrap().1);
        files.iter().map(number).collect()
    }

    #[test]
    fn the_first_copy_takes_all_in_order_and_the_next_what_is_new() {
        let ours: Vec<_> = [3, 1, 2, 0].map(|low| segment(1, low, i64::from(low))).to_vec();
        assert_eq!(chosen(&ours, &[]), [(1, 0), (1, 1), (1, 2), (1, 3)]);
        let theirs: Vec<_> = (0..3).map(|low| segment(1, low, 100)).collect();
        assert_eq!(chosen(&ours, &theirs), [(1, 3)]);
    }

    #[test]
    fn what_a_killed_copy_left_out_is_made_up_for() {
        let ours: Vec<_> = (0..50).map(|low| segment(1, low, 0)).collect();
        // Segment 25 landed, some before it were on their way.
        let theirs: Vec<_> = (0..26)
            .filter(|low| ![20, 22, 23].contains(low))
            .map(|low| segment(1, low, 900))
            .collect();
        let wanted: Vec<_> = [20, 22, 23].into_iter().chain(26..50).map(|low| (1, low)).collect();
        assert_eq!(chosen(&ours, &theirs), wanted);
        // The very first were on their way when a later one landed.
        let wanted: Vec<_> = (0..5).chain(6..50).map(|low| (1, low)).collect();
        assert_eq!(chosen(&ours, &[segment(1, 5, 900)]), wanted);
    }

    #[test]
    fn what_was_pruned_there_stays_so_and_what_came_late_is_taken() {
        let mut ours: Vec<_> = (0..200).map(|low| segment(1, low, i64::from(low))).collect();
        // An old base's segments are kept there, those between were pruned.
        let kept = (10..13).chain(150..200);
        let theirs: Vec<_> = kept.map(|low| segment(1, low, i64::from(low))).collect();
        assert!(chosen(&ours, &theirs).is_empty());
        // One that was pushed again after the last copy, far behind the newest.
        ours[100].stored_at = segment(1, 0, 201).stored_at;
        assert_eq!(chosen(&ours, &theirs), [(1, 100)]);
    }

    #[test]
    fn timelines_are_judged_by_their_own() {
        // The old primary went on archiving on its timeline after the new one was copied.
        let mut ours: Vec<_> = (0..30).map(|low| segment(1, low, 0)).collect();
        ours.extend((20..60).map(|low| segment(2, low, 0)));
        let mut theirs: Vec<_> = (0..25).map(|low| segment(1, low, 900)).collect();
        theirs.extend((20..40).map(|low| segment(2, low, 900)));
        let old = (25..30).map(|low| (1, low));
        let wanted: Vec<_> = old.chain((40..60).map(|low| (2, low))).collect();
        assert_eq!(chosen(&ours, &theirs), wanted);
        // A timeline that was pruned there altogether does not come back.
        theirs.retain(|object| object.entry.timeline() == 2);
        let wanted: Vec<_> = (40..60).map(|low| (2, low)).collect();
        assert_eq!(chosen(&ours, &theirs), wanted);
    }
}
