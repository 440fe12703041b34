//! What a drill found, as JSON: the receipt that is stored, printed and shown to auditors.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FindingDocument, PhaseDocument};

/// `backupctl drill --json`, and the receipt kept in the repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DrillDocument {
    /// `backupctl.drill.v1`.
    #[schemars(extend("const" = "backupctl.drill.v1"))]
    pub schema: String,
    /// The source's name; of a recovery set its group's.
    pub source: String,
    /// The snapshot's id, or the set's.
    pub snapshot: String,
    /// `logical`, `physical` or `files`; `set` for a recovery set.
    pub kind: String,
    /// `passed`; `failed`: the backup is bad; `inconclusive`: the place it was restored to could
    /// not do it.
    #[schemars(extend("enum" = ["passed", "failed", "inconclusive"]))]
    pub verdict: String,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The instant the snapshot's data is from.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub data_from: Timestamp,
    /// Whether it started from nothing but the repository and a recovery key.
    #[serde(default)]
    pub disaster: bool,
    /// Where it was restored to, without secrets.
    pub target: String,
    /// Version of the source's server.
    pub source_version: String,
    /// Version of the server it was restored to; empty when none came up.
    pub server_version: String,
    /// The program that drilled.
    pub program: String,
    /// Measured recovery time: seconds from the beginning to the first answer of the restored
    /// database. Absent when it never answered.
    pub rto_seconds: Option<f64>,
    /// Measured recovery point: age of the data when the drill began, in seconds. Of a drill to a
    /// point in time: how far the last commit that was replayed lies before that time; 0 where
    /// the point is no time.
    pub rpo_seconds: u64,
    /// Seconds that all questions took.
    pub validation_seconds: f64,
    /// Seconds, all in all, cleaning up included.
    pub seconds: f64,
    /// Seconds by phase, in order.
    pub phases: Vec<PhaseDocument>,
    /// Tables restored.
    pub tables: u64,
    /// Rows restored.
    pub rows: u64,
    /// Bytes of rows, or of files, restored.
    pub bytes: u64,
    /// Files restored, of a physical snapshot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub files: u64,
    /// How far WAL was replayed, of a physical snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayDocument>,
    /// Bytes read from the repository's store.
    pub fetched_bytes: u64,
    /// Each question with its answer, in order.
    pub questions: Vec<QuestionDocument>,
    /// What else to know.
    pub findings: Vec<FindingDocument>,
    /// Of a recovery set: its members, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<DrillMemberDocument>,
}

/// One member of a recovery set that was drilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrillMemberDocument {
    /// The source's name.
    pub source: String,
    /// Its snapshot's id.
    pub snapshot: String,
    /// What its own drill came to.
    #[schemars(extend("enum" = ["passed", "failed", "inconclusive"]))]
    pub verdict: String,
}

/// How far a drill brought a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayDocument {
    /// What was asked for, for people: `time 2026-01-01T00:00:00Z`, `the end of the snapshot` …
    pub goal: String,
    /// The time that was asked for: that of the goal, or when the drill began where the newest
    /// point was. Absent where a goal has no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub requested_at: Option<Timestamp>,
    /// The timeline that was followed; absent where no archived WAL was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
    /// The end of the last record that was replayed (`0/3000148`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// When the last transaction that was replayed ended; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_commit: Option<Timestamp>,
    /// How far `last_commit` lies before `requested_at`, in seconds: at most this much is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_seconds: Option<f64>,
    /// WAL segments that were fetched for it.
    pub segments: u64,
    /// Their bytes.
    pub wal_bytes: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One question with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuestionDocument {
    /// What was asked: `rows`, `fingerprints`, `schema` …; `assert NAME` for one's own.
    pub name: String,
    /// `passed`, `failed`, `inconclusive`, or `skipped` where there was nothing to ask.
    #[schemars(extend("enum" = ["passed", "failed", "inconclusive", "skipped"]))]
    pub outcome: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How long it took, where it was asked by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// `backupctl drill --history --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DrillHistoryDocument {
    /// `backupctl.drill_history.v1`.
    #[schemars(extend("const" = "backupctl.drill_history.v1"))]
    pub schema: String,
    /// Receipts, newest first.
    pub drills: Vec<DrillDocument>,
    /// Trend by source.
    pub trends: Vec<TrendDocument>,
}

/// How the recovery time of one source develops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrendDocument {
    /// The source's name.
    pub source: String,
    /// Drills on record.
    pub drills: u64,
    /// Those that passed.
    pub passed: u64,
    /// Measured recovery time of the newest that passed, in seconds.
    pub rto_seconds: Option<f64>,
    /// The median of the measured recovery times of those before it, in seconds.
    pub median_rto_seconds: Option<f64>,
    /// The longest on record, in seconds.
    pub longest_rto_seconds: Option<f64>,
}

impl DrillHistoryDocument {
    /// Returns the document of receipts, newest first.
    #[must_use]
    pub fn new(drills: Vec<DrillDocument>) -> Self {
        let trends = crate::drill::trends(&drills);
        Self { schema: "backupctl.drill_history.v1".into(), drills, trends }
    }
}
