//! Which snapshot, which WAL, which timeline: can this point be reached, and if not, which is
//! the nearest that can? Pure.

use std::fmt;

use backup_core::{
    Error, ErrorKind, Lsn, Snapshot, SnapshotId, SnapshotKind, WalFacts, WalInstant,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::inventory::Inventory;

/// Where a recovery is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryGoal {
    /// With every transaction that was committed up to a time, and none after.
    Time(Timestamp),
    /// Behind a position.
    Lsn(Lsn),
    /// With a transaction, and none that ended after it.
    Xid(u32),
    /// At a named restore point.
    RestorePoint(String),
    /// As soon as the copy is consistent.
    Immediate,
    /// At the end of what is stored.
    Latest,
}

impl fmt::Display for RecoveryGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "time {time}"),
            Self::Lsn(lsn) => write!(f, "position {lsn}"),
            Self::Xid(xid) => write!(f, "transaction {xid}"),
            Self::RestorePoint(name) => write!(f, "restore point '{name}'"),
            Self::Immediate => f.write_str("the end of the snapshot"),
            Self::Latest => f.write_str("the end of the stored WAL"),
        }
    }
}

/// What a recovery begins from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryBase {
    /// The physical snapshot.
    pub snapshot: SnapshotId,
    /// Its cluster.
    pub system: u64,
    /// Its timeline.
    pub timeline: u32,
    /// Where its own WAL begins.
    pub start: Lsn,
    /// Where a copy is consistent.
    pub stop: Lsn,
    /// No earlier than when that was.
    pub finished_at: Timestamp,
}

/// What a physical snapshot says of its cluster, as far as is needed here.
#[derive(Deserialize)]
struct ClusterFact {
    system: String,
    timeline: u32,
    start: Lsn,
    stop: Lsn,
}

impl RecoveryBase {
    /// Reads it from a snapshot; `None` for one that is not physical.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        if snapshot.kind != SnapshotKind::Physical {
            return None;
        }
        let fact: ClusterFact =
            serde_json::from_str(snapshot.evidence.facts.get("cluster")?).ok()?;
        Some(Self {
            snapshot: snapshot.id,
            system: fact.system.parse().ok()?,
            timeline: fact.timeline,
            start: fact.start,
            stop: fact.stop,
            finished_at: snapshot.finished_at,
        })
    }
}

/// A recovery that will work, as far as the stored WAL tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPlan {
    /// What it begins from.
    pub base: RecoveryBase,
    /// The timeline it follows.
    pub timeline: u32,
    /// Where the server is told to stop; it may differ from what was asked for where that says the
    /// same in a way that the server can follow.
    pub goal: RecoveryGoal,
    /// Position up to which stored WAL reaches without a hole.
    pub reaches: Lsn,
    /// The last transaction that ended before that.
    pub last: Option<WalInstant>,
    /// Segments that will be fetched, at most.
    pub segments: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl RecoveryPlan {
    /// Fails with `Integrity` where a server that was to replay all stored WAL stopped before its
    /// end; `replayed` is the end of the last record that it replayed.
    pub fn demand(&self, replayed: Option<Lsn>) -> Result<(), Error> {
        let Some(why) = fell_short(&self.goal, self.reaches, replayed) else { return Ok(()) };
        Err(Error::new(ErrorKind::Integrity, "recover cluster")
            .with("snapshot", self.base.snapshot.short())
            .with("timeline", self.timeline)
            .because(why)
            .hint(
                "A stored segment is damaged inside: the server took that for the end of the WAL. \
                 Take a new physical snapshot; this copy lacks what came after.",
            ))
    }
}

/// Returns what is missing, a phrase, where all stored WAL was to be replayed and was not. To a
/// server without a target a damaged record is the end of the WAL: it opens without a word.
pub(crate) fn fell_short(
    goal: &RecoveryGoal,
    reaches: Lsn,
    replayed: Option<Lsn>,
) -> Option<String> {
    if *goal != RecoveryGoal::Latest || replayed.is_some_and(|replayed| replayed >= reaches) {
        return None;
    }
    let replayed = replayed.map_or("an unknown position".to_owned(), |at| at.to_string());
    Some(format!("WAL was replayed up to {replayed} only; stored WAL reaches {reaches}"))
}

