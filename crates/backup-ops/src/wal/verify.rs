//! Verify: is the WAL between and behind the snapshots whole, and which points in time are lost
//! where it is not?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Observer;
use backup_core::{Error, ErrorKind, Event, Lsn, Result, SourceName, WalSegment};
use backup_repository::{Repository, WalEntry, WalLog, WalObject};
use backup_verification::Depth;
use jiff::Timestamp;

use super::inventory::{Inventory, take_inventory};
use super::plan::{RecoveryBase, newest_descendant};
use super::status::bases_of;
use crate::interrupt::Interrupt;

/// Segments on their way have arrived after so long.
const SETTLE: Duration = Duration::from_secs(5);

/// What was found of one cluster's WAL.
#[derive(Clone, Debug)]
pub struct WalVerdict {
    /// Whose.
    pub log: WalLog,
    /// Segments that recovery from the kept snapshots may ask for.
    pub segments: u64,
    /// Segments of which every byte was read and authenticated.
    pub read: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// What is missing or damaged, each a sentence that names the points in time lost.
    pub problems: Vec<String>,
}

/// Segments that recovery would not find, and what is lost by that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WalHole {
    /// The timeline on which they were looked for.
    timeline: u32,
    /// Position of the first.
    from: Lsn,
    /// Position behind the last.
    to: Lsn,
    /// When the next snapshot was finished: from there on everything is within reach again.
    until: Option<Timestamp>,
}

/// What recovery from one snapshot reads before the next one takes over.
#[derive(Clone, Debug)]
struct Stretch<'a> {
    timeline: u32,
    segments: Vec<(Lsn, &'a WalObject)>,
    holes: Vec<WalHole>,
}

