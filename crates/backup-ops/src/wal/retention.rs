//! Which stored WAL is still needed, and why: a pure plan.
//!
//! WAL is needed from the oldest physical snapshot on from which points in time are promised, on
//! every timeline that was the cluster's within that time. Every physical snapshot holds the WAL to
//! become consistent itself, so that an older one can still be restored as it was taken.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_core::{Lsn, SnapshotId, VerifyLevel, WalFile};
use backup_repository::{WalEntry, WalLog, WalObject};
use jiff::Timestamp;

use super::inventory::Inventory;
use super::plan::{RecoveryBase, descends_from};

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

/// A physical snapshot that is kept.
#[derive(Clone, Debug)]
pub struct WalBase {
    /// What a recovery from it begins with.
    pub base: RecoveryBase,
    /// When its manifest appeared, by the store's clock.
    pub stored_at: Timestamp,
    /// Whether it is proved as far as is required, and its times can be believed.
    pub proved: bool,
}

/// What is known of one cluster.
#[derive(Clone, Debug)]
pub struct WalRetentionFacts {
    /// Whose.
    pub log: WalLog,
    /// Every stored object of its log.
    pub objects: Vec<WalObject>,
    /// Which timeline came from which.
    pub inventory: Inventory,
    /// The physical snapshots that are kept and not suspect.
    pub bases: Vec<WalBase>,
    /// Why nothing may be deleted whatever the rest says, a sentence.
    pub refusal: Option<String>,
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

    /// Keeps all after all; `reason` says why.
    pub fn refuse(&mut self, reason: &str) {
        self.kept += self.delete.len() as u64;
        self.kept_bytes += self.bytes();
        self.delete.clear();
        self.from = None;
        reason.clone_into(&mut self.reason);
    }
}

