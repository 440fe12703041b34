//! What was found.

use backup_core::{PartName, SnapshotId, SourceName, VerifyLevel};

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each snapshot looked at, by source and sequence.
    pub snapshots: Vec<SnapshotReport>,
    /// Damage that affects no snapshot that could be read: unreadable manifests, damaged bytes
    /// that nothing needs.
    pub elsewhere: Vec<String>,
    /// Packs compared with the store's listing.
    pub packs_compared: u64,
    /// Packs read and authenticated whole.
    pub packs_read: u64,
    /// Chunks reconstructed and hashed right.
    pub chunks_proved: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Bytes of all packs in question.
    pub bytes_total: u64,
}

impl Report {
    /// Returns whether nothing is wrong anywhere.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.elsewhere.is_empty()
            && self.snapshots.iter().all(|snapshot| snapshot.problems.is_empty())
    }
}

/// What was found about one snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// Which.
    pub id: SnapshotId,
    /// Of which source.
    pub source: SourceName,
    /// How far it is proved now; `None` when there are problems.
    pub level: VerifyLevel,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part it affects.
    pub part: PartName,
    /// What is wrong, naming the object.
    pub message: String,
}
