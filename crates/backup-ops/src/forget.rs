//! Forget: drop snapshots, by policy or by name. Their data stays until `prune`.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{
    Error, ErrorKind, HeadRecord, Result, SetId, SnapshotId, SnapshotKind, SnapshotRecord,
    SourceName, VerifyLevel,
};
use backup_repository::Repository;
use backup_retention::{
    Conditions, KeepReason, Plan, Policy, SnapshotFacts, hold, keep_together, plan_sources,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::drill;
use crate::group::{RecoverySet, SET_KIND, kept_together, newest, newest_of, sets};
use crate::select::{Selector, select};

/// What the owner of a source wants kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Which to keep.
    pub policy: Policy,
    /// From which level a snapshot counts as verified.
    pub required: VerifyLevel,
    /// Where days begin.
    pub zone: TimeZone,
}

/// Plans by policy, one plan a source and kind; changes nothing. `rules` returns the retention
/// of a source, or nothing when its owner set none: then it has no plan and loses nothing.
///
/// A physical snapshot is never traded for a logical one of the same day, nor the other way
/// round: each kind is kept by the policy on its own. A complete recovery set is kept as a whole,
/// or goes as a whole: `records` and `rules` have to be those of every source, also of those that
/// nobody asked about. The newest complete set of each group stays whatever the policies say, and
/// so does the newest of those that `passed` their drills ([`passed_sets`]).
pub fn plan(
    records: &[HeadRecord],
    passed: &BTreeSet<SetId>,
    rules: impl Fn(&SourceName) -> Option<Retention>,
    now: Timestamp,
) -> Vec<Plan> {
    let kinds = [SnapshotKind::Logical, SnapshotKind::Physical, SnapshotKind::Files];
    let plans = kinds.into_iter().flat_map(|kind| plan_kind(records, kind, &rules, now));
    let mut plans: Vec<Plan> = plans.collect();
    hold_sets(&mut plans, records, passed);
    keep_together(&mut plans, &kept_together(records));
    plans
}

/// Holds the sets that a group is recovered from.
fn hold_sets(plans: &mut [Plan], records: &[HeadRecord], passed: &BTreeSet<SetId>) {
    let all = sets(records);
    let mut groups: BTreeMap<&SourceName, Vec<&RecoverySet>> = BTreeMap::new();
    for set in all.iter().filter(|set| set.counts()) {
        groups.entry(&set.group).or_default().push(set);
    }
    for own in groups.into_values() {
        let drilled = own.iter().copied().filter(|set| passed.contains(&set.id)).collect();
        let held = [
            newest_of(own).map(|set| (set, KeepReason::NewestSet(set.id))),
            newest_of(drilled).map(|set| (set, KeepReason::PassedSet(set.id))),
        ];
        for (set, reason) in held.into_iter().flatten() {
            let ids: Vec<SnapshotId> = set.records().map(|record| record.snapshot.id).collect();
            hold(plans, &ids, &reason);
        }
    }
}

/// Returns the sets whose last drill that could tell passed, as far back as their standing is
/// judged. Reads no receipt where there is no complete set.
pub async fn passed_sets(
    repository: &Repository,
    records: &[HeadRecord],
) -> Result<BTreeSet<SetId>> {
    let whole: Vec<RecoverySet> = sets(records).into_iter().filter(RecoverySet::counts).collect();
    let groups: BTreeSet<String> = whole.iter().map(|set| set.group.to_string()).collect();
    if groups.is_empty() {
        return Ok(BTreeSet::new());
    }
    let receipts = drill::newest(repository, &groups, &BTreeSet::new(), &BTreeMap::new()).await?;
    let passed = |set: &&RecoverySet| {
        let id = set.id.to_string();
        let own = receipts.iter().filter(|receipt| receipt.kind == SET_KIND);
        let mut told = own.filter(|receipt| receipt.verdict != "inconclusive");
        told.find(|receipt| receipt.snapshot == id)
            .is_some_and(|receipt| receipt.verdict == "passed")
    };
    Ok(whole.iter().filter(passed).map(|set| set.id).collect())
}

