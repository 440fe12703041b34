//! Which stored WAL is still needed, and why: a pure plan, and its execution.
//!
//! WAL is needed from the oldest physical snapshot on from which points in time are promised.
//! Every physical snapshot holds the WAL to become consistent itself, so that an older one can
//! still be restored as it was taken.

use std::collections::HashSet;
use std::time::Duration;

use backup_core::{Lsn, Result, SnapshotId, SourceName, VerifyLevel, WalFile};
use backup_repository::{Repository, WalEntry, WalLog, WalObject, WalTally};
use jiff::Timestamp;

use super::inventory::{Inventory, take_inventory};
use super::plan::RecoveryBase;
use super::status::bases_of;

/// What is promised for one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalRetention {
    /// Any moment of so long ago can be recovered; absent: any since the oldest physical
    /// snapshot.
    pub window: Option<Duration>,
    /// How far a snapshot must be proved before WAL that it makes unnecessary is given up.
    pub required: VerifyLevel,
    /// What was stored less than so long ago is left alone.
    pub grace: Duration,
}

/// What would be deleted of one cluster's WAL, and why.
#[derive(Clone, Debug)]
pub struct WalRetentionPlan {
    /// Whose.
    pub log: WalLog,
    /// Files that nothing needs.
    pub delete: Vec<WalObject>,
    /// Files that stay.
    pub kept: u64,
    /// Bytes of those.
    pub kept_bytes: u64,
    /// From which snapshot and position on WAL is kept; absent when all is.
    pub from: Option<(SnapshotId, Lsn)>,
    /// Why, a sentence.
    pub reason: String,
}

impl WalRetentionPlan {
    /// Returns the bytes that would come free.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.delete.iter().map(|object| object.size).sum()
    }
}

/// Decides; `bases` are the physical snapshots of the cluster that are kept, oldest first, and
/// `proved` those that are proved as far as is required.
#[must_use]
pub fn plan_wal_retention(
    log: &WalLog,
    objects: &[WalObject],
    segment_size: u64,
    bases: &[RecoveryBase],
    proved: &HashSet<SnapshotId>,
    retention: WalRetention,
    now: Timestamp,
) -> WalRetentionPlan {
    let keep_all = |reason: &str| WalRetentionPlan {
        log: log.clone(),
        delete: Vec::new(),
        kept: objects.len() as u64,
        kept_bytes: objects.iter().map(|object| object.size).sum(),
        from: None,
        reason: reason.to_owned(),
    };
    if segment_size == 0 {
        return keep_all("No segment is stored.");
    }
    let Some((base, why)) = oldest_needed(bases, proved, retention.window, now) else {
        return keep_all("No physical snapshot of this cluster is kept: all WAL stays.");
    };
    // The lowest start of all snapshots from there on: one that took long began before others.
    let position = bases.iter().map(|other| (other.finished_at, other.start));
    let from = position
        .filter(|(finished, _)| *finished >= base.finished_at)
        .map(|(_, start)| start)
        .min()
        .unwrap_or(base.start)
        .segment_start(segment_size);
    let mut plan = keep_all("");
    (plan.kept, plan.kept_bytes) = (0, 0);
    plan.from = Some((base.snapshot, from));
    plan.reason =
        format!("Snapshot {} is {why}; WAL is kept from {from} on.", base.snapshot.short());
    for object in objects {
        let age = Duration::try_from(now.duration_since(object.stored_at)).unwrap_or_default();
        let before = last_byte(object, segment_size).is_some_and(|end| end <= from);
        if before && age > retention.grace {
            plan.delete.push(object.clone());
        } else {
            plan.kept += 1;
            plan.kept_bytes += object.size;
        }
    }
    plan
}

/// Returns the snapshot from which the oldest promised moment is reached, and why that: the newest
/// proved one that was finished before the window begins, else the oldest. WAL is not given up on
/// the word of a snapshot that nobody has looked at.
fn oldest_needed<'a>(
    bases: &'a [RecoveryBase],
    proved: &HashSet<SnapshotId>,
    window: Option<Duration>,
    now: Timestamp,
) -> Option<(&'a RecoveryBase, &'static str)> {
    let begin = window.and_then(|window| now.checked_sub(window).ok());
    let Some(begin) = begin else {
        return bases.first().map(|base| (base, "the oldest physical one that is kept"));
    };
    let before = || bases.iter().rev().filter(|base| base.finished_at <= begin);
    if let Some(base) = before().find(|base| proved.contains(&base.snapshot)) {
        return Some((base, "the newest proved one before the window begins"));
    }
    let why = match before().next() {
        Some(_) => "the oldest physical one, and none before the window is proved yet",
        None => "the oldest physical one, and the window reaches back beyond it",
    };
    bases.first().map(|base| (base, why))
}

/// Returns the position behind what an object is about; histories and gaps are always wanted.
fn last_byte(object: &WalObject, segment_size: u64) -> Option<Lsn> {
    let segment = match object.entry {
        WalEntry::File(WalFile::Segment(s) | WalFile::Partial(s) | WalFile::Backup(s, _))
        | WalEntry::Growing(s, _) => s,
        WalEntry::File(WalFile::History(_)) | WalEntry::Gap(_) => return None,
    };
    Some(Lsn(segment.start(segment_size)?.0.saturating_add(segment_size)))
}