/// Plans a recovery. `bases` are those that may be used, of one cluster; `choose` returns the
/// facts of the segments along a path, in order, as far as they are known.
///
/// Fails with `NotFound` when no stored WAL reaches the goal; the error names the nearest point
/// that can be reached.
pub fn plan_recovery(
    base: &RecoveryBase,
    inventory: &Inventory,
    heads: &[WalFacts],
    timeline: u32,
    goal: &RecoveryGoal,
) -> Result<RecoveryPlan, Error> {
    let times = || heads.iter().filter_map(|head| head.times);
    let last = times().map(|(_, latest)| latest).max_by_key(|instant| (instant.at, instant.end));
    // Behind the last whole record: one that only began to be stored is not replayed.
    let ends = heads.iter().rev().find(|head| head.end > head.start).map(|head| head.end);
    let reaches = ends.map_or(base.stop, |end| end.max(base.stop));
    let mut plan = RecoveryPlan {
        base: base.clone(),
        timeline,
        goal: goal.clone(),
        reaches,
        last,
        segments: heads.len() as u64,
        notes: Vec::new(),
    };
    let refuse = |reason: String| {
        let error = Error::new(ErrorKind::NotFound, "plan recovery")
            .with("goal", goal)
            .with("snapshot", base.snapshot.short())
            .with("timeline", timeline)
            .because(reason);
        Err(error.hint(nearest(base, reaches, last)))
    };
    match goal {
        RecoveryGoal::Immediate | RecoveryGoal::Latest => {}
        RecoveryGoal::Lsn(lsn) => {
            if *lsn < base.stop {
                return refuse(before(
                    base,
                    &format!("its copy is consistent from {} on", base.stop),
                ));
            }
            // The server stops behind the first record that begins there or later.
            if *lsn >= reaches {
                return refuse(format!("stored WAL reaches {reaches}"));
            }
        }
        RecoveryGoal::Time(time) => {
            if *time < base.finished_at {
                return refuse(before(base, &format!("it was finished at {}", base.finished_at)));
            }
            let later = times().any(|(_, latest)| latest.at > *time);
            if !later {
                let checkpoints = heads.iter().filter_map(|head| head.checkpoint);
                if checkpoints.map(|point| point.at).max() < Some(*time) {
                    return refuse(match last {
                        Some(last) => format!("the last stored transaction ended at {}", last.at),
                        None => "no transaction is stored after the snapshot".to_owned(),
                    });
                }
                if straddled(heads) {
                    // It may be a transaction that ended later: all WAL would be too much.
                    plan.notes.push(format!(
                        "Behind the last known transaction a record crosses from one segment into \
                         the next. If it is no transaction that ended after {time}, the server \
                         ends with \"recovery ended before configured recovery target was \
                         reached\": then --latest is that moment."
                    ));
                } else {
                    // The server could not tell this time from the end of its WAL, and would give
                    // up.
                    plan.goal = RecoveryGoal::Latest;
                    plan.notes.push(format!(
                        "No transaction ended after {time}: the end of the stored WAL is that \
                         moment."
                    ));
                }
            }
        }
        RecoveryGoal::Xid(xid) => {
            let within = |(low, high): (u32, u32)| xid.wrapping_sub(low) <= high.wrapping_sub(low);
            // The end of one that crosses into the next segment is not among their ids.
            let known = heads.iter().filter_map(|head| head.xids).any(within);
            if !known && !crossing(heads).any(WalFacts::straddles) {
                return refuse("no stored segment has a transaction around that number".to_owned());
            }
        }
        RecoveryGoal::RestorePoint(name) => {
            let found = |head: &&WalFacts| {
                let points = head.restore_points.iter();
                points.filter(|p| p.instant.end > base.stop).any(|p| p.name == *name)
            };
            let listed: Vec<_> = heads.iter().filter(found).collect();
            if listed.is_empty() && !heads.iter().any(|head| head.more_restore_points) {
                let known: Vec<&str> = heads
                    .iter()
                    .flat_map(|head| &head.restore_points)
                    .map(|point| point.name.as_str())
                    .collect();
                return refuse(match known.as_slice() {
                    [] => "no restore point is stored after that snapshot".to_owned(),
                    known => format!("restore points there are: {}", known.join(", ")),
                });
            }
            if listed.len() > 1 {
                plan.notes
                    .push(format!("There are several points '{name}'; the first one is used."));
            }
        }
    }
    if let Some(lost) = inventory.lost.iter().find(|segment| {
        segment.start(inventory.segment_size).is_some_and(|at| at >= base.stop && at <= reaches)
    }) {
        plan.notes.push(format!("WAL from {lost} on was reported lost; check what is missing."));
    }
    Ok(plan)
}

/// Returns the segments that another one follows.
fn crossing(heads: &[WalFacts]) -> impl Iterator<Item = &WalFacts> {
    heads.iter().take(heads.len().saturating_sub(1))
}

