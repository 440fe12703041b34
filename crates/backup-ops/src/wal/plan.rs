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
    let reaches = heads.last().map_or(base.stop, |head| head.end.max(base.stop));
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
                // The server could not tell this time from the end of its WAL and would give up.
                plan.goal = RecoveryGoal::Latest;
                plan.notes.push(format!(
                    "No transaction ended after {time}: the end of the stored WAL is that moment."
                ));
            }
        }
        RecoveryGoal::Xid(xid) => {
            let within = |(low, high): (u32, u32)| xid.wrapping_sub(low) <= high.wrapping_sub(low);
            if !heads.iter().filter_map(|head| head.xids).any(within) {
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
    use backup_core::RestorePoint;

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
}