/// Takes out of plans for every source what concerns those that were asked about: their own plans,
/// and of others the snapshots that go together with theirs, so that a set goes at once.
#[must_use]
pub fn for_sources(
    plans: Vec<Plan>,
    records: &[HeadRecord],
    asked: impl Fn(&SourceName) -> bool,
) -> Vec<Plan> {
    let is_asked = |plan: &Plan| plan.source.as_ref().is_some_and(&asked);
    let going: BTreeSet<SnapshotId> =
        plans.iter().filter(|plan| is_asked(plan)).flat_map(Plan::forget_ids).collect();
    let with_them: BTreeSet<SnapshotId> = kept_together(records)
        .into_iter()
        .filter(|set| set.snapshots.iter().any(|id| going.contains(id)))
        .flat_map(|set| set.snapshots)
        .collect();
    let narrow = |mut plan: Plan| {
        if !is_asked(&plan) {
            plan.keep.clear();
            plan.warnings.clear();
            plan.forget.retain(|gone| with_them.contains(&gone.snapshot.id));
            if plan.forget.is_empty() {
                return None;
            }
        }
        Some(plan)
    };
    plans.into_iter().filter_map(narrow).collect()
}

fn plan_kind(
    records: &[HeadRecord],
    kind: SnapshotKind,
    rules: &impl Fn(&SourceName) -> Option<Retention>,
    now: Timestamp,
) -> Vec<Plan> {
    let facts: Vec<SnapshotFacts> = records
        .iter()
        .filter(|record| record.snapshot.kind == kind && rules(&record.snapshot.source).is_some())
        .map(SnapshotFacts::from)
        .collect();
    plan_sources(&facts, |source| {
        let mut conditions = Conditions::at(now);
        match rules(source) {
            Some(retention) => {
                conditions.required = retention.required;
                conditions.zone = retention.zone;
                (retention.policy, conditions)
            }
            None => (Policy::EVERYTHING, conditions),
        }
    })
}

/// Finds the snapshots that a person named. Refuses, with `Conflict` and before anything is
/// touched, a pinned one, and unless `force` a source's newest verified or newest usable one, a
/// part of a complete recovery set, and a group's newest complete set.
pub fn named(
    records: &[SnapshotRecord],
    selectors: &[Selector],
    force: bool,
) -> Result<Vec<SnapshotRecord>> {
    let mut chosen: Vec<SnapshotRecord> = Vec::with_capacity(selectors.len());
    for selector in selectors {
        let record = select(records, selector)?;
        if chosen.iter().all(|other| other.snapshot.id != record.snapshot.id) {
            chosen.push(record.clone());
        }
    }
    for record in &chosen {
        let refuse = |why: &str, hint: &str| {
            Err(Error::new(ErrorKind::Conflict, "forget snapshot")
                .with("snapshot", record.snapshot.id.short())
                .with("source", &record.snapshot.source)
                .with("reason", why)
                .hint(hint))
        };
        if record.pinned {
            return refuse("it is pinned", "Unpin it first: `backupctl unpin`.");
        }
        if force || record.snapshot.is_suspect() {
            continue;
        }
        let level = record.verified.level;
        if !better_remains(records, &chosen, record, level) {
            return refuse(
                "it is the best proved snapshot of its source",
                "Take and verify a newer snapshot first, or pass --force.",
            );
        }
    }
    if !force {
        keep_sets_whole(records, &chosen)?;
    }
    Ok(chosen)
}

/// Refuses, with `Conflict`, to tear a complete recovery set, and to drop the newest of a group.
fn keep_sets_whole(records: &[SnapshotRecord], chosen: &[SnapshotRecord]) -> Result<()> {
    let heads: Vec<HeadRecord> = records.iter().map(HeadRecord::from).collect();
    let all = sets(&heads);
    let is_chosen =
        |record: &HeadRecord| chosen.iter().any(|chosen| chosen.snapshot.id == record.snapshot.id);
    for set in all.iter().filter(|set| set.counts()) {
        let Some(torn) = set.records().find(|record| is_chosen(record)) else { continue };
        let (why, hint) = if !set.records().all(is_chosen) {
            (
                "it belongs to a complete recovery set",
                format!("Forget all of it as {}@{}, or pass --force.", set.group, set.id.short()),
            )
        } else if newest(&all, &set.group).is_some_and(|newest| newest.id == set.id) {
            (
                "it belongs to the newest complete recovery set of its group",
                format!("Run `backupctl backup {}` first, or pass --force.", set.group),
            )
        } else {
            continue;
        };
        return Err(Error::new(ErrorKind::Conflict, "forget snapshot")
            .with("snapshot", torn.snapshot.id.short())
            .with("source", &torn.snapshot.source)
            .with("set", set.id.short())
            .with("reason", why)
            .hint(hint));
    }
    Ok(())
}