/// Looks at the WAL of these sources, or of all: that no segment is missing in what can be
/// recovered; with [`Depth::Sample`] that each one's head opens, with [`Depth::Read`] that every
/// byte is as written.
pub async fn verify_wal(
    repository: &Repository,
    sources: Option<&BTreeSet<SourceName>>,
    depth: Depth,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Vec<WalVerdict>> {
    let logs = interrupt.unless(repository.wal_logs(None)).await?;
    let wanted = |log: &WalLog| sources.is_none_or(|sources| sources.contains(&log.source));
    let logs: Vec<_> = logs.into_iter().filter(wanted).collect();
    if logs.is_empty() {
        return Ok(Vec::new());
    }
    // Snapshots that cannot be read are told by the verification of snapshots.
    let records = interrupt.unless(repository.scan_snapshots()).await?.records;
    let mut verdicts = Vec::new();
    for log in logs {
        let bases = bases_of(&records, &log);
        let look = look(repository, log, &bases, depth, observer);
        verdicts.push(interrupt.unless(look).await?);
    }
    Ok(verdicts)
}

/// Turns what was found into the `Integrity` error that names its victims.
pub fn demand_wal(verdicts: &[WalVerdict]) -> Result<()> {
    let hurt: Vec<_> = verdicts.iter().filter(|verdict| !verdict.problems.is_empty()).collect();
    let Some(first) = hurt.first() else { return Ok(()) };
    let sources: BTreeSet<&str> = hurt.iter().map(|verdict| verdict.log.source.as_str()).collect();
    let problems: usize = hurt.iter().map(|verdict| verdict.problems.len()).sum();
    Err(Error::new(ErrorKind::Integrity, "verify WAL")
        .with("sources", sources.into_iter().collect::<Vec<_>>().join(" "))
        .with("problems", problems)
        .with("first", first.problems.first().map(String::as_str).unwrap_or_default())
        .hint(
            "Take a new physical snapshot now: from there on every point is within reach again. \
             If the server still has the segment in pg_wal, push it; move a damaged object away \
             first.",
        ))
}

async fn look(
    repository: &Repository,
    log: WalLog,
    bases: &[RecoveryBase],
    depth: Depth,
    observer: &Arc<dyn Observer>,
) -> Result<WalVerdict> {
    let mut inventory = take_inventory(repository, &log).await?;
    if stretches(&inventory, bases).iter().any(|stretch| !stretch.holes.is_empty()) {
        // A receiver stores several segments at once: the later ones may be there first.
        tokio::time::sleep(SETTLE).await;
        inventory = take_inventory(repository, &log).await?;
    }
    let stretches = stretches(&inventory, bases);
    let mut verdict = WalVerdict { log, segments: 0, read: 0, bytes_read: 0, problems: Vec::new() };
    let contradictions = inventory.conflicts.iter();
    verdict.problems.extend(
        contradictions
            .map(|file| format!("{file} is stored with contents that contradict each other.")),
    );
    let mut seen = BTreeSet::new();
    for (position, stretch) in stretches.iter().enumerate() {
        let until = bases.get(bases.len() - stretches.len() + position + 1);
        let until = until.map(|base| base.finished_at);
        for hole in &stretch.holes {
            let before = stretch.segments.iter().filter(|(at, _)| *at < hole.from);
            let last = last_transaction(repository, before.map(|(_, object)| *object)).await;
            verdict.problems.push(sentence(&verdict.log, &inventory, hole, "missing", last));
        }
        for (at, object) in &stretch.segments {
            if !seen.insert(object.name.clone()) {
                continue;
            }
            verdict.segments += 1;
            // One that grows is replaced every few seconds.
            let grows = matches!(object.entry, WalEntry::Growing(..));
            let looked = match depth {
                _ if grows => Ok(()),
                Depth::Exists => Ok(()),
                Depth::Sample { .. } => repository.wal_head(object).await.map(drop),
                Depth::Read => repository.read_wal(object).await.map(|_| {
                    verdict.read += 1;
                    verdict.bytes_read += object.size;
                    observer.on_event(&Event::Progress { bytes: object.size });
                }),
            };
            match looked {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    let to = Lsn(at.0.saturating_add(inventory.segment_size));
                    let hole = WalHole { timeline: stretch.timeline, from: *at, to, until };
                    let before = stretch.segments.iter().filter(|(other, _)| other < at);
                    let last = last_transaction(repository, before.map(|(_, o)| *o)).await;
                    let text = sentence(&verdict.log, &inventory, &hole, "damaged", last);
                    verdict.problems.push(format!("{text} ({error})"));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(verdict)
}

/// Returns when the last transaction before a hole ended, as far as the nearest heads tell.
async fn last_transaction<'a>(
    repository: &Repository,
    before: impl DoubleEndedIterator<Item = &'a WalObject>,
) -> Option<Timestamp> {
    for object in before.rev().take(8) {
        // A head that does not open is told where its segment is looked at.
        let facts = repository.wal_head(object).await.ok().and_then(|head| head.facts);
        if let Some((_, latest)) = facts.and_then(|facts| facts.times) {
            return Some(latest.at);
        }
    }
    None
}

fn sentence(
    log: &WalLog,
    inventory: &Inventory,
    hole: &WalHole,
    what: &str,
    last: Option<Timestamp>,
) -> String {
    let size = inventory.segment_size.max(1);
    let count = (hole.to.0 - hole.from.0) / size;
    let segment = WalSegment::holding(hole.timeline, hole.from, size);
    let which = if count > 1 {
        format!("{count} segments from {segment} on are {what}")
    } else {
        format!("segment {segment} is {what}")
    };
    let after = match last {
        Some(last) => format!("after {last}"),
        None => format!("from position {} on", hole.from),
    };
    let until = match hole.until {
        Some(until) => format!("and before the snapshot of {until}"),
        None => "until a new physical snapshot is taken".to_owned(),
    };
    format!(
        "WAL of {} (cluster {}): {which}; points in time {after} {until} cannot be recovered.",
        log.source, log.system
    )
}

/// Returns what recovery reads from each snapshot on up to the next one, oldest first, and what
/// it would miss. Snapshots from which WAL was given up by retention are left out: those that
/// began before what is stored, but for the last of them.
fn stretches<'a>(inventory: &'a Inventory, bases: &[RecoveryBase]) -> Vec<Stretch<'a>> {
    let size = inventory.segment_size;
    let stored = || inventory.timelines.values().flat_map(|wal| wal.segments.keys());
    let Some(begin) = stored().min().filter(|_| size > 0) else { return Vec::new() };
    let first = bases.iter().rposition(|base| base.start.segment_start(size) <= *begin);
    let kept = bases.get(first.unwrap_or(0)..).unwrap_or_default();
    kept.iter()
        .enumerate()
        .map(|(position, base)| stretch(inventory, base, kept.get(position + 1)))
        .collect()
}

fn stretch<'a>(
    inventory: &'a Inventory,
    base: &RecoveryBase,
    next: Option<&RecoveryBase>,
) -> Stretch<'a> {
    let size = inventory.segment_size;
    let timeline = newest_descendant(inventory, base);
    let path = inventory.path_to(timeline).unwrap_or_else(|| vec![(base.timeline, None)]);
    // The last position that is stored anywhere on the way; behind it nothing can be missed.
    let on_path: BTreeMap<Lsn, ()> = path
        .iter()
        .filter_map(|(number, _)| inventory.timelines.get(number))
        .flat_map(|wal| wal.segments.keys().chain(wal.partials.keys()).map(|at| (*at, ())))
        .collect();
    // The next snapshot holds the segment that it ends in itself.
    let last = on_path.keys().next_back().copied().unwrap_or(Lsn(0));
    let last = next.map_or(last, |next| last.min(next.start.segment_start(size)));
    let mut found = Stretch { timeline, segments: Vec::new(), holes: Vec::new() };
    let mut at = super::first_needed(inventory, &path, base).segment_start(size);
    while at <= last {
        let next_at = Lsn(at.0.saturating_add(size));
        match inventory.segment_on(&path, at) {
            Some((_, object)) => found.segments.push((at, object)),
            None => match found.holes.last_mut() {
                Some(hole) if hole.to == at => hole.to = next_at,
                _ => found.holes.push(WalHole {
                    timeline: timeline_at(&path, at),
                    from: at,
                    to: next_at,
                    until: next.map(|next| next.finished_at),
                }),
            },
        }
        at = next_at;
    }
    found
}