/// Returns whether a record that no segment tells of may be a transaction behind the last known.
fn straddled(heads: &[WalFacts]) -> bool {
    let last = heads.iter().rposition(|head| head.times.is_some()).unwrap_or_default();
    crossing(heads).skip(last).any(WalFacts::straddles)
}

fn before(base: &RecoveryBase, why: &str) -> String {
    format!("that is before snapshot {} ends: {why}; take an older snapshot", base.snapshot.short())
}

fn nearest(base: &RecoveryBase, reaches: Lsn, last: Option<WalInstant>) -> String {
    let end = match last {
        Some(last) => format!(
            "--latest (the last transaction there ended at {}, position {})",
            last.at, last.end
        ),
        None => format!("--latest (position {reaches})"),
    };
    format!(
        "Nearest points that can be reached: --immediate (snapshot {}, position {}), or {end}.",
        base.snapshot.short(),
        base.stop
    )
}

/// Returns the timeline that a recovery follows when none was named: the newest that descends
/// from where the base ends. (PostgreSQL takes the highest number, and gives up where that is no
/// descendant.)
#[must_use]
pub fn newest_descendant(inventory: &Inventory, base: &RecoveryBase) -> u32 {
    let descends = |timeline: &&u32| descends_from(inventory, **timeline, base);
    inventory.timelines.keys().rev().find(descends).copied().unwrap_or(base.timeline)
}

/// Returns the timeline that was written to last, by when its segments were stored.
#[must_use]
pub fn newest_written(inventory: &Inventory) -> Option<u32> {
    let newest = inventory.timelines.iter().filter_map(|(number, wal)| {
        let objects = wal.segments.values().chain(wal.partials.values());
        Some((objects.map(|object| object.stored_at).max()?, *number))
    });
    newest.max().map(|(_, number)| number)
}

/// Returns whether any WAL of a timeline is stored, and not only where it came from.
fn has_wal(inventory: &Inventory, timeline: u32) -> bool {
    let wal = inventory.timelines.get(&timeline);
    wal.is_some_and(|wal| !wal.segments.is_empty() || !wal.partials.is_empty())
}

/// Returns the timeline at whose end the newest stored WAL is, as far as a base leads there. One
/// that has only begun ends where it left the other.
pub(super) fn timeline_to_the_end(inventory: &Inventory, base: &RecoveryBase) -> u32 {
    let highest = newest_descendant(inventory, base);
    let newest = newest_written(inventory).filter(|newest| descends_from(inventory, *newest, base));
    newest.filter(|_| has_wal(inventory, highest)).unwrap_or(highest)
}

/// Returns what a person should know who wants the end of stored WAL where several timelines could
/// be meant.
pub(super) fn another_end(inventory: &Inventory, plan: &RecoveryPlan) -> Option<String> {
    let (chosen, newest) = (plan.timeline, newest_written(inventory)?);
    let path = inventory.path_to(chosen).unwrap_or_default();
    let begun = !has_wal(inventory, chosen) && path.iter().any(|(number, _)| *number == newest);
    if newest != chosen && !begun {
        return Some(format!(
            "Timeline {newest} was written to after timeline {chosen}, and snapshot {} does not \
             lead there: this is the end of a timeline that was left. Take an older snapshot, or a \
             new one of the cluster as it is.",
            plan.base.snapshot.short()
        ));
    }
    let higher = inventory.timelines.keys().rev().find(|number| has_wal(inventory, **number))?;
    (*higher > chosen).then(|| {
        format!(
            "Timeline {chosen} was written to last; if the cluster is on timeline {higher}, pass \
             --timeline {higher}."
        )
    })
}

