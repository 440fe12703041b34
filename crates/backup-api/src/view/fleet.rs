//! Everything at one instant.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Group, Repository, RunState, Source, State};
use crate::port::Job;

/// Everything a daemon is responsible for, at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fleet {
    /// The instant.
    pub at: Timestamp,
    /// The daemon itself.
    pub program: Program,
    /// Every source, by name.
    pub sources: Vec<Source>,
    /// Every group, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Where snapshots rest.
    pub repositories: Vec<Repository>,
    /// Alerts that are open, and those that could not be delivered.
    pub alerts: Vec<Alert>,
}

impl Fleet {
    /// Returns the source of that name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name.as_str() == name)
    }

    /// Returns whether there is a source and every one is protected, and every group.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        !self.sources.is_empty()
            && self.sources.iter().all(|s| s.state == State::Protected)
            && self.groups.iter().all(|group| group.state == State::Protected)
    }
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether jobs are started by their schedules; false while paused.
    pub enabled: bool,
    /// What is wrong with the daemon itself, a sentence each: a catalog that cannot be written,
    /// a configuration that could not be reloaded.
    pub problems: Vec<String>,
}

/// Runs that ended, counted since the catalog began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunTotal {
    /// Which job.
    pub job: Job,
    /// How they ended.
    pub state: RunState,
    /// How many.
    pub count: u64,
}

/// Something people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Stays the same while it is open.
    pub id: String,
    /// A word for its sort: `backup_failed`, `overdue`, `verify_failed` …
    pub name: String,
    /// How urgent.
    pub severity: AlertSeverity,
    /// Which source, where it concerns one.
    #[schemars(with = "Option<String>")]
    pub source: Option<backup_core::SourceName>,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; absent while open.
    pub resolved_at: Option<Timestamp>,
    /// Who was told, and whether it worked.
    pub deliveries: Vec<Delivery>,
}

/// How urgent an alert is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// Good news, or a recovery.
    Info,
    /// Unexpected, nothing lost yet.
    Warning,
    /// A person must act.
    Critical,
}

impl AlertSeverity {
    /// Returns the stable word used in JSON and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl From<backup_core::Severity> for AlertSeverity {
    fn from(severity: backup_core::Severity) -> Self {
        match severity {
            backup_core::Severity::Info => Self::Info,
            backup_core::Severity::Warning => Self::Warning,
            backup_core::Severity::Critical => Self::Critical,
        }
    }
}

/// One attempt to tell somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// The channel's name in the configuration.
    pub channel: String,
    /// When it was last tried.
    pub tried_at: Timestamp,
    /// Why it did not work; absent when it was delivered.
    pub error: Option<String>,
}
