//! A snapshot in short: what lists, retention and status look at.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Finding, FindingKind, SetPlace, Snapshot, SnapshotId, SnapshotKind, SnapshotRecord,
    SourceIdentity, SourceName, Verified,
};

/// A snapshot without its streams and tables: a few hundred bytes, however many of those it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// Its id.
    pub id: SnapshotId,
    /// Which source.
    pub source: SourceName,
    /// Which database that was, exactly.
    pub identity: SourceIdentity,
    /// How it was taken.
    pub kind: SnapshotKind,
    /// Its place among the snapshots of its source.
    pub sequence: u64,
    /// When the run started, by the writer's clock; where it read an older copy at a provider, the
    /// instant of that.
    pub started_at: Timestamp,
    /// When the last byte was stored, by the writer's clock.
    pub finished_at: Timestamp,
    /// Program and version that wrote it.
    pub program: String,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// Bytes of chunks that the repository did not have, before compression.
    pub added_bytes: u64,
    /// Bytes of objects written for it.
    pub stored_bytes: u64,
    /// Tables copied.
    pub tables: u64,
    /// Rows copied.
    pub rows: u64,
    /// Bytes of rows, or of files, that a restore of it writes.
    pub restored_bytes: u64,
    /// The server's version, as it prints it.
    pub server_version: String,
    /// What was noticed on the way.
    pub findings: Vec<Finding>,
    /// Where it stands in a recovery set. What was kept before there were sets does not say, and is
    /// not taken for "in none".
    #[serde(deserialize_with = "Option::deserialize")]
    pub set: Option<SetPlace>,
}

impl SnapshotHead {
    /// Returns whether something about it cannot be trusted.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == FindingKind::Suspect)
    }

    /// Returns whether it is no instant of its source, and so never a protection.
    #[must_use]
    pub fn is_fuzzy(&self) -> bool {
        self.findings.iter().any(crate::Finding::is_fuzzy)
    }
}

impl From<&Snapshot> for SnapshotHead {
    fn from(snapshot: &Snapshot) -> Self {
        let evidence = &snapshot.evidence;
        Self {
            id: snapshot.id,
            source: snapshot.source.clone(),
            identity: snapshot.identity.clone(),
            kind: snapshot.kind,
            sequence: snapshot.sequence,
            started_at: snapshot.started_at,
            finished_at: snapshot.finished_at,
            program: snapshot.program.clone(),
            read_bytes: snapshot.read_bytes,
            added_bytes: snapshot.added_bytes,
            stored_bytes: snapshot.stored_bytes,
            tables: evidence.tables.len() as u64,
            rows: evidence.rows(),
            restored_bytes: snapshot.restored_bytes(),
            server_version: evidence.server_version.clone(),
            findings: evidence.findings.clone(),
            set: snapshot.set.clone(),
        }
    }
}

/// A snapshot in short, with what is known about it outside its manifest. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRecord {
    /// What its manifest says, in short.
    pub snapshot: Arc<SnapshotHead>,
    /// The best proof on record.
    pub verified: Verified,
    /// Whether it is pinned against retention.
    pub pinned: bool,
    /// When the manifest object appeared, by the store's clock.
    pub stored_at: Timestamp,
}

impl From<&SnapshotRecord> for HeadRecord {
    fn from(record: &SnapshotRecord) -> Self {
        Self {
            snapshot: Arc::new(SnapshotHead::from(&record.snapshot)),
            verified: record.verified,
            pinned: record.pinned,
            stored_at: record.stored_at,
        }
    }
}

/// What a choice among snapshots goes by, of those in full and of those in short.
pub trait Listed {
    /// Its id.
    fn id(&self) -> SnapshotId;
    /// Which source.
    fn source(&self) -> &SourceName;
    /// Its place among the snapshots of its source, and when it was stored.
    fn place(&self) -> (u64, Timestamp);
    /// When its last byte was stored, by the writer's clock.
    fn finished_at(&self) -> Timestamp;
    /// Whether something about it cannot be trusted.
    fn is_suspect(&self) -> bool;
}

macro_rules! listed {
    ($record:ty) => {
        impl Listed for $record {
            fn id(&self) -> SnapshotId {
                self.snapshot.id
            }

            fn source(&self) -> &SourceName {
                &self.snapshot.source
            }

            fn place(&self) -> (u64, Timestamp) {
                (self.snapshot.sequence, self.stored_at)
            }

            fn finished_at(&self) -> Timestamp {
                self.snapshot.finished_at
            }

            fn is_suspect(&self) -> bool {
                self.snapshot.is_suspect()
            }
        }
    };
}

listed!(SnapshotRecord);
listed!(HeadRecord);
