//! What would happen.

use backup_core::SourceName;
use backup_ops::document::{DecisionDocument, FindingDocument, StepDocument};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What retention and prune would do to a source now.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// When it was computed.
    pub at: Timestamp,
    /// Which source.
    #[schemars(with = "String")]
    pub source: SourceName,
    /// Every snapshot, with what becomes of it and why.
    pub decisions: Vec<DecisionDocument>,
    /// Why nothing may go, and what to look at, a sentence each.
    pub warnings: Vec<String>,
    /// What prune would give back, where that is known without reading the store.
    pub prune: Option<PrunePreview>,
}

/// What prune would give back to the store, for the whole repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrunePreview {
    /// Packs that no snapshot needs.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When those marked now may go: the grace period.
    pub deletable_at: Option<Timestamp>,
}

/// What a restore would do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RestorePreview {
    /// The snapshot's id.
    pub snapshot: String,
    /// Its source.
    #[schemars(with = "String")]
    pub source: SourceName,
    /// The instant the restored data would be of.
    pub at: Timestamp,
    /// Tables that would be written.
    pub tables: u64,
    /// Rows that would be written.
    pub rows: u64,
    /// Bytes of rows that would be written.
    pub bytes: u64,
    /// Steps in order.
    pub steps: Vec<StepDocument>,
    /// What to know first.
    pub findings: Vec<FindingDocument>,
    /// How long it would take, from the drills measured on this source; absent without any.
    pub expected_seconds: Option<f64>,
    /// The command that does it.
    pub command: String,
}