/// Plans for every cluster whose WAL is stored, each by the rule of its source. Changes nothing.
pub async fn plan_retention(
    repository: &Repository,
    rule: impl Fn(&SourceName) -> WalRetention,
    now: Timestamp,
) -> Result<Vec<WalRetentionPlan>> {
    let logs = repository.wal_logs(None).await?;
    if logs.is_empty() {
        return Ok(Vec::new());
    }
    // A manifest that cannot be read is an error here: what it needs would be unknown.
    let records = repository.snapshots().await?;
    let mut plans = Vec::new();
    for log in logs {
        let retention = rule(&log.source);
        let Inventory { segment_size, .. } = take_inventory(repository, &log).await?;
        let objects = repository.wal_objects(&log).await?;
        let bases = bases_of(&records, &log);
        let proved = records.iter().filter(|record| record.verified.level >= retention.required);
        let proved = proved.map(|record| record.snapshot.id).collect();
        let size = segment_size;
        plans.push(plan_wal_retention(&log, &objects, size, &bases, &proved, retention, now));
    }
    Ok(plans)
}

/// Deletes what the plans name, oldest first, so that a stop halfway leaves no hole.
pub async fn retain(repository: &Repository, plans: &[WalRetentionPlan]) -> Result<WalTally> {
    let mut total = WalTally::default();
    for plan in plans {
        let mut delete = plan.delete.clone();
        delete.sort_by_key(|object| last_byte(object, 1 << 20));
        let tally = repository.delete_wal(&delete).await?;
        total.objects += tally.objects;
        total.bytes += tally.bytes;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::WalSegment;

    const SIZE: u64 = 16 << 20;
    const DAY: i64 = 24 * 60 * 60;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
    }

    /// A segment a day.
    fn segment(timeline: u32, low: u32) -> WalObject {
        let segment = WalSegment { timeline, high: 0, low };
        WalObject {
            entry: WalEntry::File(WalFile::Segment(segment)),
            digest: [0; 8],
            name: format!("wal/shop/1/{timeline:08}/{low:024}-0000000000000000").parse().unwrap(),
            size: 100,
            stored_at: day(i64::from(low)),
        }
    }

    /// Took a tenth of a segment on that day.
    fn base(on: u8) -> RecoveryBase {
        let start = u64::from(on) * SIZE + 1000;
        RecoveryBase {
            snapshot: SnapshotId([on; 16]),
            system: 1,
            timeline: 1,
            start: Lsn(start),
            stop: Lsn(start + SIZE / 10),
            finished_at: day(i64::from(on)),
        }
    }

    fn deleted(bases: &[RecoveryBase], window: Option<u64>, objects: &[WalObject]) -> Vec<u32> {
        let proved: Vec<u8> = bases.iter().map(|base| base.snapshot.0[0]).collect();
        deleted_by(bases, &proved, window, objects)
    }

    fn deleted_by(
        bases: &[RecoveryBase],
        proved: &[u8],
        window: Option<u64>,
        objects: &[WalObject],
    ) -> Vec<u32> {
        let window = window.map(|days| Duration::from_secs(days * DAY as u64));
        let grace = Duration::from_secs(DAY as u64);
        let retention = WalRetention { window, required: VerifyLevel::Read, grace };
        let log = WalLog { source: "shop".parse().unwrap(), system: 1 };
        let proved = proved.iter().map(|on| SnapshotId([*on; 16])).collect();
        let plan = plan_wal_retention(&log, objects, SIZE, bases, &proved, retention, day(20));
        assert_eq!(plan.kept as usize + plan.delete.len(), objects.len());
        let low = |object: &WalObject| match object.entry {
            WalEntry::File(WalFile::Segment(segment)) => segment.low,
            _ => panic!("only segments are ever deleted here"),
        };
        plan.delete.iter().map(low).collect()
    }

    #[test]
    fn wal_is_kept_from_the_snapshot_on_that_reaches_the_oldest_moment() {
        let all: Vec<_> = (1..=20).map(|low| segment(1, low)).collect();
        let bases = [base(5), base(10), base(15)];
        assert_eq!(deleted(&[], None, &all), [0u32; 0], "without a snapshot nothing is judged");
        assert_eq!(deleted(&bases, None, &all), [1, 2, 3, 4]);
        // Seven days ago is day 13: reached from the snapshot of day 10.
        assert_eq!(deleted(&bases, Some(7), &all), (1..10).collect::<Vec<_>>());
        assert_eq!(deleted(&bases, Some(5), &all), (1..15).collect::<Vec<_>>());
        // A window longer than there are snapshots.
        assert_eq!(deleted(&bases, Some(99), &all), [1, 2, 3, 4]);
    }

    #[test]
    fn wal_is_not_given_up_for_a_snapshot_that_nobody_proved() {
        let all: Vec<_> = (1..=20).map(|low| segment(1, low)).collect();
        let bases = [base(5), base(10), base(15)];
        assert_eq!(deleted_by(&bases, &[5, 10, 15], Some(4), &all), (1..15).collect::<Vec<_>>());
        assert_eq!(deleted_by(&bases, &[5, 10], Some(4), &all), (1..10).collect::<Vec<_>>());
        assert_eq!(deleted_by(&bases, &[], Some(4), &all), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_young_or_no_segment_stays() {
        let mut young = segment(1, 2);
        young.stored_at = day(20);
        let history = WalObject {
            entry: WalEntry::File(WalFile::History(2)),
            name: "wal/shop/1/00000002/h-0000000000000000".parse().unwrap(),
            ..segment(1, 1)
        };
        let gap = WalObject {
            entry: WalEntry::Gap(WalSegment { timeline: 1, high: 0, low: 1 }),
            ..segment(1, 1)
        };
        assert_eq!(deleted(&[base(5)], None, &[young, history, gap, segment(1, 3)]), [3]);
    }

    #[test]
    fn other_timelines_lose_nothing_behind_the_snapshot() {
        let objects = [segment(1, 3), segment(2, 3), segment(2, 6), segment(3, 9)];
        assert_eq!(deleted(&[base(5)], None, &objects), [3, 3]);
    }
}
