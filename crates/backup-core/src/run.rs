//! Runs: what a program did, when, for whom, and how it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, RunId, SnapshotId, SourceName};

/// What can be run on a schedule or by request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Take a snapshot of a source, prove it, and apply its retention.
    Backup,
    /// Have the provider of a source take a snapshot, and apply the retention of those.
    Native,
    /// Prove the snapshots of a source.
    Verify,
    /// Restore the newest snapshot of a source elsewhere and question it.
    Drill,
    /// Bring a cluster elsewhere to a point in time, by a physical snapshot and stored WAL.
    PointDrill,
    /// Restore the newest snapshot of a source from nothing but the repository and a recovery key.
    DisasterDrill,
    /// Apply the retention of a source.
    Forget,
    /// Reclaim what no snapshot of the repository needs.
    Prune,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Backup,
        Self::Native,
        Self::Verify,
        Self::Drill,
        Self::PointDrill,
        Self::DisasterDrill,
        Self::Forget,
        Self::Prune,
    ];

    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Native => "native",
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::PointDrill => "point_drill",
            Self::DisasterDrill => "disaster_drill",
            Self::Forget => "forget",
            Self::Prune => "prune",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "parse job kind").with("text", text.escape_debug()).hint(
                "Known are backup, native, verify, drill, point_drill, disaster_drill, forget and \
                 prune.",
            )
        })
    }
}

/// One job: a kind, and the source it is for; a job of the whole repository has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// What is done.
    pub kind: JobKind,
    /// For which source.
    pub source: Option<SourceName>,
}

impl JobKey {
    /// Names the job of a source.
    #[must_use]
    pub fn of(kind: JobKind, source: &SourceName) -> Self {
        Self { kind, source: Some(source.clone()) }
    }

    /// Names the job of the whole repository.
    #[must_use]
    pub fn whole(kind: JobKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for JobKey {
    /// Writes `backup shop`, or `prune`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{} {source}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl FromStr for JobKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(' ') {
            Some((kind, source)) => Ok(Self { kind: kind.parse()?, source: Some(source.parse()?) }),
            None => Ok(Self { kind: text.parse()?, source: None }),
        }
    }
}

/// Why a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its schedule.
    Schedule,
    /// Its schedule, while nobody was there to start it.
    CatchUp,
    /// An earlier attempt failed.
    Retry,
    /// A snapshot was committed, and its owner wants each of them drilled.
    Snapshot,
    /// A person or a program asked.
    Request,
    /// It is known from the repository alone: its record was lost.
    Rebuilt,
}

impl Trigger {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch_up",
            Self::Retry => "retry",
            Self::Snapshot => "snapshot",
            Self::Request => "request",
            Self::Rebuilt => "rebuilt",
        }
    }
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Asked for, and waiting for its turn.
    Queued,
    /// Under way.
    Running,
    /// Did what it should.
    Succeeded,
    /// Committed a snapshot that cannot be trusted.
    Suspect,
    /// Did not do what it should; `error` says why.
    Failed,
    /// Ended before its end: the program was stopped or killed. It is run again.
    Interrupted,
    /// A person stopped it.
    Cancelled,
}

impl RunState {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Suspect => "suspect",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One run, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id; ids of later runs are greater.
    pub id: RunId,
    /// Which job.
    pub job: JobKey,
    /// Why it began.
    pub trigger: Trigger,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// Who asked for it, where somebody did.
    pub actor: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; absent while it runs, and when nobody saw it end.
    pub ended_at: Option<Timestamp>,
    /// How it stands.
    pub state: RunState,
    /// Why it failed.
    pub error: Option<RunError>,
    /// The snapshot it committed, if any: also of a run that failed afterwards.
    pub snapshot: Option<SnapshotId>,
    /// Counts and sizes by name: `read_bytes`, `added_bytes`, `stored_bytes`, `forgotten` …
    pub numbers: BTreeMap<String, u64>,
    /// Its phases in order, with the seconds each took.
    pub phases: Vec<RunPhase>,
}

impl Run {
    /// Returns a run that begins now.
    #[must_use]
    pub fn begin(id: RunId, job: JobKey, trigger: Trigger, now: Timestamp) -> Self {
        Self {
            id,
            job,
            trigger,
            attempt: 1,
            actor: None,
            started_at: now,
            ended_at: None,
            state: RunState::Running,
            error: None,
            snapshot: None,
            numbers: BTreeMap::new(),
            phases: Vec::new(),
        }
    }

    /// Returns how long it took, in seconds; absent until it has ended.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let ended = self.ended_at?;
        Some(ended.duration_since(self.started_at).as_secs_f64().max(0.0))
    }

    /// Returns a count or a size; zero when it is not known.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or_default()
    }
}

/// One phase of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPhase {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// Why a run failed; what is left of an [`Error`] when it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The kind's stable word.
    pub kind: String,
    /// What failed, where and why, on one line.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl From<&Error> for RunError {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str().into(),
            message: error.to_string(),
            hint: error.remedy().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_names_round_trip() {
        let shop: SourceName = "shop".parse().unwrap();
        for (key, text) in [
            (JobKey::of(JobKind::Backup, &shop), "backup shop"),
            (JobKey::of(JobKind::PointDrill, &shop), "point_drill shop"),
            (JobKey::of(JobKind::Native, &shop), "native shop"),
            (JobKey::whole(JobKind::Prune), "prune"),
        ] {
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse::<JobKey>().unwrap(), key);
            let kind = serde_json::to_string(&key.kind).unwrap();
            assert_eq!(kind, format!("\"{}\"", key.kind), "one word everywhere");
        }
        for bad in ["", "backups shop", "backup ", "backup a/b"] {
            assert!(bad.parse::<JobKey>().is_err(), "{bad:?}");
        }
    }
}
