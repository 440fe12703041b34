//! A restore, planned or done, as JSON.

use backup_core::Snapshot;
use backup_core::port::RestorePlan;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FindingDocument, SetPlaceDocument};
use crate::restore::RestoreReceipt;

/// `backupctl restore --preview --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RestorePlanDocument {
    /// `backupctl.restore_plan.v1`.
    #[schemars(extend("const" = "backupctl.restore_plan.v1"))]
    pub schema: String,
    /// The snapshot's id.
    pub snapshot: String,
    /// Where it would go, without secrets.
    pub target: String,
    /// Tables that would be written.
    pub tables: u64,
    /// Files that would be written, of a tree of files.
    #[serde(default)]
    pub files: u64,
    /// Bytes of rows, or of files, that would be written.
    pub bytes: u64,
    /// Steps in order.
    pub steps: Vec<StepDocument>,
    /// What to know first.
    pub findings: Vec<FindingDocument>,
    /// The recovery set that it is restored with; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetPlaceDocument>,
}

/// One step of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepDocument {
    /// What.
    pub action: String,
    /// Of what, and why.
    pub detail: String,
}

/// `backupctl restore --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RestoreDocument {
    /// `backupctl.restore.v1`.
    #[schemars(extend("const" = "backupctl.restore.v1"))]
    pub schema: String,
    /// The snapshot's id.
    pub snapshot: String,
    /// Its source.
    pub source: String,
    /// Where it went, without secrets.
    pub target: String,
    /// Tables written.
    pub tables: u64,
    /// Rows written, counted by the server.
    pub rows: u64,
    /// Files written, of a physical snapshot or a tree of files.
    #[serde(default)]
    pub files: u64,
    /// Bytes of rows, or of files, written.
    pub bytes: u64,
    /// Seconds, all in all.
    pub seconds: f64,
    /// Seconds by phase, in order.
    pub phases: Vec<PhaseDocument>,
    /// How far WAL was replayed, where a database was taken out of a physical snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<RecoveredDocument>,
    /// What to know.
    pub findings: Vec<FindingDocument>,
    /// The recovery set that it was restored with; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetPlaceDocument>,
}

/// The point that a cluster was brought to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveredDocument {
    /// The end of the last record that was replayed (`0/3000148`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// When the last transaction that was replayed ended; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_commit: Option<Timestamp>,
    /// WAL segments that were fetched for it.
    pub segments: u64,
    /// Their bytes.
    pub wal_bytes: u64,
}

/// One phase of a restore.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseDocument {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

impl RestorePlanDocument {
    /// Returns the document of a plan.
    #[must_use]
    pub fn new(snapshot: &Snapshot, target: String, plan: &RestorePlan) -> Self {
        Self {
            schema: "backupctl.restore_plan.v1".into(),
            snapshot: snapshot.id.to_string(),
            target,
            tables: plan.tables,
            files: plan.files,
            bytes: plan.bytes,
            steps: plan
                .steps
                .iter()
                .map(|s| StepDocument { action: s.action.clone(), detail: s.detail.clone() })
                .collect(),
            findings: plan.findings.iter().map(FindingDocument::new).collect(),
            set: None,
        }
    }

    /// Adds the recovery set that it is restored with.
    #[must_use]
    pub fn in_set(mut self, snapshot: &Snapshot) -> Self {
        self.set = snapshot.set.as_ref().map(SetPlaceDocument::new);
        self
    }
}

impl RestoreDocument {
    /// Returns the document of a restore that was carried out.
    #[must_use]
    pub fn new(receipt: &RestoreReceipt) -> Self {
        let report = &receipt.report;
        Self {
            schema: "backupctl.restore.v1".into(),
            snapshot: receipt.snapshot.id.to_string(),
            source: receipt.snapshot.source.to_string(),
            target: receipt.location.clone(),
            tables: report.tables,
            rows: report.rows,
            files: report.files,
            bytes: report.bytes,
            seconds: receipt.seconds,
            phases: report
                .phases
                .iter()
                .map(|(name, seconds)| PhaseDocument { name: name.clone(), seconds: *seconds })
                .collect(),
            recovered: report.replay.as_ref().map(|replay| RecoveredDocument {
                position: replay.position.map(|position| position.to_string()),
                last_commit: replay.last_commit,
                segments: replay.segments,
                wal_bytes: replay.wal_bytes,
            }),
            findings: report.findings.iter().map(FindingDocument::new).collect(),
            set: None,
        }
    }

    /// Adds the recovery set that it was restored with.
    #[must_use]
    pub fn in_set(mut self, snapshot: &Snapshot) -> Self {
        self.set = snapshot.set.as_ref().map(SetPlaceDocument::new);
        self
    }
}
