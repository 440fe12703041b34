//! A verification as JSON.

use backup_verification::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wal::WalVerdict;

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
    /// The stored WAL of each cluster.
    pub wal: Vec<WalVerdictDocument>,
    /// Files of physical snapshots compared with PostgreSQL's manifest.
    #[serde(default)]
    pub files_compared: u64,
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
    /// With 95 % confidence, the largest share of the packs (0 to 1) that may be damaged if none
    /// was found: 0 when all were read, 1 when none was.
    #[serde(default)]
    pub damaged_at_most: f64,
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

/// How the WAL of one cluster fared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WalVerdictDocument {
    /// Its source.
    pub source: String,
    /// Its system identifier.
    pub system: String,
    /// Segments that recovery from the kept snapshots may ask for.
    pub segments: u64,
    /// Segments read whole.
    pub segments_read: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// What is missing or damaged, with the points in time lost.
    pub problems: Vec<String>,
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
    /// Returns the document of a report and of what was found of the stored WAL.
    #[must_use]
    pub fn new(report: &Report, wal: &[WalVerdict]) -> Self {
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
            ok: report.is_clean() && wal.iter().all(|verdict| verdict.problems.is_empty()),
            snapshots: report.snapshots.iter().map(verdict).collect(),
            elsewhere: report.elsewhere.clone(),
            wal: wal.iter().map(WalVerdictDocument::new).collect(),
            files_compared: 0,
            packs_compared: report.packs_compared,
            packs_read: report.packs_read,
            chunks_proved: report.chunks_proved,
            bytes_read: report.bytes_read,
            bytes_total: report.bytes_total,
            damaged_at_most: report.damaged_at_most(),
        }
    }
}

impl WalVerdictDocument {
    fn new(verdict: &WalVerdict) -> Self {
        Self {
            source: verdict.log.source.to_string(),
            system: verdict.log.system.to_string(),
            segments: verdict.segments,
            segments_read: verdict.read,
            bytes_read: verdict.bytes_read,
            problems: verdict.problems.clone(),
        }
    }
}
