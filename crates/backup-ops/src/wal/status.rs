//! Status: how far the stored WAL reaches, and where it has holes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backup_core::{
    Error, ErrorKind, Lsn, Result, SnapshotId, SnapshotRecord, SourceName, WalFacts, WalInstant,
};
use backup_repository::{Repository, WalLog};
use jiff::Timestamp;

use super::inventory::{Inventory, Run, take_inventory};
use super::plan::{RecoveryBase, descends_from, newest_descendant};

/// What the WAL of one cluster is worth.
#[derive(Clone, Debug)]
pub struct WalStatus {
    /// Whose.
    pub log: WalLog,
    /// What is stored.
    pub inventory: Inventory,
    /// The newest segment of all timelines, its end, and when it was stored.
    pub newest: Option<Run>,
    /// The newest transaction in that segment.
    pub last_transaction: Option<WalInstant>,
    /// How old the newest stored segment is: what would be lost at least, were the server lost
    /// now and busy since.
    pub age: Option<Duration>,
    /// What can be recovered, by snapshot, oldest first.
    pub windows: Vec<Window>,
    /// Contradictions: bytes that nobody may choose between.
    pub contradictions: Vec<String>,
    /// Holes that matter: WAL that no newer snapshot makes up for.
    pub holes: Vec<String>,
    /// Where those holes begin: the same hole has the same place, however much is known of it.
    pub missing: BTreeSet<(u32, Lsn)>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// From a physical snapshot on, as far as WAL follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// From when on.
    pub from: Timestamp,
    /// Position from which on.
    pub start: Lsn,
    /// The timeline at its end.
    pub timeline: u32,
    /// Position up to which.
    pub end: Lsn,
    /// When the segment that ends there was stored; absent where no WAL follows the snapshot.
    pub stored_at: Option<Timestamp>,
}

impl WalStatus {
    /// Returns the kind of trouble there is: `Integrity` for contradictions, `Suspect` for holes.
    #[must_use]
    pub fn trouble(&self) -> Option<ErrorKind> {
        if !self.contradictions.is_empty() {
            return Some(ErrorKind::Integrity);
        }
        (!self.holes.is_empty()).then_some(ErrorKind::Suspect)
    }
}

/// Looks at the WAL of one source, or of all. `NotFound` when there is none.
pub async fn status(
    repository: &Repository,
    source: Option<&SourceName>,
    now: Timestamp,
) -> Result<Vec<WalStatus>> {
    let logs = repository.wal_logs(source).await?;
    if logs.is_empty() {
        let error = Error::new(ErrorKind::NotFound, "look at stored WAL");
        let error = match source {
            Some(source) => error.with("source", source),
            None => error,
        };
        return Err(error.hint(
            "No WAL is stored. Set archive_command (docs/wal.md), or check the source's name.",
        ));
    }
    let records = repository.snapshots().await?;
    let mut all = Vec::new();
    for log in logs {
        let inventory = take_inventory(repository, &log).await?;
        let newest = newest_object(&inventory);
        let head = match newest {
            Some(object) => repository.wal_head(object).await?.facts,
            None => None,
        };
        let bases = bases_of(&records, &log);
        all.push(assess(log, inventory, head.as_ref(), &bases, now));
    }
    Ok(all)
}

/// Returns the physical snapshots of a cluster that are not suspect, oldest first.
#[must_use]
pub fn bases_of(records: &[SnapshotRecord], log: &WalLog) -> Vec<RecoveryBase> {
    let of = records
        .iter()
        .filter(|record| record.snapshot.source == log.source && !record.snapshot.is_suspect());
    let mut bases: Vec<_> = of.filter_map(|record| RecoveryBase::of(&record.snapshot)).collect();
    bases.retain(|base| base.system == log.system);
    bases.sort_by_key(|base| (base.finished_at, base.stop));
    bases
}

fn newest_object(inventory: &Inventory) -> Option<&backup_repository::WalObject> {
    let segments = inventory.timelines.values().flat_map(|wal| wal.segments.values());
    segments.max_by_key(|object| (object.stored_at, object.entry))
}

