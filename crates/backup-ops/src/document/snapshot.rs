//! Snapshots as JSON.

use backup_core::{Finding, FindingKind, HeadRecord, SnapshotRecord};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SetDocument, SetPlaceDocument};
use crate::group::RecoverySet;

/// One snapshot; the same object everywhere.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotDocument {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// The source's name.
    pub source: String,
    /// `logical`, `physical` or `files`.
    pub kind: String,
    /// Its place among the snapshots of its source.
    pub sequence: u64,
    /// When the run started, by the writer's clock: the instant the data is from, or just
    /// before. Where an older copy at a provider was read, the instant of that.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// When the last byte was stored, by the writer's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub finished_at: Timestamp,
    /// When it appeared in the store, by the store's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub stored_at: Timestamp,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// Bytes of chunks that the repository did not have, before compression.
    pub added_bytes: u64,
    /// Bytes of objects written for this snapshot.
    pub stored_bytes: u64,
    /// Tables copied.
    pub tables: u64,
    /// Rows copied.
    pub rows: u64,
    /// Whether it cannot be trusted; the findings say why.
    pub suspect: bool,
    /// Whether it is no instant of its source: then it is suspect, and never a protection.
    pub fuzzy: bool,
    /// Whether retention passes over it.
    pub pinned: bool,
    /// The best proof on record.
    pub verified: VerifiedDocument,
    /// Which database it is of, exactly.
    pub identity: IdentityDocument,
    /// The server's version, as it prints it.
    pub server_version: String,
    /// The program that wrote it.
    pub program: String,
    /// What was noticed on the way.
    pub findings: Vec<FindingDocument>,
    /// Where it stands in a recovery set; absent when it was taken alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetPlaceDocument>,
}

/// How far a snapshot was proved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedDocument {
    /// `none`, `exists`, `read` or `drilled`.
    #[schemars(extend("enum" = ["none", "exists", "read", "drilled"]))]
    pub level: String,
    /// When; null at level `none`.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at: Option<Timestamp>,
}

/// What a source is, beyond its name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IdentityDocument {
    /// `postgres`, `mysql`, `files`.
    pub engine: String,
    /// What names the server: PostgreSQL's system identifier.
    pub system: String,
    /// What names the database inside it: its oid.
    pub database: String,
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingDocument {
    /// `note`, `warning` or `suspect`.
    #[schemars(extend("enum" = ["note", "warning", "suspect"]))]
    pub kind: String,
    /// One sentence.
    pub message: String,
}

/// `backupctl snapshots --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotsDocument {
    /// `backupctl.snapshots.v1`.
    #[schemars(extend("const" = "backupctl.snapshots.v1"))]
    pub schema: String,
    /// By source and sequence.
    pub snapshots: Vec<SnapshotDocument>,
    /// Recovery sets, by group, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetDocument>,
}

/// `backupctl show --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShowDocument {
    /// `backupctl.show.v1`.
    #[schemars(extend("const" = "backupctl.show.v1"))]
    pub schema: String,
    /// The snapshot.
    pub snapshot: SnapshotDocument,
    /// Its tables.
    pub tables: Vec<TableDocument>,
    /// Further facts the server stated, by name.
    pub facts: std::collections::BTreeMap<String, String>,
}

/// One table of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TableDocument {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows copied.
    pub rows: u64,
    /// Bytes of its rows as they were read.
    pub bytes: u64,
}

/// `backupctl ls --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PartsDocument {
    /// `backupctl.ls.v1`.
    #[schemars(extend("const" = "backupctl.ls.v1"))]
    pub schema: String,
    /// The snapshot's id.
    pub snapshot: String,
    /// Its streams.
    pub parts: Vec<PartDocument>,
}

/// One stream of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PartDocument {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// How many segments it is cut into.
    pub segments: u64,
}

impl SnapshotDocument {
    /// Returns the document of a record.
    #[must_use]
    pub fn new(record: &SnapshotRecord) -> Self {
        Self::of(&HeadRecord::from(record))
    }

    /// Returns the document of a record in short.
    #[must_use]
    pub fn of(record: &HeadRecord) -> Self {
        let snapshot = &record.snapshot;
        Self {
            id: snapshot.id.to_string(),
            source: snapshot.source.to_string(),
            kind: snapshot.kind.as_str().into(),
            sequence: snapshot.sequence,
            started_at: snapshot.started_at,
            finished_at: snapshot.finished_at,
            stored_at: record.stored_at,
            read_bytes: snapshot.read_bytes,
            added_bytes: snapshot.added_bytes,
            stored_bytes: snapshot.stored_bytes,
            tables: snapshot.tables,
            rows: snapshot.rows,
            suspect: snapshot.is_suspect(),
            fuzzy: snapshot.is_fuzzy(),
            pinned: record.pinned,
            verified: VerifiedDocument {
                level: record.verified.level.as_str().into(),
                at: record.verified.at,
            },
            identity: IdentityDocument {
                engine: snapshot.identity.engine.clone(),
                system: snapshot.identity.system.clone(),
                database: snapshot.identity.database.clone(),
            },
            server_version: snapshot.server_version.clone(),
            program: snapshot.program.clone(),
            findings: snapshot.findings.iter().map(FindingDocument::new).collect(),
            set: snapshot.set.as_ref().map(SetPlaceDocument::new),
        }
    }
}

impl FindingDocument {
    /// Returns the document of a finding.
    #[must_use]
    pub fn new(finding: &Finding) -> Self {
        let kind = match finding.kind {
            FindingKind::Note => "note",
            FindingKind::Warning => "warning",
            FindingKind::Suspect => "suspect",
        };
        Self { kind: kind.into(), message: finding.message.clone() }
    }
}

impl SnapshotsDocument {
    /// Returns the document of a list.
    #[must_use]
    pub fn new<'a>(records: impl IntoIterator<Item = &'a SnapshotRecord>) -> Self {
        Self {
            schema: "backupctl.snapshots.v1".into(),
            snapshots: records.into_iter().map(SnapshotDocument::new).collect(),
            sets: Vec::new(),
        }
    }

    /// Adds the recovery sets.
    #[must_use]
    pub fn with_sets<'a>(mut self, sets: impl IntoIterator<Item = &'a RecoverySet>) -> Self {
        self.sets = sets.into_iter().map(SetDocument::new).collect();
        self
    }
}

impl ShowDocument {
    /// Returns everything the manifest says but its parts.
    #[must_use]
    pub fn new(record: &SnapshotRecord) -> Self {
        let evidence = &record.snapshot.evidence;
        let table = |table: &backup_core::TableEvidence| TableDocument {
            schema: table.schema.clone(),
            name: table.name.clone(),
            rows: table.rows,
            bytes: table.bytes,
        };
        Self {
            schema: "backupctl.show.v1".into(),
            snapshot: SnapshotDocument::new(record),
            tables: evidence.tables.iter().map(table).collect(),
            facts: evidence.facts.clone(),
        }
    }
}

impl PartsDocument {
    /// Returns the streams of a snapshot.
    #[must_use]
    pub fn new(record: &SnapshotRecord) -> Self {
        let part = |part: &backup_core::Part| PartDocument {
            name: part.name.to_string(),
            bytes: part.bytes,
            segments: part.segments,
        };
        Self {
            schema: "backupctl.ls.v1".into(),
            snapshot: record.snapshot.id.to_string(),
            parts: record.snapshot.parts.iter().map(part).collect(),
        }
    }
}
