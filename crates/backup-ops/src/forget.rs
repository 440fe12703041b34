//! Forget: drop snapshots, by policy or by name. Their data stays until `prune`.

use backup_core::{
    Error, ErrorKind, HeadRecord, Result, SnapshotId, SnapshotKind, SnapshotRecord, SourceName,
    VerifyLevel,
};
use backup_repository::Repository;
use backup_retention::{Conditions, Plan, Policy, SnapshotFacts, plan_sources};
use jiff::Timestamp;
use jiff::tz::TimeZone;

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
/// round: each kind is kept by the policy on its own.
pub fn plan(
    records: &[HeadRecord],
    rules: impl Fn(&SourceName) -> Option<Retention>,
    now: Timestamp,
) -> Vec<Plan> {
    let kinds = [SnapshotKind::Logical, SnapshotKind::Physical, SnapshotKind::Files];
    kinds.into_iter().flat_map(|kind| plan_kind(records, kind, &rules, now)).collect()
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
    use backup_core::Verified;

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
}
