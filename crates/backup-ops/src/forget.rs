//! Forget: drop snapshots, by policy or by name. Their data stays until `prune`.

use std::collections::BTreeSet;

use backup_core::{
    Error, ErrorKind, HeadRecord, Result, SnapshotId, SnapshotKind, SnapshotRecord, SourceName,
    VerifyLevel,
};
use backup_repository::Repository;
use backup_retention::{Conditions, Plan, Policy, SnapshotFacts, keep_together, plan_sources};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::group::kept_together;
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
/// nobody asked about.
pub fn plan(
    records: &[HeadRecord],
    rules: impl Fn(&SourceName) -> Option<Retention>,
    now: Timestamp,
) -> Vec<Plan> {
    let kinds = [SnapshotKind::Logical, SnapshotKind::Physical, SnapshotKind::Files];
    let plans = kinds.into_iter().flat_map(|kind| plan_kind(records, kind, &rules, now));
    let mut plans: Vec<Plan> = plans.collect();
    keep_together(&mut plans, &kept_together(records));
    plans
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
/// touched, a pinned one, and unless `force` a source's newest verified or newest usable one.
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
    Ok(chosen)
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
    use backup_core::{SetId, SetPlace, Verified};

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
        let (mut records, mut before) = (Vec::new(), Vec::new());
        for day in 1..=4_u8 {
            let at = format!("2026-01-0{day}T00:00:00Z");
            let mut pair = [
                record(&format!("a{day}"), "shop", day.into(), &at),
                record(&format!("b{day}"), "uploads", day.into(), &at),
            ];
            let members = pair.iter().map(|one| one.snapshot.source.clone()).collect();
            let first = SetPlace::first(SetId([day; 16]), "all".parse().unwrap(), members);
            pair[1].snapshot.set = first.next(pair[0].snapshot.id);
            pair[0].snapshot.set = Some(first);
            records.extend(pair.map(|one| proved(one, VerifyLevel::Read)));
        }
        let heads = crate::testing::heads(&records);
        let rule = |last: u32| {
            let policy = Policy { last, ..Policy::EVERYTHING };
            Some(Retention { policy, required: VerifyLevel::Read, zone: TimeZone::UTC })
        };
        let now = "2026-01-05T00:00:00Z".parse().unwrap();
        let mut going = |shop: Option<Retention>, uploads: Option<Retention>| {
            let plans = plan(
                &heads,
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
}
