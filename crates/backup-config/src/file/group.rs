//! Groups as they are written.

use backup_core::SourceName;
use backup_retention::Period;
use backup_schedule::Blackout;
use schemars::JsonSchema;
use serde::Deserialize;

use super::text::Text;
use crate::{Cron, DrillEvery};

/// Sources that are one recovery set: taken in order, kept, restored and drilled together.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawGroup {
    /// Its name, which no source has.
    pub(crate) name: Option<Text<SourceName>>,
    /// Its members in the order in which they are taken, databases first, then files:
    /// `["shop", "uploads"]`. A source is a member of one group at most.
    pub(crate) sources: Vec<Text<SourceName>>,
    /// When the group counts as protected.
    pub(crate) protection: RawGroupProtection,
    /// When its sets are taken and drilled.
    pub(crate) schedule: RawGroupSchedule,
    /// How its sets are drilled.
    pub(crate) drill: RawGroupDrill,
}

/// When a group counts as protected; each member has to be protected by its own rule as well.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawGroupProtection {
    /// How old the newest complete set may be; default the longest `protection.rpo` of its members.
    pub(crate) rpo: Option<Text<Period>>,
}

/// When sets are taken and drilled: cron expressions of five fields.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawGroupSchedule {
    /// Sets; default the general `schedule.backup`. Members are then backed up by themselves only
    /// where their own `schedule.backup` says so.
    pub(crate) backup: Option<Text<Cron>>,
    /// Drills of the newest complete set.
    pub(crate) drill: Option<Text<Cron>>,
    /// Each job of the group starts later by a share of this that is always the same; default the
    /// general `schedule.jitter`.
    pub(crate) jitter: Option<Text<Period>>,
    /// When nothing starts by itself; default the general `schedule.blackout`.
    pub(crate) blackout: Option<Vec<Text<Blackout>>>,
    /// Whether what was missed while backupd was down is made up for, by one run; default the
    /// general `schedule.catch_up`.
    pub(crate) catch_up: Option<bool>,
}

/// How sets are drilled: each member as its own drill says, then every file that the restored
/// database refers to is looked for in the set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawGroupDrill {
    /// How often, in the words of a source's `drill.every`; a group whose drill is overdue is at
    /// risk. Default: the newest complete set itself must have passed one.
    pub(crate) every: Option<Text<DrillEvery>>,
    /// A statement that only reads and returns one column: the paths, or keys, of the files that
    /// the database refers to, such as `SELECT path FROM uploads`. NULL is passed over.
    pub(crate) keys_sql: Option<String>,
    /// The member that holds them; default the only one with files.
    pub(crate) files: Option<Text<SourceName>>,
    /// The member that is asked; default the only database.
    pub(crate) database: Option<Text<SourceName>>,
    /// What is taken off the beginning of each key that begins with it, such as `/media/`.
    pub(crate) strip_prefix: Option<String>,
    /// What is then put before each key.
    pub(crate) add_prefix: Option<String>,
    /// Whether a statement that returns no key is well: a database that refers to no file yet.
    /// Default no: a drill that looked for nothing does not pass.
    pub(crate) allow_empty: Option<bool>,
    /// Further questions of that kind; one table each.
    pub(crate) keys: Vec<RawKeys>,
}

/// Which files a database refers to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeys {
    /// The statement, as `drill.keys_sql`.
    pub(crate) sql: String,
    /// The member that holds the files; default the only one with files.
    #[serde(default)]
    pub(crate) files: Option<Text<SourceName>>,
    /// The member that is asked; default the only database.
    #[serde(default)]
    pub(crate) database: Option<Text<SourceName>>,
    /// What is taken off the beginning of each key that begins with it.
    #[serde(default)]
    pub(crate) strip_prefix: Option<String>,
    /// What is then put before each key.
    #[serde(default)]
    pub(crate) add_prefix: Option<String>,
    /// Whether no key at all is well; default no.
    #[serde(default)]
    pub(crate) allow_empty: Option<bool>,
}
