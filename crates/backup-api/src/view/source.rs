//! One source.

use backup_core::{SourceName, VerifyLevel};
use backup_ops::document::{ConditionDocument, SizeDocument, SnapshotDocument};
use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunTotal;
use crate::port::Job;

/// How a source stands, worst last.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The newest snapshot is young enough and proved.
    Protected,
    /// Its very first backup is running.
    Running,
    /// There is a young snapshot, but something must be looked at.
    AtRisk,
    /// There are snapshots, none young enough.
    Unprotected,
    /// There is no snapshot.
    NeverBackedUp,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Protected, Self::Running, Self::AtRisk, Self::Unprotected, Self::NeverBackedUp];

    /// Returns the stable word used in JSON and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Running => "running",
            Self::AtRisk => "at_risk",
            Self::Unprotected => "unprotected",
            Self::NeverBackedUp => "never_backed_up",
        }
    }

    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Running => "running",
            Self::AtRisk => "at risk",
            Self::Unprotected => "unprotected",
            Self::NeverBackedUp => "never backed up",
        }
    }
}

impl From<backup_ops::Standing> for State {
    fn from(standing: backup_ops::Standing) -> Self {
        match standing {
            backup_ops::Standing::Protected => Self::Protected,
            backup_ops::Standing::AtRisk => Self::AtRisk,
            backup_ops::Standing::Unprotected => Self::Unprotected,
            backup_ops::Standing::NeverBackedUp => Self::NeverBackedUp,
        }
    }
}

/// One source as it stands now: everything a row of the fleet shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Its name.
    #[schemars(with = "String")]
    pub name: SourceName,
    /// `postgres`, `mysql`, `files`.
    pub engine: String,
    /// `postgres`, `neon`, `supabase` …
    pub provider: String,
    /// Where it is, for people, without secrets.
    pub location: Option<String>,
    /// How it stands.
    pub state: State,
    /// Why, a sentence each; empty when protected.
    pub reasons: Vec<String>,
    /// What is worth looking at, by name; also of a source that is protected.
    pub conditions: Vec<ConditionDocument>,
    /// When the next snapshot is expected by its schedule, counted from the newest one.
    pub expected_at: Option<Timestamp>,
    /// How old the newest snapshot may get.
    pub rpo_seconds: u64,
    /// How far it must have been proved.
    #[schemars(with = "String", extend("enum" = ["none", "exists", "read", "drilled"]))]
    pub required_level: VerifyLevel,
    /// How long a restore may take, where its owner said so.
    pub rto_budget_seconds: Option<u64>,
    /// The instant the newest snapshot is from.
    pub newest_at: Option<Timestamp>,
    /// Its id.
    pub newest_snapshot: Option<String>,
    /// How far it was proved.
    #[schemars(with = "Option<String>")]
    pub newest_level: Option<VerifyLevel>,
    /// The instant the newest snapshot that was proved as far as asked is from.
    pub proved_at: Option<Timestamp>,
    /// Its id.
    pub proved_snapshot: Option<String>,
    /// When something of it was last verified.
    pub verified_at: Option<Timestamp>,
    /// The longest that any of its snapshots has been waiting to be verified (again).
    pub longest_unverified_seconds: Option<u64>,
    /// How large the newest snapshot is beside those before it; absent before there are five.
    pub size: Option<SizeDocument>,
    /// The last drill that ended.
    pub drill: Option<Drill>,
    /// To which instants it can be brought back: the newest unbroken range.
    pub window: Option<Window>,
    /// How many snapshots there are.
    pub snapshots: u64,
    /// Bytes in the repository that its snapshots wrote, as far as is known.
    pub stored_bytes: u64,
    /// The newest snapshots' sizes, oldest first; at most 30.
    pub sizes: Vec<SizePoint>,
    /// The last 30 days, oldest first, today last.
    pub days: Vec<Day>,
    /// What comes next, soonest first: one entry per job that has a schedule.
    pub next: Vec<Next>,
    /// For each job that ever ended: its last good and its last bad end.
    pub last: Vec<LastRun>,
    /// Runs that wait or run, by id.
    pub active_runs: Vec<String>,
    /// Runs that ended, by job and end.
    pub totals: Vec<RunTotal>,
    /// How many backups went well.
    pub success: Vec<SuccessRate>,
    /// Its WAL stream, where it has one.
    pub wal: Option<Wal>,
    /// What its provider keeps of it, where that is looked at.
    pub native: Option<Native>,
}

impl Source {
    /// Returns what is planned for a job.
    #[must_use]
    pub fn next_of(&self, job: Job) -> Option<&Next> {
        self.next.iter().find(|next| next.job == job)
    }

    /// Returns how a job ended last.
    #[must_use]
    pub fn last_of(&self, job: Job) -> Option<&LastRun> {
        self.last.iter().find(|last| last.job == job)
    }
}