/// Whether, after forgetting `chosen`, the source of `record` still has a usable snapshot that
/// is proved at least as far.
fn better_remains(
    records: &[SnapshotRecord],
    chosen: &[SnapshotRecord],
    record: &SnapshotRecord,
    level: VerifyLevel,
) -> bool {
    records.iter().any(|other| {
        other.snapshot.source == record.snapshot.source
            && other.snapshot.kind == record.snapshot.kind
            && !other.snapshot.is_suspect()
            && other.verified.level >= level
            && (other.snapshot.sequence, other.stored_at)
                >= (record.snapshot.sequence, record.stored_at)
            && chosen.iter().all(|gone| gone.snapshot.id != other.snapshot.id)
    }) || newer_proof_exists(records, chosen, record, level)
}

/// An old snapshot may go although nothing newer is proved as far, as long as it is not the
/// newest of its level.
fn newer_proof_exists(
    records: &[SnapshotRecord],
    chosen: &[SnapshotRecord],
    record: &SnapshotRecord,
    level: VerifyLevel,
) -> bool {
    level == VerifyLevel::None
        && records.iter().any(|other| {
            other.snapshot.source == record.snapshot.source
                && other.snapshot.kind == record.snapshot.kind
                && !other.snapshot.is_suspect()
                && other.verified.level > level
                && chosen.iter().all(|gone| gone.snapshot.id != other.snapshot.id)
        })
}

