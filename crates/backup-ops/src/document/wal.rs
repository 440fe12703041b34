//! Stored WAL as JSON.

use backup_core::WalInstant;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wal::WalStatus;

/// `backupctl wal status --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WalStatusDocument {
    /// `backupctl.wal_status.v1`.
    #[schemars(extend("const" = "backupctl.wal_status.v1"))]
    pub schema: String,
    /// When it was asked.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Each cluster whose WAL is stored, by source.
    pub logs: Vec<WalLogDocument>,
}

/// The WAL of one cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WalLogDocument {
    /// The source.
    pub source: String,
    /// The cluster's system identifier, decimal.
    pub system: String,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Files stored.
    pub files: u64,
    /// Bytes they take.
    pub stored_bytes: u64,
    /// `ok`, `holes` (exit code 9) or `contradictions` (exit code 5).
    #[schemars(extend("enum" = ["ok", "holes", "contradictions"]))]
    pub state: String,
    /// Where the newest stored WAL ends.
    pub end: Option<String>,
    /// When that was stored.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub stored_at: Option<Timestamp>,
    /// How long ago.
    pub age_seconds: Option<u64>,
    /// The newest transaction in it.
    pub last_transaction: Option<InstantDocument>,
    /// Timelines with their rows of segments.
    pub timelines: Vec<TimelineDocument>,
    /// What can be recovered, by physical snapshot.
    pub windows: Vec<WindowDocument>,
    /// Contradictions and holes, a sentence each.
    pub problems: Vec<String>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// A time and a position.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstantDocument {
    /// The server's clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Position behind its record, as `16/B374D848`.
    pub lsn: String,
}

/// One timeline.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TimelineDocument {
    /// Its number.
    pub timeline: u32,
    /// The timeline that it left, if its history is stored.
    pub parent: Option<u32>,
    /// Where it left that.
    pub branched_at: Option<String>,
    /// Rows of whole segments; between two, WAL is missing.
    pub runs: Vec<RunDocument>,
}

/// A row of segments without a hole.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunDocument {
    /// Position of its first byte.
    pub start: String,
    /// Position behind its last.
    pub end: String,
    /// How many segments.
    pub segments: u64,
}

/// From a physical snapshot on, as far as WAL follows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowDocument {
    /// The snapshot's id.
    pub snapshot: String,
    /// From when on.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub from: Timestamp,
    /// Position from which on.
    pub start: String,
    /// The timeline at its end.
    pub timeline: u32,
    /// Position up to which.
    pub end: String,
}

impl WalStatusDocument {
    /// Returns the document of a report.
    #[must_use]
    pub fn new(logs: &[WalStatus], at: Timestamp) -> Self {
        let schema = "backupctl.wal_status.v1".into();
        Self { schema, at, logs: logs.iter().map(log).collect() }
    }
}

fn log(status: &WalStatus) -> WalLogDocument {
    let state = match (status.contradictions.is_empty(), status.holes.is_empty()) {
        (false, _) => "contradictions",
        (true, false) => "holes",
        (true, true) => "ok",
    };
    let size = status.inventory.segment_size;
    let timelines = status.inventory.timelines.iter().map(|(number, wal)| {
        let branch = wal.history.as_ref().and_then(|history| history.last());
        TimelineDocument {
            timeline: *number,
            parent: branch.map(|branch| branch.timeline),
            branched_at: branch.map(|branch| branch.end.to_string()),
            runs: wal
                .runs(size)
                .iter()
                .map(|run| RunDocument {
                    start: run.start.to_string(),
                    end: run.end.to_string(),
                    segments: run.segments,
                })
                .collect(),
        }
    });
    WalLogDocument {
        source: status.log.source.to_string(),
        system: status.log.system.to_string(),
        segment_bytes: size,
        files: status.inventory.files,
        stored_bytes: status.inventory.stored_bytes,
        state: state.into(),
        end: status.newest.as_ref().map(|newest| newest.end.to_string()),
        stored_at: status.newest.as_ref().map(|newest| newest.stored_at),
        age_seconds: status.age.map(|age| age.as_secs()),
        last_transaction: status.last_transaction.map(instant),
        timelines: timelines.collect(),
        windows: status
            .windows
            .iter()
            .map(|window| WindowDocument {
                snapshot: window.snapshot.to_string(),
                from: window.from,
                start: window.start.to_string(),
                timeline: window.timeline,
                end: window.end.to_string(),
            })
            .collect(),
        problems: status.contradictions.iter().chain(&status.holes).cloned().collect(),
        notes: status.notes.clone(),
    }
}

fn instant(instant: WalInstant) -> InstantDocument {
    InstantDocument { at: instant.at, lsn: instant.end.to_string() }
}