/// When a job runs next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    /// Which.
    pub job: Job,
    /// Its schedule, as written.
    pub schedule: String,
    /// The zone it is meant in.
    pub zone: String,
    /// When; absent when nothing is planned (paused, or waiting for a first run).
    pub at: Option<Timestamp>,
    /// Since when it should have run and did not.
    pub overdue_since: Option<Timestamp>,
}

/// How a job ended last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastRun {
    /// Which.
    pub job: Job,
    /// When it last ended well.
    pub success_at: Option<Timestamp>,
    /// How long that took.
    pub success_seconds: Option<f64>,
    /// When it last ended badly.
    pub failure_at: Option<Timestamp>,
    /// Why.
    pub failure: Option<String>,
}

/// One point of a size chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SizePoint {
    /// The snapshot's id.
    pub snapshot: String,
    /// The instant it is from.
    pub at: Timestamp,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// Bytes written for it.
    pub stored_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it cannot be trusted.
    pub suspect: bool,
}

/// One day of the strip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Day {
    /// Which, in UTC.
    pub date: Date,
    /// The worst that happened to backups.
    pub state: DayState,
    /// One sentence.
    pub note: String,
}

/// What a day was like, best first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DayState {
    /// Before there was anything to do.
    Before,
    /// Nothing was planned, nothing happened.
    Idle,
    /// Every backup ended well.
    Good,
    /// A backup is running.
    Running,
    /// A backup ended well after a failure, or is suspect.
    Warning,
    /// A backup should have run and did not.
    Overdue,
    /// A backup failed and none ended well after it.
    Failed,
}

impl DayState {
    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Before => "before the first backup",
            Self::Idle => "nothing planned",
            Self::Good => "good",
            Self::Running => "running",
            Self::Warning => "warning",
            Self::Overdue => "overdue",
            Self::Failed => "failed",
        }
    }
}

/// How many backups went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuccessRate {
    /// Over how many days back.
    pub days: u32,
    /// Runs that ended well.
    pub good: u64,
    /// Runs that ended.
    pub all: u64,
}

/// To which instants a source can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// The oldest.
    pub from: Timestamp,
    /// The newest.
    pub to: Timestamp,
    /// Whether every instant between can be had (WAL), or only those of snapshots.
    pub continuous: bool,
}

/// A hole in the recoverable range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// From when nothing can be brought back.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Why, one sentence.
    pub reason: String,
}

/// A WAL stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wal {
    /// Whether it arrives at this daemon.
    pub streaming: bool,
    /// Seconds between now and the newest durable WAL: what would be lost if the server died.
    pub lag_seconds: Option<f64>,
    /// Bytes the server has written that are not durable here.
    pub lag_bytes: Option<u64>,
    /// The newest durable segment.
    pub segment: Option<String>,
    /// How many holes there are.
    pub gaps: u64,
    /// What is wrong, one sentence.
    pub problem: Option<String>,
}

/// What a provider keeps of a source: with the provider, and read by nobody. The weaker class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Native {
    /// The provider's word in configuration.
    pub provider: String,
    /// When the newest that can be restored was begun, whoever made it.
    pub newest_at: Option<Timestamp>,
    /// How many there are.
    pub snapshots: u64,
    /// How many of them are ours.
    pub ours: u64,
    /// Since when any moment can be restored by the provider.
    pub earliest: Option<Timestamp>,
    /// How old the newest snapshot of either placement may get, where that is promised.
    pub rpo_seconds: Option<u64>,
    /// Why it is not known, where it is not.
    pub problem: Option<String>,
}

/// A drill that ended: its receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drill {
    /// The run; absent when another program held it.
    pub run: Option<String>,
    /// The snapshot restored.
    pub snapshot: String,
    /// When it ended.
    pub at: Timestamp,
    /// `passed`; `failed`: the backup is bad; `inconclusive`: the place it was restored to could
    /// not do it.
    #[schemars(extend("enum" = ["passed", "failed", "inconclusive"]))]
    pub verdict: String,
    /// Whether every question was answered right.
    pub passed: bool,
    /// Seconds until the first query was answered.
    pub rto_seconds: Option<f64>,
    /// Seconds by phase, in order.
    pub phases: Vec<backup_ops::document::PhaseDocument>,
    /// Questions asked.
    pub questions: u64,
    /// What was wrong, a sentence each.
    pub failures: Vec<String>,
}

/// What the page of one source shows beyond its row.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// Which.
    #[schemars(with = "String")]
    pub source: SourceName,
    /// Unbroken recoverable ranges, oldest first.
    pub windows: Vec<Window>,
    /// The holes between them, oldest first.
    pub gaps: Vec<Gap>,
    /// Its snapshots, oldest first; at most the newest 400.
    pub snapshots: Vec<SnapshotDocument>,
    /// Sizes and durations, oldest first; at most the newest 400.
    pub sizes: Vec<SizePoint>,
    /// Drills, newest first; at most 50.
    pub drills: Vec<Drill>,
}
