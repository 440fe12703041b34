//! What to verify.

use backup_core::{SnapshotId, VerifyLevel};

/// Which snapshots, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// These; empty means all, and then every pack the repository has, needed or not.
    pub snapshots: Vec<SnapshotId>,
    /// How far.
    pub depth: Depth,
}

impl Request {
    /// Returns whether everything is asked for.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.snapshots.is_empty()
    }
}

/// How far to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every needed object is listed by the store with the size it had when written.
    Exists,
    /// Every needed byte is read back, opened and hashed.
    Read,
    /// Like `Read` for about this many hundredths of the data, going on where the last sample
    /// stopped; proves `exists` for the rest.
    Sample {
        /// 1 to 100.
        percent: u8,
    },
}

impl Depth {
    /// Returns the level a snapshot without problems has then been proved to.
    #[must_use]
    pub fn level(self) -> VerifyLevel {
        match self {
            Self::Exists | Self::Sample { .. } => VerifyLevel::Exists,
            Self::Read => VerifyLevel::Read,
        }
    }
}
