//! What is worth looking at beside the word protected: named, judged from facts, pure.
//!
//! A source can be protected and still be about to stop being it: its backup is late, its size is
//! not what it was, its runs fail more often than they should, the disk fills up, a key went. Each
//! of these has a name, and says so as a sentence.

mod keys;
mod lateness;
mod reliability;
mod robust;
mod size;
mod source;
mod storage;

use backup_core::Severity;

pub use keys::KeyFacts;
pub use lateness::{Lateness, Rhythm, lateness};
pub use reliability::{Ended, SuccessRate, success};
pub use size::{SizePoint, SizeStanding};
pub use source::SourceHealth;
pub use storage::{Forecast, GrowthPoint, RepositoryHealth, Room, forecast};

pub(crate) use source::judge;

/// What can be worth looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// A backup should have come by now and did not.
    Overdue,
    /// Stored data should have been read back by now and was not.
    VerifyOverdue,
    /// The newest snapshot is much smaller than those before it.
    SizeSmall,
    /// The newest snapshot is much larger than those before it.
    SizeLarge,
    /// Much more was new in the newest snapshot than in those before it.
    ChangeLarge,
    /// Snapshots get smaller and smaller.
    Shrinking,
    /// Snapshots double within a month.
    Growing,
    /// Too many backups fail.
    Unreliable,
    /// The newest drill failed.
    DrillFailed,
    /// No drill has passed for longer than was promised.
    DrillOverdue,
    /// No drill from nothing but a recovery key has passed for longer than was promised.
    DisasterOverdue,
    /// A restore takes longer than was promised.
    RestoreSlow,
    /// Little space is left.
    StorageLow,
    /// The space that is left lasts for days.
    StorageFilling,
    /// The key that this program opened the repository with is none of its keys any more.
    KeyRemoved,
    /// Keys were rotated since this program opened the repository.
    KeyRotated,
    /// Some keys do not open what is written now.
    KeyBehind,
    /// There are key records that the repository's root did not sign.
    KeyForged,
    /// One key is all that opens the repository.
    KeySingle,
}

impl Concern {
    /// Every concern.
    pub const ALL: [Self; 19] = [
        Self::Overdue,
        Self::VerifyOverdue,
        Self::SizeSmall,
        Self::SizeLarge,
        Self::ChangeLarge,
        Self::Shrinking,
        Self::Growing,
        Self::Unreliable,
        Self::DrillFailed,
        Self::DrillOverdue,
        Self::DisasterOverdue,
        Self::RestoreSlow,
        Self::StorageLow,
        Self::StorageFilling,
        Self::KeyRemoved,
        Self::KeyRotated,
        Self::KeyBehind,
        Self::KeyForged,
        Self::KeySingle,
    ];

    /// Returns the stable word used in JSON, labels and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::VerifyOverdue => "verify_overdue",
            Self::SizeSmall => "size_small",
            Self::SizeLarge => "size_large",
            Self::ChangeLarge => "change_large",
            Self::Shrinking => "shrinking",
            Self::Growing => "growing",
            Self::Unreliable => "unreliable",
            Self::DrillFailed => "drill_failed",
            Self::DrillOverdue => "drill_overdue",
            Self::DisasterOverdue => "disaster_overdue",
            Self::RestoreSlow => "restore_slow",
            Self::StorageLow => "storage_low",
            Self::StorageFilling => "storage_filling",
            Self::KeyRemoved => "key_removed",
            Self::KeyRotated => "key_rotated",
            Self::KeyBehind => "key_behind",
            Self::KeyForged => "key_forged",
            Self::KeySingle => "key_single",
        }
    }

    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Overdue => "backup overdue",
            Self::VerifyOverdue => "verification overdue",
            Self::SizeSmall => "unusually small",
            Self::SizeLarge => "unusually large",
            Self::ChangeLarge => "unusually much changed",
            Self::Shrinking => "shrinking",
            Self::Growing => "growing fast",
            Self::Unreliable => "backups fail often",
            Self::DrillFailed => "drill failed",
            Self::DrillOverdue => "drill overdue",
            Self::DisasterOverdue => "disaster drill overdue",
            Self::RestoreSlow => "restore over budget",
            Self::StorageLow => "little space left",
            Self::StorageFilling => "space runs out",
            Self::KeyRemoved => "key in use removed",
            Self::KeyRotated => "keys rotated",
            Self::KeyBehind => "key left behind",
            Self::KeyForged => "foreign key record",
            Self::KeySingle => "single key",
        }
    }
}

/// One thing worth looking at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What.
    pub concern: Concern,
    /// How urgent; information is for those who look, and alerts nobody.
    pub severity: Severity,
    /// One sentence: what was found, and what to do where that is not plain.
    pub detail: String,
}

impl Condition {
    pub(crate) fn new(concern: Concern, severity: Severity, detail: impl Into<String>) -> Self {
        Self { concern, severity, detail: detail.into() }
    }

    pub(crate) fn warning(concern: Concern, detail: impl Into<String>) -> Self {
        Self::new(concern, Severity::Warning, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_concern_has_a_word_of_its_own() {
        let words: BTreeSet<&str> = Concern::ALL.iter().map(|one| one.as_str()).collect();
        let labels: BTreeSet<&str> = Concern::ALL.iter().map(|one| one.label()).collect();
        assert_eq!((words.len(), labels.len()), (Concern::ALL.len(), Concern::ALL.len()));
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(words.iter().all(|word| word.chars().all(plain)));
    }
}