/// Returns whether a timeline goes on from where a base ends.
#[must_use]
pub fn descends_from(inventory: &Inventory, timeline: u32, base: &RecoveryBase) -> bool {
    if timeline == base.timeline {
        return true;
    }
    inventory.path_to(timeline).is_some_and(|path| {
        path.iter().any(|(parent, left)| {
            *parent == base.timeline && left.is_none_or(|left| left >= base.stop)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::history::Branch;
    use backup_core::{RestorePoint, WalFile, WalSegment};
    use backup_repository::{WalEntry, WalObject};

    const SIZE: u64 = 16 << 20;

    fn time(minute: u32) -> Timestamp {
        format!("2026-11-01T00:{minute:02}:00Z").parse().unwrap()
    }

    fn base() -> RecoveryBase {
        RecoveryBase {
            snapshot: SnapshotId([7; 16]),
            system: 1,
            timeline: 1,
            start: Lsn(2 * SIZE),
            stop: Lsn(2 * SIZE + 500),
            finished_at: time(2),
        }
    }

    /// A segment whose transactions ended between these minutes.
    fn head(number: u64, from: u32, to: u32) -> WalFacts {
        let instant =
            |minute, offset| WalInstant { at: time(minute), end: Lsn(number * SIZE + offset) };
        WalFacts {
            start: Lsn(number * SIZE),
            end: Lsn((number + 1) * SIZE - 8),
            transactions: 2,
            times: Some((instant(from, 100), instant(to, 900))),
            xids: Some((number as u32 * 10, number as u32 * 10 + 9)),
            restore_points: vec![RestorePoint {
                name: format!("p{number}"),
                instant: instant(to, 950),
            }],
            ..WalFacts::default()
        }
    }

    fn heads() -> Vec<WalFacts> {
        vec![head(2, 1, 3), head(3, 3, 8), head(4, 9, 20)]
    }

    fn plan(goal: &RecoveryGoal) -> Result<RecoveryPlan, Error> {
        plan_recovery(&base(), &Inventory::default(), &heads(), 1, goal)
    }

    #[test]
    fn what_is_stored_can_be_reached() {
        for goal in [
            RecoveryGoal::Immediate,
            RecoveryGoal::Latest,
            RecoveryGoal::Time(time(2)),
            RecoveryGoal::Time(time(19)),
            RecoveryGoal::Lsn(Lsn(2 * SIZE + 500)),
            RecoveryGoal::Lsn(Lsn(5 * SIZE - 100)),
            RecoveryGoal::Xid(35),
            RecoveryGoal::RestorePoint("p3".into()),
        ] {
            let plan = plan(&goal).unwrap();
            assert_eq!((plan.goal, plan.reaches), (goal, Lsn(5 * SIZE - 8)));
            assert_eq!(plan.last.unwrap().at, time(20));
            assert!(plan.notes.is_empty());
        }
    }

    #[test]
    fn what_is_not_is_refused_with_the_nearest_point() {
        for goal in [
            RecoveryGoal::Time(time(1)),
            RecoveryGoal::Time(time(20)),
            RecoveryGoal::Time(time(40)),
            RecoveryGoal::Lsn(Lsn(2 * SIZE)),
            RecoveryGoal::Lsn(Lsn(5 * SIZE - 8)),
            RecoveryGoal::Xid(50),
            RecoveryGoal::Xid(5),
            RecoveryGoal::RestorePoint("p9".into()),
        ] {
            let error = plan(&goal).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{goal}");
            let hint = error.remedy().unwrap();
            assert!(
                hint.contains("2026-11-01T00:20:00Z") && hint.contains("--immediate"),
                "{hint}"
            );
        }
        let error = plan(&RecoveryGoal::RestorePoint("p9".into())).unwrap_err();
        assert!(error.to_string().contains("p2, p3, p4"), "{error}");
    }

    #[test]
    fn a_time_when_nothing_happened_is_the_end_once_that_is_known() {
        let mut heads = heads();
        heads[2].checkpoint = Some(WalInstant { at: time(30), end: Lsn(5 * SIZE - 8) });
        let at = |minute| {
            let goal = RecoveryGoal::Time(time(minute));
            plan_recovery(&base(), &Inventory::default(), &heads, 1, &goal)
        };
        let plan = at(25).unwrap();
        assert_eq!(plan.goal, RecoveryGoal::Latest);
        assert_eq!(plan.notes.len(), 1);
        assert!(at(31).is_err(), "nobody knows what happened then");
    }

    #[test]
    fn ids_wrap_around() {
        let mut heads = heads();
        heads[1].xids = Some((u32::MAX - 5, 7));
        let can = |xid| {
            plan_recovery(&base(), &Inventory::default(), &heads, 1, &RecoveryGoal::Xid(xid))
                .is_ok()
        };
        assert!(can(u32::MAX) && can(3) && can(7) && !can(8) && !can(1000));
    }

    #[test]
    fn the_newest_descendant_is_followed() {
        let branch = |end| vec![Branch { timeline: 1, end: Lsn(end) }];
        let histories = [(2, branch(3 * SIZE)), (3, branch(4 * SIZE)), (4, branch(2 * SIZE))];
        let inventory = Inventory::sort(&[], SIZE, histories.into());
        // 4 left timeline 1 before this base ended.
        assert_eq!(newest_descendant(&inventory, &base()), 3);
        assert!(!descends_from(&inventory, 4, &base()));
        assert_eq!(newest_descendant(&Inventory::default(), &base()), 1);
    }

    /// Behind the last known transaction, records cross from one segment into the next.
    fn crossing_heads() -> Vec<WalFacts> {
        let mut heads = heads();
        heads.push(WalFacts {
            start: Lsn(5 * SIZE),
            end: Lsn(5 * SIZE + 90),
            ..WalFacts::default()
        });
        heads[3].checkpoint = Some(WalInstant { at: time(30), end: Lsn(5 * SIZE + 90) });
        for head in &mut heads {
            head.segment_size = SIZE as u32;
        }
        heads
    }

    #[test]
    fn a_record_that_crosses_may_be_a_transaction_that_ended_later() {
        let plan = |heads: &[WalFacts], goal: RecoveryGoal| {
            plan_recovery(&base(), &Inventory::default(), heads, 1, &goal)
        };
        let at = || RecoveryGoal::Time(time(25));
        let mut heads = crossing_heads();
        let kept = plan(&heads, at()).unwrap();
        assert_eq!((kept.goal, kept.notes.len()), (at(), 1), "all WAL may be too much");
        assert!(plan(&heads, RecoveryGoal::Xid(5)).is_ok(), "it is looked for where they cross");
        for head in &mut heads {
            head.switched = true;
        }
        assert_eq!(plan(&heads, at()).unwrap().goal, RecoveryGoal::Latest);
        assert!(plan(&heads, RecoveryGoal::Xid(5)).is_err());
        // What crosses before the last known transaction ended before it.
        (heads[0].switched, heads[1].switched) = (false, false);
        assert_eq!(plan(&heads, at()).unwrap().goal, RecoveryGoal::Latest);
        // Behind the last stored segment nothing is replayed.
        heads[3].switched = false;
        assert_eq!(plan(&heads, at()).unwrap().goal, RecoveryGoal::Latest);
    }

    #[test]
    fn a_record_that_only_began_to_be_stored_is_not_reached() {
        let mut heads = crossing_heads();
        heads[3].end = heads[3].start;
        let plan = plan_recovery(&base(), &Inventory::default(), &heads, 1, &RecoveryGoal::Latest)
            .unwrap();
        assert_eq!(plan.reaches, heads[2].end);
        assert!(plan.demand(Some(plan.reaches)).is_ok());
        let error = plan.demand(Some(Lsn(plan.reaches.0 - 8))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        let error = plan.demand(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "unknown is not reached");
    }

    /// Timeline 2 left timeline 1 at segment 3; both went on, one of them last.
    fn two(last: u32) -> Inventory {
        let object = |timeline: u32, number: u32| WalObject {
            entry: WalEntry::File(WalFile::Segment(WalSegment { timeline, high: 0, low: number })),
            digest: [0; 8],
            name: format!("wal/shop/1/{timeline:08}/{number:024}").parse().unwrap(),
            size: 1,
            stored_at: time(if timeline == last { 40 } else { 30 }),
        };
        let objects = [object(1, 2), object(1, 3), object(1, 9), object(2, 3), object(2, 4)];
        let left = Branch { timeline: 1, end: Lsn(3 * SIZE + 80) };
        Inventory::sort(&objects, SIZE, [(2, vec![left])].into())
    }

    #[test]
    fn the_end_is_that_of_the_timeline_that_was_written_last() {
        let behind = RecoveryBase { start: Lsn(8 * SIZE), stop: Lsn(8 * SIZE + 500), ..base() };
        let inventory = two(2);
        assert_eq!(newest_written(&inventory), Some(2));
        // A snapshot behind the fork does not lead there, and that is said.
        let told = |inventory: &Inventory, base: &RecoveryBase| {
            let timeline = timeline_to_the_end(inventory, base);
            let none = Inventory::default();
            let plan = plan_recovery(base, &none, &heads(), timeline, &RecoveryGoal::Latest);
            (timeline, another_end(inventory, &plan.unwrap()).unwrap_or_default())
        };
        let (timeline, note) = told(&inventory, &behind);
        assert!(timeline == 1 && note.starts_with("Timeline 2 was written to after"), "{note}");
        assert_eq!(told(&inventory, &base()), (2, String::new()));
        // Timeline 2 was a trial: timeline 1 went on.
        let (timeline, note) = told(&two(1), &base());
        assert!(timeline == 1 && note.contains("--timeline 2"), "{note}");
        // Nothing but the history of timeline 2 is there: it ends at the fork.
        let mut begun = two(1);
        begun.timelines.get_mut(&2).unwrap().segments.clear();
        assert_eq!(told(&begun, &base()), (2, String::new()));
        assert_eq!(newest_written(&Inventory::default()), None);
    }
}
