//! What changed between two snapshots, and where something was seen.

use backup_core::Snapshot;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::difference::{Difference, Found, Sight};

/// `diff --json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DiffDocument {
    /// `backupctl.diff.v1`.
    pub schema: String,
    /// The earlier snapshot's id.
    pub before: String,
    /// The later snapshot's id.
    pub after: String,
    /// Streams that are the same in both.
    pub same: u64,
    /// Streams that are not, by name.
    pub differences: Vec<DifferenceDocument>,
}

/// One stream that differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DifferenceDocument {
    /// Its name.
    pub part: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
    /// As it was; absent when it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<SightDocument>,
    /// As it became; absent when it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<SightDocument>,
}

/// One stream in one snapshot.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SightDocument {
    /// Its bytes.
    pub bytes: u64,
    /// Its rows, where it is a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// `find --json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FindDocument {
    /// `backupctl.find.v1`.
    pub schema: String,
    /// What was found, by source and name.
    pub found: Vec<FoundDocument>,
}

/// Where one stream was seen.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FoundDocument {
    /// The source's name.
    pub source: String,
    /// The stream's name.
    pub part: String,
    /// How many snapshots have it.
    pub snapshots: u64,
    /// Id of the first that has it.
    pub oldest: String,
    /// When that one was finished.
    pub oldest_at: Timestamp,
    /// Id of the last that has it.
    pub newest: String,
    /// When that one was finished.
    pub newest_at: Timestamp,
    /// Whether the source's newest snapshot of that kind has it.
    pub current: bool,
    /// Its bytes in the last that has it.
    pub bytes: u64,
    /// Its rows there, where it is a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl DiffDocument {
    /// Returns the document of a comparison.
    #[must_use]
    pub fn new(before: &Snapshot, after: &Snapshot, found: &[Difference], same: u64) -> Self {
        let sight = |sight: Sight| SightDocument { bytes: sight.bytes, rows: sight.rows };
        let differences = found.iter().map(|difference| DifferenceDocument {
            part: difference.part.clone(),
            change: difference.change.as_str().into(),
            before: difference.before.map(sight),
            after: difference.after.map(sight),
        });
        Self {
            schema: "backupctl.diff.v1".into(),
            before: before.id.to_string(),
            after: after.id.to_string(),
            same,
            differences: differences.collect(),
        }
    }
}

impl FindDocument {
    /// Returns the document of what was found.
    #[must_use]
    pub fn new(found: &[Found<'_>]) -> Self {
        let found = found.iter().map(|found| FoundDocument {
            source: found.source.to_string(),
            part: found.part.clone(),
            snapshots: found.snapshots,
            oldest: found.oldest.snapshot.id.to_string(),
            oldest_at: found.oldest.snapshot.finished_at,
            newest: found.newest.snapshot.id.to_string(),
            newest_at: found.newest.snapshot.finished_at,
            current: found.is_current,
            bytes: found.sight.bytes,
            rows: found.sight.rows,
        });
        Self { schema: "backupctl.find.v1".into(), found: found.collect() }
    }
}