/// Forgets snapshots. Stopping in the middle leaves some forgotten and the others whole.
pub async fn execute(repository: &Repository, ids: &[SnapshotId]) -> Result<()> {
    if ids.is_empty() { Ok(()) } else { repository.forget(ids).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;
    use backup_core::{SetPlace, Verified};

    fn proved(mut record: SnapshotRecord, level: VerifyLevel) -> SnapshotRecord {
        record.verified = Verified { level, at: Some(record.stored_at) };
        record
    }

    fn refused(records: &[SnapshotRecord], names: &[&str], force: bool) -> Option<ErrorKind> {
        let selectors: Vec<Selector> = names.iter().map(|name| name.parse().unwrap()).collect();
        named(records, &selectors, force).err().map(|error| error.kind())
    }

    #[test]
    fn never_drops_the_best_proof_by_accident() {
        let old = proved(record("aa", "shop", 1, "2026-01-01T00:00:00Z"), VerifyLevel::Read);
        let proved_one = proved(record("bb", "shop", 2, "2026-01-02T00:00:00Z"), VerifyLevel::Read);
        let newest = record("cc", "shop", 3, "2026-01-03T00:00:00Z");
        let mut pinned = record("dd", "blog", 1, "2026-01-01T00:00:00Z");
        pinned.pinned = true;
        let records = [old, proved_one, newest, pinned];
        assert_eq!(refused(&records, &["aa"], false), None);
        assert_eq!(refused(&records, &["bb"], false), Some(ErrorKind::Conflict));
        assert_eq!(refused(&records, &["bb"], true), None);
        assert_eq!(refused(&records, &["cc"], false), None, "an unproved one may go");
        assert_eq!(refused(&records, &["aa", "bb", "cc"], false), Some(ErrorKind::Conflict));
        assert_eq!(refused(&records, &["dd"], true), Some(ErrorKind::Conflict), "pinned");
        assert_eq!(refused(&records, &["ee"], true), Some(ErrorKind::NotFound));
    }

    #[test]
    fn the_last_unproved_one_is_guarded_too() {
        let records = [record("aa", "shop", 1, "2026-01-01T00:00:00Z")];
        assert_eq!(refused(&records, &["aa"], false), Some(ErrorKind::Conflict));
        assert_eq!(refused(&records, &["aa"], true), None);
    }

    #[test]
    fn sources_without_retention_have_no_plan() {
        let records: Vec<_> = (1..=3)
            .flat_map(|day| {
                let at = format!("2026-01-0{day}T00:00:00Z");
                [
                    record(&format!("a{day}"), "shop", day, &at),
                    record(&format!("b{day}"), "blog", day, &at),
                ]
            })
            .collect();
        let plans = plan(
            &crate::testing::heads(&records),
            &BTreeSet::new(),
            |source| {
                (source.as_str() == "shop").then(|| Retention {
                    policy: Policy { last: 1, ..Policy::EVERYTHING },
                    required: VerifyLevel::Read,
                    zone: TimeZone::UTC,
                })
            },
            "2026-01-04T00:00:00Z".parse().unwrap(),
        );
        assert_eq!(plans.len(), 1);
        assert_eq!(plans[0].source.as_ref().unwrap().as_str(), "shop");
        assert!(plans[0].forget_ids().len() <= 2);
    }

    #[test]
    fn a_set_goes_at_once_or_stays() {
        let mut before = Vec::new();
        let records: Vec<SnapshotRecord> = (1..=4).flat_map(pair).collect();
        let heads = crate::testing::heads(&records);
        let rule = |last: u32| {
            let policy = Policy { last, ..Policy::EVERYTHING };
            Some(Retention { policy, required: VerifyLevel::Read, zone: TimeZone::UTC })
        };
        let now = "2026-01-05T00:00:00Z".parse().unwrap();
        let mut going = |shop: Option<Retention>, uploads: Option<Retention>| {
            let plans = plan(
                &heads,
                &BTreeSet::new(),
                |source| if source.as_str() == "shop" { shop.clone() } else { uploads.clone() },
                now,
            );
            let asked = for_sources(plans.clone(), &heads, |source| source.as_str() == "shop");
            let ids = |plans: &[Plan]| -> Vec<String> {
                let ids = plans.iter().flat_map(Plan::forget_ids);
                let mut ids: Vec<String> = ids.map(|id| id.to_string()[..2].to_owned()).collect();
                ids.sort();
                ids
            };
            before = ids(&plans);
            ids(&asked)
        };
        // The longer of two policies holds both; who asks about one source takes the others' along.
        assert_eq!(going(rule(1), rule(3)), ["a1", "b1"]);
        assert_eq!(going(rule(3), rule(1)), ["a1", "b1"]);
        // Where nobody said what is kept of one, all of it is.
        assert_eq!(going(rule(1), None), Vec::<String>::new());
        assert_eq!(before, Vec::<String>::new());
    }

    /// A proved set of that day, of shop and uploads.
    fn pair(day: u8) -> [SnapshotRecord; 2] {
        let at = format!("2026-01-0{day}T00:00:00Z");
        let mut pair = [
            record(&format!("a{day}"), "shop", day.into(), &at),
            record(&format!("b{day}"), "uploads", day.into(), &at),
        ];
        let members = pair.iter().map(|one| one.snapshot.source.clone()).collect();
        let first = SetPlace::first(SetId([day; 16]), "all".parse().unwrap(), members);
        pair[1].snapshot.set = first.next(pair[0].snapshot.id);
        pair[0].snapshot.set = Some(first);
        pair.map(|one| proved(one, VerifyLevel::Read))
    }

    #[test]
    fn the_newest_set_and_the_newest_that_passed_stay() {
        let mut records: Vec<SnapshotRecord> = (1..=3).flat_map(pair).collect();
        for day in 4..=6 {
            let at = format!("2026-01-0{day}T00:00:00Z");
            for (id, source) in [("c", "shop"), ("d", "uploads")] {
                let one = record(&format!("{id}{day}"), source, day, &at);
                records.push(proved(one, VerifyLevel::Read));
            }
        }
        let policy = Policy { last: 1, ..Policy::EVERYTHING };
        let rule = Retention { policy, required: VerifyLevel::Read, zone: TimeZone::UTC };
        let passed = BTreeSet::from([SetId([1; 16])]);
        let plans = plan(
            &crate::testing::heads(&records),
            &passed,
            |_| Some(rule.clone()),
            "2026-01-07T00:00:00Z".parse().unwrap(),
        );
        let kept = |id: &str| {
            let kept = plans.iter().flat_map(|plan| &plan.keep);
            let mut own = kept.filter(|kept| kept.snapshot.id.to_string().starts_with(id));
            own.next().map(|kept| kept.reasons[0].to_string()).unwrap_or_default()
        };
        for id in ["a3", "b3"] {
            assert_eq!(kept(id), "belongs to set 03030303, the newest of its group");
        }
        for id in ["a1", "b1"] {
            assert_eq!(kept(id), "belongs to set 01010101, the newest that passed its drill");
        }
        assert_eq!((kept("a2"), kept("c4")), (String::new(), String::new()));
    }

    #[test]
    fn a_set_is_not_torn_by_a_name() {
        let records: Vec<SnapshotRecord> = (1..=2).flat_map(pair).collect();
        assert_eq!(refused(&records, &["a1"], false), Some(ErrorKind::Conflict));
        assert_eq!(refused(&records, &["a1"], true), None);
        assert_eq!(refused(&records, &["a1", "b1"], false), None, "all of it may go");
        let mut newer = records.clone();
        for (id, source) in [("cc", "shop"), ("dd", "uploads")] {
            newer.push(proved(record(id, source, 3, "2026-01-03T00:00:00Z"), VerifyLevel::Read));
        }
        assert_eq!(refused(&newer, &["a2", "b2"], false), Some(ErrorKind::Conflict), "the newest");
        assert_eq!(refused(&newer, &["a2", "b2"], true), None);
        // What is left of a set may go by itself.
        assert_eq!(refused(&newer[1..], &["b1"], false), None);
    }
}
