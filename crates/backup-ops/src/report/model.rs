//! The report as a document. Times are RFC 3339 in UTC, sizes bytes, durations seconds.

use backup_core::{KeyId, RepositoryId, SnapshotId, SourceName, VerifyLevel};
use backup_repository::StatementSignature;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::SuccessDocument;

/// `backupctl report --json`: a report and its signature.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SignedReport {
    /// `backupctl.report.v1`.
    #[schemars(extend("const" = "backupctl.report.v1"))]
    pub schema: String,
    /// The report. The signature is over the exact text of this value.
    pub report: Report,
    /// Who signed it.
    #[schemars(with = "SignatureDocument")]
    pub signature: StatementSignature,
}

/// Who signed a report; see `docs/cli.md`. All but the repository's id are hexadecimal.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
struct SignatureDocument {
    /// The repository's id.
    repository: String,
    /// The root's Ed25519 public key.
    root: String,
    /// The writer's Ed25519 public key.
    writer: String,
    /// The root's signature over the writer.
    certificate: String,
    /// The writer's signature over the text of `report`.
    signature: String,
}

/// What is on record about a repository and its sources, for one period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// When it was made.
    pub generated_at: Timestamp,
    /// What made it.
    pub program: String,
    /// The period reported on.
    pub period: Period,
    /// The repository's id.
    #[schemars(with = "String")]
    pub repository: RepositoryId,
    /// Where the repository is, without secrets.
    pub location: String,
    /// What each source was promised, and got.
    pub sources: Vec<SourceReport>,
    /// Who can open the repository.
    pub keys: Vec<KeyLine>,
    /// How data is protected at rest.
    pub encryption: String,
    /// The record of who did what; absent where none was at hand.
    pub audit: Option<AuditFacts>,
    /// What the facts say about controls of well-known frameworks.
    pub controls: Vec<Control>,
    /// What this report cannot know.
    pub limits: Vec<String>,
}

/// A half-open period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// From this instant.
    pub from: Timestamp,
    /// Up to, and without, this one.
    pub to: Timestamp,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceReport {
    /// Its name.
    #[schemars(with = "String")]
    pub source: SourceName,
    /// What its owner asked for.
    pub promised: Promised,
    /// Backups of the period, by how they ended.
    pub backups: BackupCounts,
    /// How many of its backups went well, over the 30 and the 90 days before the end of the period;
    /// empty where no runs are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<SuccessDocument>,
    /// The longest time without a good snapshot against the RPO.
    pub rpo: Target,
    /// The slowest measured recovery against the budget.
    pub rto: Target,
    /// The snapshots of the period that are still kept.
    pub snapshots: Vec<SnapshotLine>,
    /// The drills of the period.
    pub drills: Vec<DrillLine>,
    /// What failed in the period, and when the next success answered it.
    pub failures: Vec<FailureLine>,
}

/// What the owner of a source asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Promised {
    /// How old the newest snapshot may get.
    pub rpo_seconds: u64,
    /// How far it must be proved.
    #[schemars(with = "String")]
    pub level: VerifyLevel,
    /// How long ago the last drill may be; absent when no drills were asked for.
    pub drill_interval_seconds: Option<u64>,
    /// How long a recovery may take; absent when no budget was set.
    pub rto_seconds: Option<u64>,
    /// The retention in force, in words.
    pub retention: String,
}

/// Counts of backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupCounts {
    /// That committed a snapshot that can be trusted.
    pub succeeded: u64,
    /// That committed a suspect snapshot.
    pub suspect: u64,
    /// That failed. Known only where runs are recorded.
    pub failed: u64,
    /// Snapshots of the period proved as far as was asked, or further.
    pub proved: u64,
}

/// A measured duration against what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The worst of the period; absent when nothing was measured.
    pub worst_seconds: Option<f64>,
    /// What was asked for; absent when nothing was.
    pub target_seconds: Option<f64>,
    /// Whether the worst is within the target; absent when one of them is.
    pub met: Option<bool>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotLine {
    /// Its id.
    #[schemars(with = "String")]
    pub id: SnapshotId,
    /// The instant its data is from, by the writer's clock.
    pub started_at: Timestamp,
    /// When it was committed, by the store's clock.
    pub stored_at: Timestamp,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// How far it is proved.
    #[schemars(with = "String")]
    pub level: VerifyLevel,
    /// When it was proved.
    pub proved_at: Option<Timestamp>,
    /// Whether it cannot be trusted.
    pub suspect: bool,
}

/// A drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DrillLine {
    /// When it began.
    pub at: Timestamp,
    /// Which snapshot was restored.
    pub snapshot: String,
    /// `passed`, `failed` or `inconclusive`.
    pub verdict: String,
    /// The measured recovery time.
    pub rto_seconds: Option<f64>,
    /// What was wrong, if anything.
    pub detail: String,
}

/// A failure and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureLine {
    /// When it began.
    pub at: Timestamp,
    /// What failed: `backup`, `verify`, `drill` …
    pub job: String,
    /// Why.
    pub error: String,
    /// When the next run of that kind succeeded; absent when none did.
    pub answered_at: Option<Timestamp>,
}

/// A key that opens the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyLine {
    /// Its id.
    #[schemars(with = "String")]
    pub id: KeyId,
    /// `passphrase`, `key-file` or `recipient`.
    pub kind: String,
    /// `owner` or `writer` (can write, cannot read).
    pub role: String,
    /// What it is called.
    pub label: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// The epoch of data keys it opens.
    pub epoch: u32,
}

/// The audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFacts {
    /// Entries in all.
    pub entries: u64,
    /// Entries of the period.
    pub in_period: u64,
    /// The newest hash: compare it with one written down elsewhere.
    pub head: String,
    /// Where the chain is broken; absent when it holds.
    pub broken: Option<String>,
    /// Who did what in the period: everything that changed something, or was refused, in order.
    #[serde(default)]
    pub acts: Vec<ActLine>,
    /// Who looked at what in the period, and how often.
    #[serde(default)]
    pub reads: Vec<ReadLine>,
}

/// Something that somebody did, or wanted to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActLine {
    /// When.
    pub at: Timestamp,
    /// Who: `token NAME`, `local`, or `nobody`.
    pub actor: String,
    /// From which address.
    pub remote: String,
    /// What: `trigger`, `cancel`, `make_token` …
    pub action: String,
    /// Of what.
    pub object: String,
    /// `allowed`, `denied` or `failed`.
    pub outcome: String,
}

/// What somebody looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadLine {
    /// Who.
    pub actor: String,
    /// What: `list_snapshots`, `show_run` …
    pub action: String,
    /// Entries in the record; the same reader reading the same within minutes is one.
    pub times: u64,
}

/// One control of a framework, and what the facts say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// The framework.
    pub framework: String,
    /// The control's number there.
    pub reference: String,
    /// What it asks for, in a few words.
    pub topic: String,
    /// What the facts say.
    pub outcome: Outcome,
    /// The facts.
    pub evidence: String,
}

/// What the facts say about a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// They support it.
    Pass,
    /// They speak against it.
    Fail,
    /// They say nothing about it.
    NotApplicable,
}

impl Outcome {
    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not applicable",
        }
    }
}
