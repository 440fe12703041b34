//! What happens, as it happens.

use backup_core::SourceName;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LogLine, Run};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveEvent {
    /// Grows with every event of this daemon since it started.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Which run, where it belongs to one.
    pub run: Option<String>,
    /// Which source, where it concerns one.
    #[schemars(with = "Option<String>")]
    pub source: Option<SourceName>,
    /// What.
    pub what: LiveKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LiveKind {
    /// A run was queued, began or ended: this is how it stands now.
    Run {
        /// The run.
        run: Run,
    },
    /// A run went on; sent a few times a second at most.
    Progress {
        /// Bytes gone through so far.
        done_bytes: u64,
        /// Bytes expected, where they can be estimated.
        expected_bytes: Option<u64>,
        /// The phase it is in.
        phase: Option<String>,
    },
    /// A line was logged.
    Log {
        /// The line.
        line: LogLine,
    },
    /// The fleet looks different: ask again.
    Fleet,
}

impl LiveKind {
    /// Returns the event's name on the stream.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Progress { .. } => "progress",
            Self::Log { .. } => "log",
            Self::Fleet => "fleet",
        }
    }
}
