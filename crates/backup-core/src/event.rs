//! What happens during a run, told once; progress bars, logs, metrics and alerts listen.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Finding, PartName, SnapshotId, SourceName};

/// One thing that happened. Names are past tense; byte counts are of this event alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A run began; `verb` is the command's name.
    RunStarted {
        /// `backup`, `restore`, `verify`, `prune` …
        verb: &'static str,
        /// The source, where there is one.
        source: Option<SourceName>,
        /// Bytes expected, where they can be estimated.
        expected_bytes: Option<u64>,
    },
    /// A phase of the run began ("copy rows", "build indexes").
    PhaseStarted {
        /// A short phrase for people.
        phase: String,
    },
    /// A part began.
    PartStarted {
        /// Which.
        part: PartName,
        /// Bytes expected, where they can be estimated.
        expected_bytes: Option<u64>,
    },
    /// Bytes went through.
    Progress {
        /// Bytes of source (backup, restore) or of stored data (verify, prune).
        bytes: u64,
    },
    /// A part ended.
    PartFinished {
        /// Which.
        part: PartName,
        /// Its rows, where they were counted.
        rows: Option<u64>,
        /// Its bytes.
        bytes: u64,
    },
    /// A pack is durable.
    PackStored {
        /// Bytes of the object.
        bytes: u64,
    },
    /// A temporary failure is being retried.
    Retrying {
        /// What is tried again.
        operation: String,
        /// The attempt that just failed, from 1.
        attempt: u32,
        /// Why.
        error: String,
    },
    /// Something a person should know.
    Found(Finding),
    /// A snapshot exists from now on.
    SnapshotCommitted {
        /// Its id.
        snapshot: SnapshotId,
    },
    /// The run ended.
    RunFinished {
        /// When.
        at: Timestamp,
        /// The error's text, if it failed.
        error: Option<String>,
    },
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good news, or a recovery.
    Info,
    /// Unexpected, nothing lost yet.
    Warning,
    /// A person must act.
    Critical,
}

impl Severity {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
