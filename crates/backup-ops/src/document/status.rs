//! Protection as JSON.

use backup_core::port::Placement;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::health::{ConditionDocument, RepositoryHealthDocument, SizeDocument, SuccessDocument};
use super::{GroupStatusDocument, NativeStandingDocument, SnapshotDocument};
use crate::group::GroupStatus;
use crate::health::RepositoryHealth;
use crate::status::{SourceStatus, Standing};

/// `backupctl status --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusDocument {
    /// `backupctl.status.v1`.
    #[schemars(extend("const" = "backupctl.status.v1"))]
    pub schema: String,
    /// When it was asked.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Whether every source is protected, and every group.
    pub protected: bool,
    /// Each source, by name.
    pub sources: Vec<SourceStatusDocument>,
    /// Each configured group, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupStatusDocument>,
    /// The repository's space and keys; absent where they were not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryHealthDocument>,
}

/// One source's standing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatusDocument {
    /// The source's name.
    pub source: String,
    /// `protected`, `at_risk`, `unprotected` or `never_backed_up`.
    #[schemars(extend("enum" = ["protected", "at_risk", "unprotected", "never_backed_up"]))]
    pub state: String,
    /// Why, as sentences; empty when protected.
    pub reasons: Vec<String>,
    /// How old the newest snapshot may get, in seconds.
    pub rpo_seconds: u64,
    /// How far it must have been proved.
    pub required_level: String,
    /// Age of the newest snapshot in seconds.
    pub age_seconds: Option<u64>,
    /// How many snapshots there are.
    pub snapshots: u64,
    /// The newest snapshot, suspect or not.
    pub newest: Option<SnapshotDocument>,
    /// The id of the newest snapshot that was proved as far as asked, of any age.
    pub newest_proved: Option<String>,
    /// How its drills stand; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillStandingDocument>,
    /// When its next backup is expected, by its schedule; absent without one, or without a first
    /// snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expected_at: Option<Timestamp>,
    /// Since when that backup is overdue; absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub overdue_since: Option<Timestamp>,
    /// When something of it was last verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub verified_at: Option<Timestamp>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_age_seconds: Option<u64>,
    /// The longest that any of its snapshots has been waiting to be verified (again), in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_unverified_seconds: Option<u64>,
    /// How large the newest snapshot is beside those before it; absent before there are five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeDocument>,
    /// How many backups went well, over 30 and 90 days; empty where no daemon's record of runs is
    /// at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<SuccessDocument>,
    /// What is worth looking at, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionDocument>,
    /// Where its snapshots in the repository rest: `off_provider`.
    #[serde(default = "off_provider")]
    #[schemars(extend("enum" = ["off_provider"]))]
    pub placement: String,
    /// What its provider keeps of it; absent where that was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeStandingDocument>,
}

fn off_provider() -> String {
    Placement::OffProvider.as_str().into()
}

/// How the drills of one source stand.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DrillStandingDocument {
    /// When the newest drill began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What it found: `passed`, `failed` or `inconclusive`.
    #[schemars(extend("enum" = ["passed", "failed", "inconclusive"]))]
    pub verdict: String,
    /// When the newest that passed began.
    #[schemars(with = "Option<String>")]
    pub passed_at: Option<Timestamp>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_age_seconds: Option<u64>,
    /// When the newest that passed from nothing but a recovery key began, where such drills were
    /// promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub disaster_passed_at: Option<Timestamp>,
    /// How long ago that may be, in seconds, where such drills were promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disaster_interval_seconds: Option<u64>,
    /// How long ago the last that passed may be, in seconds, where that was promised.
    pub interval_seconds: Option<u64>,
    /// Measured recovery time of the newest, in seconds.
    pub rto_seconds: Option<f64>,
    /// How long that may take, where that was promised.
    pub rto_budget_seconds: Option<u64>,
    /// What a restore of the newest snapshot would take, by its size.
    pub forecast_seconds: Option<f64>,
}

impl StatusDocument {
    /// Returns the document of a report.
    #[must_use]
    pub fn new(sources: &[SourceStatus], at: Timestamp) -> Self {
        Self {
            schema: "backupctl.status.v1".into(),
            at,
            protected: sources.iter().all(|source| source.standing == Standing::Protected),
            groups: Vec::new(),
            sources: sources.iter().map(|source| one(source, at)).collect(),
            repository: None,
        }
    }

    /// Adds how the groups stand; each of them has to be protected too.
    #[must_use]
    pub fn with_groups(mut self, groups: &[GroupStatus]) -> Self {
        self.protected &= groups.iter().all(|group| group.standing == Standing::Protected);
        self.groups = groups.iter().map(GroupStatusDocument::new).collect();
        self
    }

    /// Adds how the repository stands.
    #[must_use]
    pub fn with_repository(mut self, health: &RepositoryHealth) -> Self {
        self.repository = Some(RepositoryHealthDocument::new(health, self.at));
        self
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    Some(now.duration_since(since?).as_secs().max(0) as u64)
}

fn one(status: &SourceStatus, now: Timestamp) -> SourceStatusDocument {
    let (promise, health) = (&status.promise, &status.health);
    SourceStatusDocument {
        source: status.source.to_string(),
        state: status.standing.as_str().into(),
        reasons: status.reasons.clone(),
        rpo_seconds: status.promise.rpo.as_secs(),
        required_level: status.promise.level.as_str().into(),
        age_seconds: status.age.map(|age| age.as_secs()),
        snapshots: status.snapshots as u64,
        newest: status.newest.as_ref().map(SnapshotDocument::of),
        newest_proved: status.newest_proved.as_ref().map(|r| r.snapshot.id.to_string()),
        drill: status.drill.as_ref().map(|drill| DrillStandingDocument {
            at: drill.newest.at,
            verdict: drill.newest.verdict.clone(),
            passed_at: drill.passed_at,
            passed_age_seconds: age(drill.passed_at, now),
            disaster_passed_at: promise.drill.disaster.and(drill.disaster_passed_at),
            disaster_interval_seconds: promise.drill.disaster.map(|interval| interval.as_secs()),
            interval_seconds: status.promise.drill.interval.map(|interval| interval.as_secs()),
            rto_seconds: drill.newest.rto_seconds,
            rto_budget_seconds: status.promise.drill.rto.map(|rto| rto.as_secs()),
            forecast_seconds: drill.forecast_seconds,
        }),
        expected_at: health.backup.map(|backup| backup.expected_at),
        overdue_since: health.backup.and_then(|backup| backup.overdue_since),
        verified_at: health.verified_at,
        verified_age_seconds: age(health.verified_at, now),
        longest_unverified_seconds: health.longest_unverified.map(|age| age.as_secs()),
        size: health.size.as_ref().map(SizeDocument::new),
        success: health.success.iter().map(SuccessDocument::new).collect(),
        conditions: health.conditions.iter().map(ConditionDocument::new).collect(),
        placement: off_provider(),
        native: status
            .native
            .as_ref()
            .map(|native| NativeStandingDocument::new(native, promise.rpo_of_both, now)),
    }
}
