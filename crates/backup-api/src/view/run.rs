//! One run of one job.

use backup_core::SourceName;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::port::Job;

/// One run of one job, without its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id: letters, digits, `-` and `_`, at most 64.
    pub id: String,
    /// Of which source; absent for what concerns a whole repository.
    #[schemars(with = "Option<String>")]
    pub source: Option<SourceName>,
    /// Which job.
    pub job: Job,
    /// What started it.
    pub cause: RunCause,
    /// Who asked, where somebody did.
    pub by: Option<String>,
    /// How it stands.
    pub state: RunState,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When it was recorded.
    pub queued_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Bytes it is expected to go through, where that can be estimated.
    pub expected_bytes: Option<u64>,
    /// Bytes gone through.
    pub done_bytes: u64,
    /// Bytes written to the store.
    pub stored_bytes: u64,
    /// The snapshot it made, verified or restored.
    pub snapshot: Option<String>,
    /// Why it ended badly, on one line.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Run {
    /// Returns how far it is, from 0 to 1, where that can be said.
    #[must_use]
    pub fn share_done(&self) -> Option<f64> {
        let expected = self.expected_bytes.filter(|bytes| *bytes > 0)?;
        Some((self.done_bytes as f64 / expected as f64).min(1.0))
    }

    /// Returns its length in seconds, up to `now` while it runs.
    #[must_use]
    pub fn seconds(&self, now: Timestamp) -> Option<f64> {
        let end = self.finished_at.unwrap_or(now);
        Some(end.duration_since(self.started_at?).as_secs_f64().max(0.0))
    }
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunCause {
    /// Its time had come.
    Schedule,
    /// Its time had come while nobody was there to do it.
    CatchUp,
    /// The attempt before failed.
    Retry,
    /// Somebody asked.
    Manual,
    /// Another run called for it (a verify after a backup).
    Follow,
}

impl RunCause {
    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch-up",
            Self::Retry => "retry",
            Self::Manual => "by hand",
            Self::Follow => "follow-up",
        }
    }
}

/// How a run stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for its turn.
    Queued,
    /// At work.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended with a result that cannot be trusted.
    Suspect,
    /// Ended badly.
    Failed,
    /// Stopped by somebody.
    Cancelled,
    /// The daemon ended before it did.
    Interrupted,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Suspect,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// Returns the stable word used in JSON and labels; people read the same.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Suspect => "suspect",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns the state of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Returns whether it waits or runs.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// One run with everything that was noted about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its phases, in order.
    pub phases: Vec<Phase>,
    /// Its log, oldest first; at most the newest 2,000 lines.
    pub log: Vec<LogLine>,
}

/// One phase of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// A short phrase.
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// How important.
    pub level: LogLevel,
    /// What, without control characters and secrets.
    pub message: String,
}

/// How important a line is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What went on.
    Info,
    /// Unexpected, and dealt with.
    Warning,
    /// It ended the run.
    Error,
}

impl LogLevel {
    /// Returns the stable word used in JSON; people read the same.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
