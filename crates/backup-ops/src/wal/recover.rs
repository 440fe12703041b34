//! From what a person asks for to a plan: gathers facts for the pure planner.

use backup_core::{Error, ErrorKind, Lsn, Result, SourceName, WalFacts, WalFile, WalSegment};
use backup_repository::{Repository, WalEntry, WalLog, WalObject};

use super::inventory::{Inventory, read_heads, take_inventory};
use super::plan::{
    RecoveryBase, RecoveryGoal, RecoveryPlan, descends_from, newest_descendant, plan_recovery,
};

/// Which timeline to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimelineChoice {
    /// The newest that descends from the snapshot.
    #[default]
    Latest,
    /// The snapshot's own.
    Current,
    /// This one.
    Number(u32),
}

/// Plans a recovery of a source from the first of `bases` (best first) from which the goal can be
/// reached.
///
/// Fails with `NotFound` when it can be reached from none: the error is that of the best one and
/// names the nearest points; `Integrity` when stored WAL on the way contradicts itself.
pub async fn find_recovery(
    repository: &Repository,
    source: &SourceName,
    bases: &[RecoveryBase],
    choice: TimelineChoice,
    goal: &RecoveryGoal,
) -> Result<RecoveryPlan> {
    let mut first = None;
    let mut known: Option<(u64, Inventory)> = None;
    for base in bases {
        if known.as_ref().is_none_or(|(system, _)| *system != base.system) {
            let log = WalLog { source: source.clone(), system: base.system };
            known = Some((base.system, take_inventory(repository, &log).await?));
        }
        let Some((_, inventory)) = &known else { continue };
        match try_base(repository, inventory, base, choice, goal).await {
            Ok(plan) => return Ok(plan),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first.unwrap_or_else(|| {
        Error::new(ErrorKind::NotFound, "plan recovery")
            .with("source", source)
            .hint("Point-in-time recovery needs a physical snapshot: `backup --mode physical`.")
    }))
}

async fn try_base(
    repository: &Repository,
    inventory: &Inventory,
    base: &RecoveryBase,
    choice: TimelineChoice,
    goal: &RecoveryGoal,
) -> Result<RecoveryPlan> {
    let timeline = match choice {
        TimelineChoice::Latest => newest_descendant(inventory, base),
        TimelineChoice::Current => base.timeline,
        TimelineChoice::Number(number) => number,
    };
    if !descends_from(inventory, timeline, base) {
        return Err(Error::new(ErrorKind::NotFound, "plan recovery")
            .with("snapshot", base.snapshot.short())
            .with("timeline", timeline)
            .because("that timeline does not go on from where the snapshot ends, or its history is not stored")
            .hint("`backupctl wal status` shows the timelines; leave --timeline out for the newest."));
    }
    let path = inventory.path_to(timeline).unwrap_or_else(|| vec![(base.timeline, None)]);
    let segments = inventory.walk(&path, first_needed(inventory, &path, base));
    if let Some(conflict) = contradiction(inventory, &segments) {
        return Err(Error::new(ErrorKind::Integrity, "plan recovery")
            .with("file", conflict)
            .because("contents that contradict each other are stored for it")
            .hint("`backupctl wal status` says which; move the wrong server's object away."));
    }
    let heads = match goal {
        RecoveryGoal::Time(_) | RecoveryGoal::Xid(_) | RecoveryGoal::RestorePoint(_) => {
            read_heads(repository, &segments).await?
        }
        _ => ends_of(repository, &segments).await?,
    };
    let mut plan = plan_recovery(base, inventory, &heads, timeline, goal)?;
    plan.segments = segments.len() as u64;
    Ok(plan)
}

/// Returns the stored segments that a planned recovery reads, in order, with what is known of
/// each.
pub async fn segments_on_the_way(
    repository: &Repository,
    log: &WalLog,
    plan: &RecoveryPlan,
) -> Result<Vec<(WalSegment, WalFacts)>> {
    let inventory = take_inventory(repository, log).await?;
    let alone = || vec![(plan.base.timeline, None)];
    let path = inventory.path_to(plan.timeline).unwrap_or_else(alone);
    let stored = inventory.walk(&path, first_needed(&inventory, &path, &plan.base));
    let heads = read_heads(repository, &stored).await?;
    let segments = stored.iter().filter_map(|(_, object)| match object.entry {
        WalEntry::File(WalFile::Segment(segment) | WalFile::Partial(segment))
        | WalEntry::Growing(segment, ..) => Some(segment),
        WalEntry::File(_) | WalEntry::Gap(_) => None,
    });
    Ok(segments.zip(heads).collect())
}

/// Only how far the WAL reaches matters: the last two heads, since the last may have no record.
async fn ends_of(repository: &Repository, segments: &[(Lsn, &WalObject)]) -> Result<Vec<WalFacts>> {
    read_heads(repository, segments.get(segments.len().saturating_sub(2)..).unwrap_or_default())
        .await
}

fn contradiction(
    inventory: &Inventory,
    segments: &[(Lsn, &WalObject)],
) -> Option<backup_core::WalFile> {
    let used = |file: &&backup_core::WalFile| {
        let entry = backup_repository::WalEntry::File(**file);
        segments.iter().any(|(_, object)| object.entry == entry)
    };
    inventory.conflicts.iter().find(used).copied()
}

/// Returns from where on archived WAL is needed. The segment in which a snapshot ends is in the
/// snapshot itself; where the archive has it too, it is read from there.
pub(super) fn first_needed(
    inventory: &Inventory,
    path: &[(u32, Option<Lsn>)],
    base: &RecoveryBase,
) -> Lsn {
    let size = inventory.segment_size.max(1);
    let first = base.stop.segment_start(size);
    if inventory.segment_on(path, first).is_some() {
        return first;
    }
    Lsn(first.0.saturating_add(size))
}
