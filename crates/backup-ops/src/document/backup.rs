//! A backup as JSON.

use backup_core::port::RequestCounts;
use backup_core::{Error, SourceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorDocument, SnapshotDocument};
use crate::backup::BackupReceipt;

/// `backupctl backup --json`: one such object per source, each on its own line.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BackupDocument {
    /// `backupctl.backup.v1`.
    #[schemars(extend("const" = "backupctl.backup.v1"))]
    pub schema: String,
    /// The source's name.
    pub source: String,
    /// How it went.
    pub outcome: BackupOutcome,
    /// The committed snapshot; null when it failed.
    pub snapshot: Option<SnapshotDocument>,
    /// Why it failed; null otherwise.
    pub error: Option<ErrorDocument>,
    /// Seconds from start to the end of the proof; null when it failed.
    pub seconds: Option<f64>,
    /// Requests the store saw; null when it failed.
    pub requests: Option<RequestsDocument>,
}

/// How a backup went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupOutcome {
    /// A snapshot was committed and proved as far as asked.
    Ok,
    /// A snapshot was committed, but cannot be trusted.
    Suspect,
    /// Nothing was committed.
    Failed,
}

/// Requests a store saw.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RequestsDocument {
    /// Writes.
    pub creates: u64,
    /// Reads, whole and ranged.
    pub gets: u64,
    /// Stats.
    pub stats: u64,
    /// Listings.
    pub lists: u64,
    /// Deletions.
    pub deletes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

impl BackupDocument {
    /// Returns the document of a committed snapshot.
    #[must_use]
    pub fn committed(receipt: &BackupReceipt) -> Self {
        let snapshot = SnapshotDocument::new(&receipt.record);
        Self {
            schema: "backupctl.backup.v1".into(),
            source: snapshot.source.clone(),
            outcome: if snapshot.suspect { BackupOutcome::Suspect } else { BackupOutcome::Ok },
            snapshot: Some(snapshot),
            error: None,
            seconds: Some(receipt.seconds),
            requests: Some(RequestsDocument::new(receipt.requests)),
        }
    }

    /// Returns the document of a failure.
    #[must_use]
    pub fn failed(source: &SourceName, error: &Error) -> Self {
        Self {
            schema: "backupctl.backup.v1".into(),
            source: source.to_string(),
            outcome: BackupOutcome::Failed,
            snapshot: None,
            error: Some(ErrorDocument::new(error)),
            seconds: None,
            requests: None,
        }
    }
}

impl RequestsDocument {
    /// Returns the document of counts.
    #[must_use]
    pub fn new(counts: RequestCounts) -> Self {
        Self {
            creates: counts.creates,
            gets: counts.gets,
            stats: counts.stats,
            lists: counts.lists,
            deletes: counts.deletes,
            bytes_written: counts.bytes_written,
            bytes_read: counts.bytes_read,
        }
    }
}
