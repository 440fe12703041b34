//! How far a snapshot has been proved.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Levels of proof, each a superset of the one before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum VerifyLevel {
    /// Committed, not looked at since.
    #[default]
    None,
    /// Every object it needs is there with the right size.
    Exists,
    /// Every byte it needs was read back, opened, and hashed right.
    Read,
    /// It was restored elsewhere and answered questions.
    Drilled,
}

impl VerifyLevel {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exists => "exists",
            Self::Read => "read",
            Self::Drilled => "drilled",
        }
    }
}

/// The best proof on record for a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// How far it was proved.
    pub level: VerifyLevel,
    /// When; absent at level `none`.
    pub at: Option<Timestamp>,
}