/// Draws the conclusions; pure.
#[must_use]
pub fn assess(
    log: WalLog,
    inventory: Inventory,
    newest_head: Option<&WalFacts>,
    bases: &[RecoveryBase],
    now: Timestamp,
) -> WalStatus {
    let size = inventory.segment_size;
    let runs: BTreeMap<u32, Vec<Run>> =
        inventory.timelines.iter().map(|(number, wal)| (*number, wal.runs(size))).collect();
    let newest = runs.values().flatten().max_by_key(|run| (run.stored_at, run.end)).cloned();
    let age = newest
        .as_ref()
        .map(|run| Duration::try_from(now.duration_since(run.stored_at)).unwrap_or_default());
    let windows: Vec<Window> = bases.iter().map(|base| window(&inventory, base)).collect();
    // A snapshot that ends behind a hole makes up for it, on the line on which the hole is.
    let made_up = |timeline: u32, enough: &dyn Fn(Lsn) -> bool| {
        bases.iter().any(|base| enough(base.stop) && leads_to(&inventory, timeline, base.timeline))
    };
    let mut holes = Vec::new();
    let mut missing = BTreeSet::new();
    let mut notes = Vec::new();
    for (timeline, runs) in &runs {
        for pair in runs.windows(2) {
            let [before, after] = pair else { continue };
            let text = format!(
                "Timeline {timeline}: WAL from {} to {} is missing.",
                before.end, after.start
            );
            if made_up(*timeline, &|stop| stop >= after.start) {
                notes.push(text);
            } else {
                holes.push(text);
                missing.insert((*timeline, before.end));
            }
        }
    }
    for lost in &inventory.lost {
        let text = format!("WAL from {lost} on was lost before it was stored.");
        let at = lost.start(size);
        if at.is_some_and(|at| made_up(lost.timeline, &|stop| stop > at)) {
            notes.push(text);
        } else {
            holes.push(text);
            missing.insert((lost.timeline, at.unwrap_or_default()));
        }
    }
    // Between two timelines, and behind the snapshot itself.
    if let (Some(base), Some(window)) = (bases.last(), windows.last())
        && let Some(newest) = runs.get(&window.timeline).and_then(|runs| runs.last())
        && newest.end > window.end
        && !missing.iter().any(|(_, at)| *at == window.end)
    {
        holes.push(format!(
            "WAL that follows snapshot {} is missing from {} on; timeline {} goes on at {}.",
            base.snapshot.short(),
            window.end,
            window.timeline,
            newest.start,
        ));
        missing.insert((window.timeline, window.end));
    }
    if let Some((timeline, row)) = runs.iter().rev().find_map(|(t, runs)| Some((*t, runs.first()?)))
        && !bases.is_empty()
        && !bases.iter().any(|base| descends_from(&inventory, timeline, base))
    {
        holes.push(format!("No physical snapshot leads to timeline {timeline}."));
        missing.insert((timeline, row.start));
    }
    if !holes.is_empty() {
        holes.push("Take a new physical snapshot: it makes up for what is missing.".to_owned());
    }
    if bases.is_empty() {
        notes.push(
            "No physical snapshot of this cluster is stored: WAL alone recovers nothing."
                .to_owned(),
        );
    }
    let contradictions = inventory
        .conflicts
        .iter()
        .map(|file| format!("{file} is stored with contents that contradict each other."))
        .collect();
    WalStatus {
        log,
        last_transaction: newest_head.and_then(|head| head.times).map(|(_, latest)| latest),
        inventory,
        newest,
        age,
        windows,
        contradictions,
        holes,
        missing,
        notes,
    }
}

fn window(inventory: &Inventory, base: &RecoveryBase) -> Window {
    let timeline = newest_descendant(inventory, base);
    let path = inventory.path_to(timeline).unwrap_or_else(|| vec![(base.timeline, None)]);
    let end = reach(inventory, &path, base);
    let runs = inventory.timelines.get(&timeline).map(|wal| wal.runs(inventory.segment_size));
    let last = runs.unwrap_or_default().into_iter().find(|run| run.end == end);
    Window {
        snapshot: base.snapshot,
        from: base.finished_at,
        start: base.stop,
        timeline,
        end,
        stored_at: last.map(|run| run.stored_at),
    }
}

/// Returns whether what is on one timeline is in the past of another, as far as is known.
fn leads_to(inventory: &Inventory, from: u32, to: u32) -> bool {
    let path = || inventory.path_to(to);
    from == to || path().is_some_and(|path| path.iter().any(|(parent, _)| *parent == from))
}

