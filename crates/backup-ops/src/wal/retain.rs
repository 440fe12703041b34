//! WAL retention: gathers the facts for the pure plan, and carries it out.

use backup_core::{Result, SnapshotKind, SnapshotRecord, SourceName, VerifyLevel};
use backup_repository::{Repository, WalLog, WalTally};
use backup_retention::SnapshotFacts;
use jiff::{SignedDuration, Timestamp};

use super::inventory::take_inventory;
use super::retention::{
    WalBase, WalRetention, WalRetentionFacts, WalRetentionPlan, last_byte, plan_wal_retention,
};
use super::status::bases_of;

/// How far the clocks of this host and of the store may disagree; further, neither is believed.
const CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// Plans for every cluster whose WAL is stored, each by the rule of its source; `now` is the time
/// by this host's clock, which is only compared with the store's. Changes nothing.
///
/// Nothing of a source goes whose newest physical snapshot is suspect, nor while the two clocks
/// contradict each other.
pub async fn plan_retention(
    repository: &Repository,
    rule: impl Fn(&SourceName) -> WalRetention,
    now: Timestamp,
) -> Result<Vec<WalRetentionPlan>> {
    let logs = repository.wal_logs(None).await?;
    if logs.is_empty() {
        return Ok(Vec::new());
    }
    let store = repository.store_time().await?;
    // A manifest that cannot be read is an error here: what it needs would be unknown.
    let records = repository.snapshots().await?;
    let mut plans = Vec::new();
    for log in logs {
        let retention = rule(&log.source);
        // In this order: of a timeline that appears between the two, no history is known.
        let inventory = take_inventory(repository, &log).await?;
        let objects = repository.wal_objects(&log).await?;
        let bases = kept_bases(&records, &log, retention.required, store);
        let refusal = clocks(now, store).or_else(|| suspect(&records, &log.source));
        let facts = WalRetentionFacts { log, objects, inventory, bases, refusal };
        plans.push(plan_wal_retention(&facts, retention, store));
    }
    Ok(plans)
}

/// Returns why nothing may go by clocks that contradict each other, if they do.
fn clocks(here: Timestamp, store: Timestamp) -> Option<String> {
    (here.duration_since(store).abs() > CLOCKS).then(|| {
        format!(
            "It is {here:.0} by the clock here and {store:.0} by the store's: all WAL stays until \
             they agree."
        )
    })
}

/// Returns why nothing of a source may go after its newest physical snapshot, if that is suspect.
fn suspect(records: &[SnapshotRecord], source: &SourceName) -> Option<String> {
    let physical = records.iter().filter(|record| {
        record.snapshot.source == *source && record.snapshot.kind == SnapshotKind::Physical
    });
    let newest = physical.clone().map(|record| record.snapshot.sequence).max();
    // Overlapping runs may share a number: one that is suspect is enough.
    let mut last = physical.filter(|record| Some(record.snapshot.sequence) == newest);
    last.find(|record| record.snapshot.is_suspect()).map(|record| {
        let id = record.snapshot.id.short();
        format!("The newest physical snapshot, {id}, is suspect: all WAL stays.")
    })
}

/// Returns the bases of a cluster, each with what its proof is worth: one whose times cannot be
/// believed makes no WAL unnecessary.
fn kept_bases(
    records: &[SnapshotRecord],
    log: &WalLog,
    required: VerifyLevel,
    now: Timestamp,
) -> Vec<WalBase> {
    let physical = records.iter().filter(|record| {
        record.snapshot.source == log.source && record.snapshot.kind == SnapshotKind::Physical
    });
    let facts: Vec<SnapshotFacts> = physical.map(SnapshotFacts::from).collect();
    let doubted = backup_retention::doubted(&facts, now);
    let bases = bases_of(records, log).into_iter();
    let of = bases.filter_map(|base| {
        let fact = facts.iter().find(|fact| fact.id == base.snapshot)?;
        let proved = fact.level >= required && !doubted.contains(&fact.id);
        Some(WalBase { base, stored_at: fact.stored_at, proved })
    });
    of.collect()
}

/// Deletes what the plans name, oldest first, so that a stop halfway leaves no hole.
pub async fn retain(repository: &Repository, plans: &[WalRetentionPlan]) -> Result<WalTally> {
    let mut total = WalTally::default();
    for plan in plans {
        let mut delete = plan.delete.clone();
        delete.sort_by_key(|object| last_byte(object, 1 << 20));
        let tally = repository.delete_wal(&delete).await?;
        total.objects += tally.objects;
        total.bytes += tally.bytes;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 24 * 60 * 60).unwrap()
    }

    #[test]
    fn clocks_that_contradict_each_other_keep_all() {
        let minutes = |minutes| SignedDuration::from_mins(minutes);
        for (by, agree) in [(0, true), (59, true), (-59, true), (61, false), (-61, false)] {
            let refusal = clocks(day(20) + minutes(by), day(20));
            assert_eq!(refusal.is_none(), agree, "{by}: {refusal:?}");
        }
    }

    fn physical(pair: &str, sequence: u64, stored: i64) -> SnapshotRecord {
        let mut record = crate::testing::record(pair, "shop", sequence, "2026-01-01T00:00:00Z");
        record.snapshot.kind = SnapshotKind::Physical;
        let cluster = r#"{"system":"7","timeline":1,"start":"0/100","stop":"0/200"}"#;
        record.snapshot.evidence.facts.insert("cluster".into(), cluster.into());
        record.verified.level = VerifyLevel::Read;
        (record.stored_at, record.snapshot.finished_at) = (day(stored), day(stored));
        record
    }

    #[test]
    fn a_snapshot_with_times_that_cannot_be_believed_makes_no_wal_unnecessary() {
        // The second claims to be older than the first; the third was finished long before.
        let mut records = [physical("aa", 1, 9), physical("bb", 2, 5), physical("cc", 3, 10)];
        records[2].snapshot.finished_at = day(2);
        let log = WalLog { source: "shop".parse().unwrap(), system: 7 };
        let bases = kept_bases(&records, &log, VerifyLevel::Read, day(20));
        assert_eq!(bases.iter().filter(|base| base.proved).count(), 0, "{bases:?}");
        let sound = [physical("aa", 1, 4), physical("bb", 2, 5), physical("cc", 3, 30)];
        let bases = kept_bases(&sound, &log, VerifyLevel::Read, day(20));
        let proved: Vec<bool> = bases.iter().map(|base| base.proved).collect();
        assert_eq!(proved, [true, true, false], "the last claims to be of the future");
        let bases = kept_bases(&sound, &log, VerifyLevel::Drilled, day(20));
        assert!(bases.iter().all(|base| !base.proved));
    }

    #[test]
    fn after_a_suspect_snapshot_all_wal_stays() {
        let mut records = vec![physical("aa", 1, 1), physical("bb", 2, 2)];
        let source = records[0].snapshot.source.clone();
        assert_eq!(suspect(&records, &source), None);
        let doubt = backup_core::Finding::suspect("shrunk");
        records[1].snapshot.evidence.findings.push(doubt);
        assert!(suspect(&records, &source).unwrap().contains("bbbb"));
        records.push(physical("cc", 3, 3));
        assert_eq!(suspect(&records, &source), None, "a good one makes up for it");
    }
}
