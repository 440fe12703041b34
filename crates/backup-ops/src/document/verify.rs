//! A verification as JSON.

use backup_verification::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `backupctl verify --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerifyDocument {
    /// `backupctl.verify.v1`.
    #[schemars(extend("const" = "backupctl.verify.v1"))]
    pub schema: String,
    /// Whether everything is as written.
    pub ok: bool,
    /// Each snapshot asked about.
    pub snapshots: Vec<VerdictDocument>,
    /// Damage that hurts no snapshot that could be read.
    pub elsewhere: Vec<String>,
    /// Packs compared with the store's listing.
    pub packs_compared: u64,
    /// Packs read whole.
    pub packs_read: u64,
    /// Chunks reconstructed and hashed.
    pub chunks_proved: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Bytes of all packs in question.
    pub bytes_total: u64,
}

/// How one snapshot fared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerdictDocument {
    /// Its id.
    pub id: String,
    /// Its source.
    pub source: String,
    /// How far this run proved it: `none` means damaged.
    #[schemars(extend("enum" = ["none", "exists", "read", "drilled"]))]
    pub level: String,
    /// What is wrong with it, part by part.
    pub problems: Vec<ProblemDocument>,
}

/// One thing that is wrong with a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDocument {
    /// The part it affects.
    pub part: String,
    /// What is wrong, naming the object.
    pub message: String,
}

impl VerifyDocument {
    /// Returns the document of a report.
    #[must_use]
    pub fn new(report: &Report) -> Self {
        let verdict = |snapshot: &backup_verification::SnapshotReport| VerdictDocument {
            id: snapshot.id.to_string(),
            source: snapshot.source.to_string(),
            level: snapshot.level.as_str().into(),
            problems: snapshot
                .problems
                .iter()
                .map(|problem| ProblemDocument {
                    part: problem.part.to_string(),
                    message: problem.message.clone(),
                })
                .collect(),
        };
        Self {
            schema: "backupctl.verify.v1".into(),
            ok: report.is_clean(),
            snapshots: report.snapshots.iter().map(verdict).collect(),
            elsewhere: report.elsewhere.clone(),
            packs_compared: report.packs_compared,
            packs_read: report.packs_read,
            chunks_proved: report.chunks_proved,
            bytes_read: report.bytes_read,
            bytes_total: report.bytes_total,
        }
    }
}
