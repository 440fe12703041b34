//! Records for unit tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::document::DrillDocument;
use backup_core::{
    Evidence, HeadRecord, SetId, SetPlace, Snapshot, SnapshotId, SnapshotKind, SnapshotRecord,
    SourceIdentity, TableEvidence, Verified, WriterId,
};

/// A record whose id repeats the two digits `pair`.
pub(crate) fn record(pair: &str, source: &str, sequence: u64, at: &str) -> SnapshotRecord {
    let id: SnapshotId = pair.repeat(16).parse().unwrap();
    let at = at.parse().unwrap();
    SnapshotRecord {
        snapshot: Snapshot {
            id,
            source: source.parse().unwrap(),
            identity: SourceIdentity {
                engine: "postgres".into(),
                system: "7".into(),
                database: "5".into(),
            },
            kind: SnapshotKind::Logical,
            sequence,
            previous: None,
            set: None,
            started_at: at,
            finished_at: at,
            writer: WriterId([0; 16]),
            program: "test".into(),
            read_bytes: 0,
            added_bytes: 0,
            stored_bytes: 0,
            parts: Vec::new(),
            evidence: Evidence::default(),
        },
        verified: Verified::default(),
        pinned: false,
        stored_at: at,
    }
}

/// A set of day `day` whose ids begin with the day: shop's and uploads'.
pub(crate) fn set_of(day: u8) -> [SnapshotRecord; 2] {
    let at = format!("2026-01-0{day}T00:00:00Z");
    let mut shop = record(&format!("a{day}"), "shop", day.into(), &at);
    let mut uploads = record(&format!("b{day}"), "uploads", day.into(), &at);
    let members = vec![shop.snapshot.source.clone(), uploads.snapshot.source.clone()];
    let first = SetPlace::first(SetId([day; 16]), "all".parse().unwrap(), members);
    uploads.snapshot.set = first.next(shop.snapshot.id);
    shop.snapshot.set = Some(first);
    [shop, uploads]
}

/// Records in short.
pub(crate) fn heads(records: &[SnapshotRecord]) -> Vec<HeadRecord> {
    records.iter().map(HeadRecord::from).collect()
}

pub(crate) fn table(name: &str, rows: u64, bytes: u64) -> TableEvidence {
    TableEvidence {
        schema: "public".into(),
        name: name.into(),
        rows,
        bytes,
        ..TableEvidence::default()
    }
}

/// A receipt of a drill at `at`.
pub(crate) fn receipt(source: &str, at: &str, verdict: &str) -> DrillDocument {
    let at = at.parse().unwrap();
    DrillDocument {
        schema: "backupctl.drill.v1".into(),
        source: source.into(),
        snapshot: "aa".repeat(16),
        kind: "logical".into(),
        verdict: verdict.into(),
        at,
        data_from: at,
        disaster: false,
        target: "memory".into(),
        source_version: "16.4".into(),
        server_version: "16.4".into(),
        program: "test".into(),
        rto_seconds: None,
        rpo_seconds: 0,
        validation_seconds: 0.0,
        seconds: 0.0,
        phases: Vec::new(),
        tables: 0,
        rows: 0,
        files: 0,
        replay: None,
        bytes: 0,
        fetched_bytes: 0,
        questions: Vec::new(),
        findings: Vec::new(),
        members: Vec::new(),
    }
}