/// Decides. `now` and all times of objects and snapshots are the store's.
#[must_use]
pub fn plan_wal_retention(
    facts: &WalRetentionFacts,
    retention: WalRetention,
    now: Timestamp,
) -> WalRetentionPlan {
    let keep_all = |reason: &str| WalRetentionPlan {
        log: facts.log.clone(),
        delete: Vec::new(),
        kept: facts.objects.len() as u64,
        kept_bytes: facts.objects.iter().map(|object| object.size).sum(),
        from: None,
        reason: reason.to_owned(),
    };
    if let Some(refusal) = &facts.refusal {
        return keep_all(refusal);
    }
    let segment_size = facts.inventory.segment_size;
    if segment_size == 0 {
        return keep_all("No segment is stored.");
    }
    let (base, why) = match oldest_needed(facts, retention.window, now) {
        Ok(found) => found,
        Err(reason) => return keep_all(&reason),
    };
    // The lowest start of all snapshots from there on: one that took long began before others,
    // and one of a timeline that goes back in the log begins before those of the one it left.
    let later = facts.bases.iter().filter(|other| other.stored_at >= base.stored_at);
    let from = later.map(|other| other.base.start).min().unwrap_or(base.base.start);
    let from = from.segment_start(segment_size);
    let mut plan = keep_all("");
    (plan.kept, plan.kept_bytes) = (0, 0);
    plan.from = Some((base.base.snapshot, from));
    plan.reason =
        format!("Snapshot {} is {why}; WAL is kept from {from} on.", base.base.snapshot.short());
    for object in &facts.objects {
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

/// Returns the snapshot from which the oldest promised moment is reached, and why that; or why
/// none can be told. WAL is not given up on the word of a snapshot that nobody has looked at.
///
/// Positions say nothing across timelines: after a recovery in place the new one begins behind
/// snapshots that do not lead to it. So for each timeline that the window is about it is the newest
/// proved snapshot before the window that leads to that timeline, and the oldest of these counts.
fn oldest_needed(
    facts: &WalRetentionFacts,
    window: Option<Duration>,
    now: Timestamp,
) -> Result<(&WalBase, &'static str), String> {
    let oldest = facts.bases.iter().min_by_key(|base| (base.stored_at, base.base.start));
    let oldest = oldest.ok_or("No physical snapshot of this cluster is kept: all WAL stays.")?;
    let begin = window.and_then(|window| now.checked_sub(window).ok());
    let Some(begin) = begin else {
        return Ok((oldest, "the oldest physical one that is kept"));
    };
    let mut needed = None;
    for timeline in timelines_since(facts, begin) {
        let leads = |base: &&WalBase| descends_from(&facts.inventory, timeline, &base.base);
        let leading: Vec<&WalBase> = facts.bases.iter().filter(leads).collect();
        if leading.is_empty() {
            return Err(format!(
                "No kept snapshot leads to timeline {timeline}, or its history is not stored: \
                 all WAL stays. A new physical snapshot makes up for it."
            ));
        }
        let before = || leading.iter().copied().filter(|base| base.stored_at <= begin);
        let newest = before().filter(|base| base.proved).max_by_key(|base| base.stored_at);
        let (base, why) = match newest {
            Some(base) => (base, "the newest proved one before the window begins"),
            None if before().next().is_some() => {
                (oldest, "the oldest physical one, and none before the window is proved yet")
            }
            None => (oldest, "the oldest physical one, and the window reaches back beyond it"),
        };
        if needed.is_none_or(|(known, _): (&WalBase, _)| base.stored_at < known.stored_at) {
            needed = Some((base, why));
        }
    }
    Ok(needed.unwrap_or((oldest, "the oldest physical one that is kept")))
}

/// Returns the timelines that may have been the cluster's at some moment since `begin`: all of
/// which something was stored since, the one stored last before that, and the newest one while
/// nothing but its history is there.
fn timelines_since(facts: &WalRetentionFacts, begin: Timestamp) -> BTreeSet<u32> {
    let (since, before): (Vec<_>, Vec<_>) =
        facts.objects.iter().partition(|object| object.stored_at > begin);
    let mut found: BTreeSet<u32> = since.iter().map(|object| object.entry.timeline()).collect();
    let last = before.iter().map(|object| (object.stored_at, object.entry.timeline())).max();
    found.extend(last.map(|(_, timeline)| timeline));
    let newest = facts.objects.iter().map(|object| object.entry.timeline()).max();
    found.extend(newest.filter(|newest| {
        let wal = facts.inventory.timelines.get(newest);
        wal.is_none_or(|wal| wal.segments.is_empty() && wal.partials.is_empty())
    }));
    found
}

/// Returns the position behind what an object is about; histories and gaps are always wanted.
pub(super) fn last_byte(object: &WalObject, segment_size: u64) -> Option<Lsn> {
    let segment = match object.entry {
        WalEntry::File(WalFile::Segment(s) | WalFile::Partial(s) | WalFile::Backup(s, _))
        | WalEntry::Growing(s, _) => s,
        WalEntry::File(WalFile::History(_)) | WalEntry::Gap(_) => return None,
    };
    Some(Lsn(segment.start(segment_size)?.0.saturating_add(segment_size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::history::Branch;
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

    fn on(timeline: u32, low: u32, stored: i64) -> WalObject {
        WalObject { stored_at: day(stored), ..segment(timeline, low) }
    }

    /// Took a tenth of a segment on that day, and was stored at once.
    fn base(on: u8) -> WalBase {
        at(on, 1, on.into())
    }

    fn at(stored: u8, timeline: u32, segment: u64) -> WalBase {
        let start = segment * SIZE + 1000;
        let base = RecoveryBase {
            snapshot: SnapshotId([stored; 16]),
            system: 1,
            timeline,
            start: Lsn(start),
            stop: Lsn(start + SIZE / 10),
            // A writer's clock is asked nothing.
            finished_at: day(900),
        };
        WalBase { base, stored_at: day(stored.into()), proved: true }
    }

    fn facts(bases: &[WalBase], objects: &[WalObject]) -> WalRetentionFacts {
        WalRetentionFacts {
            log: WalLog { source: "shop".parse().unwrap(), system: 1 },
            objects: objects.to_vec(),
            inventory: Inventory::sort(objects, SIZE, [].into()),
            bases: bases.to_vec(),
            refusal: None,
        }
    }

    fn plan(facts: &WalRetentionFacts, window: Option<u64>, now: i64) -> WalRetentionPlan {
        let window = window.map(|days| Duration::from_secs(days * DAY as u64));
        let grace = Duration::from_secs(DAY as u64);
        let retention = WalRetention { window, required: VerifyLevel::Read, grace };
        let plan = plan_wal_retention(facts, retention, day(now));
        assert_eq!(plan.kept as usize + plan.delete.len(), facts.objects.len());
        plan
    }

    fn numbers(plan: &WalRetentionPlan) -> Vec<(u32, u32)> {
        let number = |object: &WalObject| match object.entry {
            WalEntry::File(WalFile::Segment(segment)) => (segment.timeline, segment.low),
            _ => panic!("only segments are ever deleted here"),
        };
        plan.delete.iter().map(number).collect()
    }

    fn deleted(bases: &[WalBase], window: Option<u64>, objects: &[WalObject]) -> Vec<u32> {
        let plan = plan(&facts(bases, objects), window, 20);
        numbers(&plan).into_iter().map(|(_, low)| low).collect()
    }

    fn deleted_by(
        bases: &[WalBase],
        proved: &[u8],
        window: Option<u64>,
        objects: &[WalObject],
    ) -> Vec<u32> {
        let mut bases = bases.to_vec();
        for base in &mut bases {
            base.proved = proved.contains(&base.base.snapshot.0[0]);
        }
        deleted(&bases, window, objects)
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

    /// A snapshot a week. On day 10 the cluster was brought back to day 4 in place: timeline 2
    /// begins at 54, where timeline 1 went on to 105.
    fn brought_back(bases: &[WalBase], until: i64) -> WalRetentionFacts {
        let one = (18..=105u32).map(|low| on(1, low, i64::from(low.saturating_sub(20) * 7 / 60)));
        let two = (54..=99u32).map(|low| on(2, low, i64::from(low) - 44));
        let history = WalObject {
            entry: WalEntry::File(WalFile::History(2)),
            name: "wal/shop/1/00000002/h-0000000000000000".parse().unwrap(),
            ..on(2, 1, 10)
        };
        let mut objects: Vec<_> = one.chain([history]).chain(two).collect();
        objects.retain(|object| object.stored_at <= day(until));
        let left = Branch { timeline: 1, end: Lsn(54 * SIZE + 50) };
        let inventory = Inventory::sort(&objects, SIZE, [(2, vec![left])].into());
        WalRetentionFacts { inventory, ..facts(bases, &objects) }
    }

    #[test]
    fn after_a_recovery_in_place_the_wal_of_the_new_timeline_stays() {
        let (a, b, c) = (at(0, 1, 20), at(7, 1, 80), at(14, 2, 58));
        let before_a = || (18..20).map(|low| (1, low));
        let check = |bases: &[WalBase], now, from: Option<&WalBase>| {
            let plan = plan(&brought_back(bases, now), Some(7), now);
            let chosen = plan.from.map(|(snapshot, _)| snapshot);
            assert_eq!(chosen, from.map(|base| base.base.snapshot), "{}", plan.reason);
            numbers(&plan)
        };
        // B lies before the window and further in the log, and does not lead to timeline 2.
        let two = [a.clone(), b.clone()];
        assert_eq!(check(&two, 14, Some(&a)), before_a().collect::<Vec<_>>());
        let three = [a.clone(), b.clone(), c.clone()];
        for now in 15..21 {
            assert_eq!(check(&three, now, Some(&a)), before_a().collect::<Vec<_>>(), "day {now}");
        }
        // C lies before the window: the days before it are promised no more.
        let gone = check(&three, 22, Some(&c));
        assert_eq!(gone.len(), 40 + 4);
        assert!(gone.iter().all(|(_, low)| *low < 58));
        // Without A nothing leads to timeline 2 until C is there.
        assert_eq!(check(std::slice::from_ref(&b), 14, None), []);
        assert_eq!(check(&[b.clone(), c.clone()], 15, Some(&b)).len(), 40 + 4);
        // Nothing but the history has come of it.
        let mut promoted = brought_back(&[b], 10);
        promoted.objects.retain(|object| {
            object.entry.timeline() == 1
                || matches!(object.entry, WalEntry::File(WalFile::History(_)))
        });
        for object in promoted.objects.iter_mut().filter(|object| object.entry.timeline() == 2) {
            object.stored_at = day(8);
        }
        promoted.inventory.timelines.get_mut(&2).unwrap().segments.clear();
        assert_eq!(numbers(&plan(&promoted, Some(7), 30)), []);
    }

    #[test]
    fn a_timeline_of_unknown_history_keeps_all() {
        let mut facts = brought_back(&[at(0, 1, 20), at(7, 1, 80)], 14);
        facts.inventory.timelines.get_mut(&2).unwrap().history = None;
        let plan = plan(&facts, Some(7), 14);
        assert_eq!(numbers(&plan), []);
        assert!(plan.reason.contains("timeline 2"), "{}", plan.reason);
    }

    #[test]
    fn a_refusal_keeps_all() {
        let all: Vec<_> = (1..=20).map(|low| segment(1, low)).collect();
        let mut facts = facts(&[base(5)], &all);
        assert_eq!(plan(&facts, Some(7), 20).delete.len(), 4);
        facts.refusal = Some("The clocks contradict each other.".to_owned());
        let plan = plan(&facts, Some(7), 20);
        assert_eq!((plan.delete.len(), Some(plan.reason)), (0, facts.refusal));
    }

    #[test]
    fn a_plan_that_is_refused_keeps_what_it_would_have_deleted() {
        let all: Vec<_> = (1..=20).map(|low| segment(1, low)).collect();
        let mut plan = plan(&facts(&[base(5)], &all), None, 20);
        assert_eq!((plan.delete.len(), plan.kept, plan.kept_bytes), (4, 16, 1600));
        plan.refuse("The last backup failed.");
        assert_eq!((plan.delete.len(), plan.kept, plan.kept_bytes), (0, 20, 2000));
        assert_eq!((plan.bytes(), plan.from), (0, None));
    }
}