/// The timeline of a path that is current at a position.
fn timeline_at(path: &[(u32, Option<Lsn>)], at: Lsn) -> u32 {
    let current = path.iter().find(|(_, left)| left.is_none_or(|left| left > at));
    current.or(path.last()).map_or(1, |(timeline, _)| *timeline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::{SnapshotId, WalFile};

    const SIZE: u64 = 16 << 20;

    fn inventory(numbers: &[u32]) -> Inventory {
        let object = |number: &u32| WalObject {
            entry: WalEntry::File(WalFile::Segment(WalSegment {
                timeline: 1,
                high: 0,
                low: *number,
            })),
            digest: [0; 8],
            name: format!("wal/shop/1/00000001/{number:024}-0000000000000000").parse().unwrap(),
            size: 10,
            stored_at: Timestamp::UNIX_EPOCH,
        };
        Inventory::sort(&numbers.iter().map(object).collect::<Vec<_>>(), SIZE, [].into())
    }

    fn base(number: u8) -> RecoveryBase {
        let start = u64::from(number) * SIZE + 100;
        RecoveryBase {
            snapshot: SnapshotId([number; 16]),
            system: 1,
            timeline: 1,
            start: Lsn(start),
            stop: Lsn(start + 500),
            finished_at: Timestamp::from_second(i64::from(number)).unwrap(),
        }
    }

    /// The holes as segment numbers, with the snapshot that ends what is lost.
    fn holes(numbers: &[u32], bases: &[u8]) -> Vec<(u64, u64, Option<i64>)> {
        let bases: Vec<_> = bases.iter().map(|number| base(*number)).collect();
        let inventory = inventory(numbers);
        let found = stretches(&inventory, &bases);
        let holes = found.into_iter().flat_map(|stretch| stretch.holes);
        let numbers = |hole: WalHole| {
            let until = hole.until.map(Timestamp::as_second);
            (hole.from.0 / SIZE, hole.to.0 / SIZE, until)
        };
        holes.map(numbers).collect()
    }

    #[test]
    fn what_is_missing_is_named_with_what_it_costs() {
        let none: Vec<(u64, u64, Option<i64>)> = Vec::new();
        assert_eq!(holes(&[2, 3, 4, 5], &[2]), none);
        assert_eq!(holes(&[3, 4, 5], &[2]), none, "a snapshot holds the segment it ends in");
        assert_eq!(holes(&[2, 3, 6], &[2]), [(4, 6, None)]);
        assert_eq!(holes(&[2, 4, 5, 7], &[2, 5]), [(3, 4, Some(5)), (6, 7, None)]);
        assert_eq!(holes(&[], &[2]), none, "no WAL is stored, none is promised");
    }

    #[test]
    fn what_retention_gave_up_is_not_missed_and_what_it_kept_is() {
        let none: Vec<(u64, u64, Option<i64>)> = Vec::new();
        // Kept from the second snapshot on.
        assert_eq!(holes(&[5, 6, 7], &[2, 5]), none);
        assert_eq!(holes(&[7, 8], &[2, 5]), [(6, 7, None)]);
        // Snapshots that came after what is stored begins.
        assert_eq!(holes(&[1, 2, 3], &[2]), none);
    }
}