/// Returns how far WAL follows a base without a hole.
fn reach(inventory: &Inventory, path: &[(u32, Option<Lsn>)], base: &RecoveryBase) -> Lsn {
    let walked = inventory.walk(path, super::first_needed(inventory, path, base));
    walked.last().map_or(base.stop, |(start, _)| {
        Lsn(start.0.saturating_add(inventory.segment_size)).max(base.stop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::history::Branch;
    use backup_core::WalSegment;
    use backup_repository::{WalEntry, WalObject};

    const SIZE: u64 = 16 << 20;

    fn log() -> WalLog {
        WalLog { source: "shop".parse().unwrap(), system: 1 }
    }

    fn inventory(numbers: &[u32], lost: Option<u32>) -> Inventory {
        let segment = |low| WalSegment { timeline: 1, high: 0, low };
        let object = |number: u32| WalObject {
            entry: WalEntry::File(backup_core::WalFile::Segment(segment(number))),
            digest: [0; 8],
            name: format!("wal/shop/1/00000001/{number:024}-0000000000000000").parse().unwrap(),
            size: 10,
            stored_at: Timestamp::from_second(1_800_000_000 + i64::from(number)).unwrap(),
        };
        let mut inventory = Inventory::sort(
            &numbers.iter().map(|n| object(*n)).collect::<Vec<_>>(),
            SIZE,
            [].into(),
        );
        inventory.lost = lost.map(segment).into_iter().collect();
        inventory
    }

    fn base(stop: u64) -> RecoveryBase {
        RecoveryBase {
            snapshot: SnapshotId([1; 16]),
            system: 1,
            timeline: 1,
            start: Lsn(stop - 100),
            stop: Lsn(stop),
            finished_at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    fn stand(inventory: Inventory, bases: &[RecoveryBase]) -> WalStatus {
        let now = Timestamp::from_second(1_800_000_100).unwrap();
        assess(log(), inventory, None, bases, now)
    }

    #[test]
    fn an_unbroken_row_is_no_trouble() {
        let status = stand(inventory(&[2, 3, 4], None), &[base(2 * SIZE + 500)]);
        assert_eq!((status.trouble(), status.windows[0].end), (None, Lsn(5 * SIZE)));
        assert_eq!(status.age, Some(Duration::from_secs(96)));
        // The snapshot holds the segment that it ends in itself.
        let status = stand(inventory(&[3, 4], None), &[base(2 * SIZE + 500)]);
        assert_eq!((status.trouble(), status.windows[0].end), (None, Lsn(5 * SIZE)));
    }

    #[test]
    fn a_hole_is_trouble_until_a_snapshot_makes_up_for_it() {
        let holed = || inventory(&[2, 3, 5, 6], None);
        assert_eq!(stand(holed(), &[]).trouble(), Some(ErrorKind::Suspect));
        assert_eq!(stand(holed(), &[base(2 * SIZE + 500)]).trouble(), Some(ErrorKind::Suspect));
        let after = stand(holed(), &[base(2 * SIZE + 500), base(5 * SIZE + 500)]);
        assert_eq!((after.trouble(), after.notes.len()), (None, 1));
        assert_eq!(after.windows[0].end, Lsn(4 * SIZE));
        let lost = stand(inventory(&[2, 3], Some(4)), &[base(2 * SIZE + 500)]);
        assert_eq!(lost.trouble(), Some(ErrorKind::Suspect));
        // However much is known of it, it is one hole.
        let known = stand(inventory(&[2, 3, 6], Some(4)), &[base(2 * SIZE + 500)]);
        assert_eq!(known.missing, [(1, Lsn(4 * SIZE))].into());
        assert_eq!(lost.missing, known.missing);
        assert_eq!((known.holes.len(), after.missing.len()), (3, 0));
        let far = stand(inventory(&[9], None), &[base(2 * SIZE + 500)]);
        assert_eq!(far.trouble(), Some(ErrorKind::Suspect));
    }

    /// Timeline 1 has 2 and 3; timeline 2 left it inside 4, and these of it are stored.
    fn promoted(numbers: &[u32]) -> Inventory {
        let object = |timeline: u32, low: u32| {
            let segment = WalSegment { timeline, high: 0, low };
            WalObject {
                entry: WalEntry::File(backup_core::WalFile::Segment(segment)),
                digest: [0; 8],
                name: format!("wal/shop/1/{segment}").parse().unwrap(),
                size: 10,
                stored_at: Timestamp::from_second(1_800_000_000 + i64::from(low)).unwrap(),
            }
        };
        let mut objects = vec![object(1, 2), object(1, 3)];
        objects.extend(numbers.iter().map(|number| object(2, *number)));
        let left = Branch { timeline: 1, end: Lsn(4 * SIZE + 100) };
        Inventory::sort(&objects, SIZE, [(2, vec![left])].into())
    }

    #[test]
    fn a_hole_between_two_timelines_is_one_too() {
        let base = base(2 * SIZE + 500);
        let whole = stand(promoted(&[4, 5]), std::slice::from_ref(&base));
        assert_eq!((whole.trouble(), whole.windows[0].end), (None, Lsn(6 * SIZE)));
        let holed = stand(promoted(&[6, 7]), std::slice::from_ref(&base));
        assert_eq!(holed.windows[0].end, Lsn(4 * SIZE));
        assert_eq!(holed.missing, [(2, Lsn(4 * SIZE))].into());
        assert_eq!(holed.trouble(), Some(ErrorKind::Suspect));
        let behind = RecoveryBase { timeline: 2, stop: Lsn(6 * SIZE + 5), ..base.clone() };
        assert_eq!(stand(promoted(&[6, 7]), &[base, behind]).trouble(), None);
    }

    #[test]
    fn a_snapshot_of_a_line_that_was_left_makes_up_for_nothing() {
        // Taken from the server that wrote on, behind where it was left.
        let astray = base(7 * SIZE + 500);
        let status = stand(promoted(&[4, 5, 6]), std::slice::from_ref(&astray));
        assert_eq!(status.missing, [(2, Lsn(4 * SIZE))].into());
        let status = stand(promoted(&[4, 6, 7]), std::slice::from_ref(&astray));
        assert_eq!(status.missing, [(2, Lsn(4 * SIZE)), (2, Lsn(5 * SIZE))].into());
        let good = RecoveryBase { timeline: 2, ..astray.clone() };
        assert_eq!(stand(promoted(&[4, 6, 7]), &[astray, good]).trouble(), None);
    }

    #[test]
    fn a_contradiction_is_worse() {
        let mut torn = inventory(&[2, 4], None);
        torn.conflicts.push("000000010000000000000002".parse().unwrap());
        assert_eq!(stand(torn, &[]).trouble(), Some(ErrorKind::Integrity));
    }
}
