//! From what a person asks for to a plan: gathers facts for the pure planner.

use backup_core::{Error, ErrorKind, Lsn, Result, SourceName, WalFacts, WalFile, WalSegment};
use backup_repository::{Repository, WalEntry, WalLog, WalObject};

use super::inventory::{Inventory, read_heads, take_inventory};
use super::plan::{
    RecoveryBase, RecoveryGoal, RecoveryPlan, another_end, descends_from, newest_descendant,
    newest_written, plan_recovery, timeline_to_the_end,
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
/// reached. To the end of stored WAL those are better that lead to where it was written last.
///
/// Fails with `NotFound` when it can be reached from none: the error is that of the best one and
/// names the nearest points; `Integrity` when stored WAL on the way contradicts itself, or is
/// damaged before the end that was asked for.
pub async fn find_recovery(
    repository: &Repository,
    source: &SourceName,
    bases: &[RecoveryBase],
    choice: TimelineChoice,
    goal: &RecoveryGoal,
) -> Result<RecoveryPlan> {
    let mut first = None;
    let mut known: Option<(u64, Inventory)> = None;
    let mut ordered: Vec<&RecoveryBase> = bases.iter().collect();
    if let (RecoveryGoal::Latest, TimelineChoice::Latest, Some(best)) =
        (goal, choice, bases.first())
    {
        let log = WalLog { source: source.clone(), system: best.system };
        let inventory = take_inventory(repository, &log).await?;
        if let Some(newest) = newest_written(&inventory) {
            ordered.sort_by_key(|base| {
                base.system != best.system || !descends_from(&inventory, newest, base)
            });
        }
        known = Some((best.system, inventory));
    }
    for base in ordered {
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
        TimelineChoice::Latest if *goal == RecoveryGoal::Latest => {
            timeline_to_the_end(inventory, base)
        }
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
    let mut segments = inventory.walk(&path, first_needed(inventory, &path, base));
    if let Some(conflict) = contradiction(inventory, &segments) {
        return Err(Error::new(ErrorKind::Integrity, "plan recovery")
            .with("file", conflict)
            .because("contents that contradict each other are stored for it")
            .hint("`backupctl wal status` says which; move the wrong server's object away."));
    }
    let mut heads = match goal {
        RecoveryGoal::Immediate => ends_of(repository, &segments).await?,
        _ => read_heads(repository, &segments).await?,
    };
    end_at_forks(&path, &segments, &mut heads);
    let damaged = damaged_inside(&segments, &heads);
    let file = damaged.and_then(|at| segments.get(at)).map(|(_, object)| object.name.clone());
    if let Some(at) = damaged {
        // A server replays nothing behind it, whatever is stored.
        segments.truncate(at + 1);
        heads.truncate(at + 1);
    }
    let named = |error: Error| match &file {
        Some(file) => error.with("damaged inside", file),
        None => error,
    };
    if damaged.is_some() && *goal == RecoveryGoal::Latest {
        return Err(named(Error::new(ErrorKind::Integrity, "plan recovery"))
            .with("snapshot", base.snapshot.short())
            .because("the WAL in a stored segment ends early: nothing behind it can be replayed")
            .hint(
                "Take a new physical snapshot: it makes up for that. A time before the damage can \
                 be reached (--at).",
            ));
    }
    let mut plan = plan_recovery(base, inventory, &heads, timeline, goal).map_err(named)?;
    plan.segments = segments.len() as u64;
    if *goal == RecoveryGoal::Latest {
        plan.notes.extend(another_end(inventory, &plan));
    }
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

/// Lets every head end where its timeline is left: what is stored of it behind that is not on the
/// way. `heads` are those of the last segments.
fn end_at_forks(
    path: &[(u32, Option<Lsn>)],
    segments: &[(Lsn, &WalObject)],
    heads: &mut [WalFacts],
) {
    for ((_, object), head) in segments.iter().rev().zip(heads.iter_mut().rev()) {
        let of = path.iter().find(|(timeline, _)| *timeline == object.entry.timeline());
        if let Some(left) = of.and_then(|(_, left)| *left) {
            head.end = head.end.min(left.max(head.start));
        }
    }
}

/// Returns which whole segment, of those that others follow, has WAL that ends early.
fn damaged_inside(segments: &[(Lsn, &WalObject)], heads: &[WalFacts]) -> Option<usize> {
    let followed = segments.len().saturating_sub(1);
    segments.iter().zip(heads).take(followed).position(|((_, object), facts)| {
        facts.ended && matches!(object.entry, WalEntry::File(WalFile::Segment(_)))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> WalObject {
        WalObject {
            entry: WalEntry::File(text.parse().unwrap()),
            digest: [0; 8],
            name: format!("wal/shop/1/00000001/{text}").parse().unwrap(),
            size: 1,
            stored_at: "2026-11-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_lies_behind_a_fork_is_not_on_the_way() {
        let objects = ["000000010000000000000004", "000000010000000000000005"].map(object);
        let segments: Vec<_> = objects.iter().map(|object| (Lsn(0), object)).collect();
        let head =
            |start, end| WalFacts { start: Lsn(start), end: Lsn(end), ..WalFacts::default() };
        let ends = |path: &[(u32, Option<Lsn>)], mut heads: Vec<WalFacts>| {
            end_at_forks(path, &segments, &mut heads);
            heads.iter().map(|head| head.end.0).collect::<Vec<_>>()
        };
        let both = || vec![head(400, 490), head(500, 590)];
        // Nothing of timeline 2 but its history is stored.
        assert_eq!(ends(&[(1, Some(Lsn(520))), (2, None)], both()), [490, 520]);
        assert_eq!(ends(&[(1, Some(Lsn(520))), (2, None)], vec![head(500, 590)]), [520]);
        assert_eq!(ends(&[(1, Some(Lsn(480))), (2, None)], both()), [480, 500]);
        assert_eq!(ends(&[(1, None)], both()), [490, 590]);
    }

    #[test]
    fn a_whole_segment_that_others_follow_runs_to_its_end() {
        let names = ["000000010000000000000004.partial", "000000010000000000000005"];
        let objects: Vec<_> =
            names.into_iter().chain(["000000010000000000000006"]).map(object).collect();
        let segments: Vec<_> = objects.iter().map(|object| (Lsn(0), object)).collect();
        let head = |ended| WalFacts { ended, ..WalFacts::default() };
        let check = |ended: [bool; 3]| damaged_inside(&segments, &ended.map(head));
        assert_eq!(check([false, true, false]), Some(1));
        assert_eq!(check([true, false, false]), None, "an unfinished one ends early");
        assert_eq!(check([false, false, true]), None, "so does the last");
    }
}
