//! A snapshot: one committed backup of one source.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ChunkId, Evidence, FindingKind, PartName, SetPlace, SnapshotId, SourceName, Verified, WriterId,
};

/// The committed description of a snapshot: what its manifest object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id; the manifest's name.
    pub id: SnapshotId,
    /// Which source.
    pub source: SourceName,
    /// Which database that was, exactly.
    pub identity: SourceIdentity,
    /// How it was taken.
    pub kind: SnapshotKind,
    /// One more than the newest snapshot of the source seen at the start: order that no clock
    /// can change.
    pub sequence: u64,
    /// The snapshot that served as base for deltas; it may be forgotten at any time, the
    /// chunks that are still needed stay.
    pub previous: Option<SnapshotId>,
    /// When the run started, by the writer's clock; where it read an older copy at a provider, the
    /// instant of that.
    pub started_at: Timestamp,
    /// When the last byte was stored, by the writer's clock.
    pub finished_at: Timestamp,
    /// Who signed it.
    pub writer: WriterId,
    /// Program and version that wrote it.
    pub program: String,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// Bytes of chunks that the repository did not have, before compression.
    pub added_bytes: u64,
    /// Bytes of objects written for this snapshot.
    pub stored_bytes: u64,
    /// Its streams.
    pub parts: Vec<Part>,
    /// What the server stated.
    pub evidence: Evidence,
    /// Where it stands in a recovery set; nothing when it was taken alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetPlace>,
}

impl Snapshot {
    /// Returns whether something about it cannot be trusted.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.evidence.findings.iter().any(|finding| finding.kind == FindingKind::Suspect)
    }

    /// Returns whether it is no instant of its source, and so never a protection.
    #[must_use]
    pub fn is_fuzzy(&self) -> bool {
        self.evidence.findings.iter().any(crate::Finding::is_fuzzy)
    }

    /// Returns the bytes of rows, or of files, that a restore of it writes.
    #[must_use]
    pub fn restored_bytes(&self) -> u64 {
        match self.kind {
            SnapshotKind::Logical => self.evidence.tables.iter().map(|table| table.bytes).sum(),
            SnapshotKind::Physical => self.read_bytes,
            SnapshotKind::Files => self.evidence.tree.as_ref().map_or(0, |tree| tree.bytes),
        }
    }

    /// Returns the part of that name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name.as_str() == name)
    }
}

/// A snapshot with what is known about it outside its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// The manifest.
    pub snapshot: Snapshot,
    /// The best proof on record.
    pub verified: Verified,
    /// Whether it is pinned against retention.
    pub pinned: bool,
    /// When the manifest object appeared, by the store's clock.
    pub stored_at: Timestamp,
}

/// How a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// SQL level: schema and rows.
    Logical,
    /// Cluster level: files and WAL.
    Physical,
    /// A directory tree or a bucket.
    Files,
}

impl SnapshotKind {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logical => "logical",
            Self::Physical => "physical",
            Self::Files => "files",
        }
    }
}

/// What a source was when it was backed up; a different identity under the same name is
/// refused, never merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Engine: `postgres`, `mysql`, `files`.
    pub engine: String,
    /// What names the server: PostgreSQL's system identifier.
    pub system: String,
    /// What names the database inside it: its oid.
    pub database: String,
}

/// A named stream in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: PartName,
    /// How it is cut.
    pub layout: Layout,
    /// Bytes of the whole stream.
    pub bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// The chunks that hold the segment map, in order (see `docs/format.md`).
    pub map: Vec<ChunkId>,
    /// What the engine wants back at restore (columns, range sizes, table name).
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How a part is cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Segments at addresses that stay the same from one snapshot to the next.
    Segments,
    /// One opaque stream, cut by content with a keyed rolling hash.
    Stream,
}
