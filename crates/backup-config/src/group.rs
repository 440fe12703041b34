//! Groups, resolved.

use backup_core::SourceName;
use backup_retention::Period;

use crate::{DrillEvery, Schedule};

/// Sources that are one recovery set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// Its name; no source has it.
    pub name: SourceName,
    /// Its members in the order in which they are taken: databases first, then files.
    pub sources: Vec<SourceName>,
    /// How old the newest complete set may be.
    pub rpo: Period,
    /// When its sets are taken and drilled; it has no other schedules.
    pub schedule: Schedule,
    /// How its sets are drilled.
    pub drill: GroupDrillSettings,
}

/// How sets are drilled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDrillSettings {
    /// How often; absent: nobody said.
    pub every: Option<DrillEvery>,
    /// How long ago the last that passed may be; absent: the newest complete set itself must have
    /// passed.
    pub interval: Option<Period>,
    /// What is asked about files.
    pub keys: Vec<KeysSettings>,
}

/// Which files a database refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysSettings {
    /// A statement that returns them.
    pub sql: String,
    /// The member that holds them.
    pub files: SourceName,
    /// The member that is asked.
    pub database: SourceName,
    /// Taken off the beginning of each key that begins with it.
    pub strip_prefix: String,
    /// Then put before each.
    pub add_prefix: String,
    /// Whether no key at all is well.
    pub allow_empty: bool,
}
