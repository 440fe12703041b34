//! What can be asked for.

use async_trait::async_trait;
use backup_core::{Result, SourceName};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::view::{RestorePreview, Run};

/// What a daemon does when told to.
///
/// Contract: these return when the request is recorded, not when the work is done; what was
/// accepted survives a restart or is shown as interrupted. Permission is checked by the caller.
#[async_trait]
pub trait Actions: Send + Sync {
    /// Starts a job now, or queues it; returns its run. `NotFound` when there is no such source,
    /// `Conflict` when the same job of the same source waits or runs already, `Unsupported`
    /// when the source cannot do this.
    async fn trigger(&self, trigger: &Trigger) -> Result<Run>;

    /// Asks a run to stop; its server-side session ends too. Returns the run as it is then;
    /// `NotFound` when there is none, `Conflict` when it has ended.
    async fn cancel(&self, run: &str) -> Result<Run>;

    /// Returns what a restore would do, without a target: nothing is opened for writing.
    async fn preview_restore(&self, question: &RestoreQuestion) -> Result<RestorePreview>;
}

/// What a daemon does to a source.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Take a snapshot.
    Backup,
    /// Have its provider take a snapshot.
    Native,
    /// Read stored data back.
    Verify,
    /// Restore elsewhere and ask questions.
    Drill,
    /// Bring a cluster elsewhere to a point in time and ask questions.
    PointDrill,
    /// Restore from nothing but the repository and a recovery key, and ask questions.
    DisasterDrill,
    /// Forget what retention lets go, and reclaim its space.
    Prune,
}

impl Job {
    /// Every job, in the order people meet them.
    pub const ALL: [Self; 7] = [
        Self::Backup,
        Self::Native,
        Self::Verify,
        Self::Drill,
        Self::PointDrill,
        Self::DisasterDrill,
        Self::Prune,
    ];

    /// Returns the stable word used in JSON, labels and addresses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Native => "native",
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::PointDrill => "point_drill",
            Self::DisasterDrill => "disaster_drill",
            Self::Prune => "prune",
        }
    }

    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Native => "provider snapshot",
            Self::PointDrill => "point drill",
            Self::DisasterDrill => "disaster drill",
            other => other.as_str(),
        }
    }

    /// Returns the job of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.as_str() == word)
    }
}

/// A job asked for by a person or a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Of which source.
    pub source: SourceName,
    /// Which.
    pub job: Job,
    /// Who asked, as shown with the run: the token's name, or `local`.
    pub by: String,
}

/// A restore that is only thought about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreQuestion {
    /// The first digits of an id, `latest`, or `SOURCE@latest`.
    #[schemars(regex(
        pattern = r"^([0-9a-f]{1,32}|latest|[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}@latest)$"
    ))]
    pub snapshot: String,
    /// The point in time, where the source has WAL.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// These tables only (`schema.table`).
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub tables: Vec<String>,
    /// These schemas only.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub schemas: Vec<String>,
}
