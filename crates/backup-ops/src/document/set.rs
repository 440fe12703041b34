//! Recovery sets as JSON.

use backup_core::SetPlace;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SnapshotDocument;
use crate::group::{GroupStatus, RecoverySet, SetState};

/// Where a snapshot stands in a recovery set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetPlaceDocument {
    /// The set's id: 32 hexadecimal digits.
    pub id: String,
    /// The group that it is a set of.
    pub group: String,
    /// The group's members in the order in which they are taken.
    pub members: Vec<String>,
    /// Which member this is, from 1. The set is whole with the last, if the others are still there.
    pub position: u64,
}

/// A recovery set: all of it, or what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetDocument {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// The group that it is a set of.
    pub group: String,
    /// `complete`; `suspect`: all there, but something of it cannot be trusted; `incomplete`.
    #[schemars(extend("enum" = ["complete", "suspect", "incomplete"]))]
    pub state: String,
    /// When its first member was begun: how old its oldest data is.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// How far the least proved of its snapshots is.
    #[schemars(extend("enum" = ["none", "exists", "read", "drilled"]))]
    pub level: String,
    /// Its members in order.
    pub members: Vec<SetMemberDocument>,
}

/// One member of a recovery set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetMemberDocument {
    /// The source's name.
    pub source: String,
    /// Its snapshot's id; null where it was not taken, or is gone.
    pub snapshot: Option<String>,
}

/// `backupctl show --json` and `backupctl ls --json` of a recovery set.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ShowSetDocument {
    /// `backupctl.set.v1`.
    #[schemars(extend("const" = "backupctl.set.v1"))]
    pub schema: String,
    /// The set.
    pub set: SetDocument,
    /// Its snapshots, in the order of its members.
    pub snapshots: Vec<SnapshotDocument>,
}

/// One group's standing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupStatusDocument {
    /// The group's name.
    pub group: String,
    /// `protected`, `at_risk`, `unprotected` or `never_backed_up`.
    #[schemars(extend("enum" = ["protected", "at_risk", "unprotected", "never_backed_up"]))]
    pub state: String,
    /// Why, as sentences; empty when protected.
    pub reasons: Vec<String>,
    /// Its members, in order.
    pub members: Vec<String>,
    /// How old the newest complete set may get, in seconds.
    pub rpo_seconds: u64,
    /// Age of its oldest data in seconds.
    pub age_seconds: Option<u64>,
    /// The newest complete set; null when there is none.
    pub newest: Option<SetDocument>,
    /// How many complete sets there are.
    pub complete: u64,
    /// How many incomplete ones.
    pub incomplete: u64,
    /// How long ago the last drill that passed may be, in seconds; null where the newest complete
    /// set itself must have passed one.
    pub drill_interval_seconds: Option<u64>,
    /// When the newest drill of a set that passed began.
    #[schemars(with = "Option<String>")]
    pub drill_passed_at: Option<Timestamp>,
    /// What the newest drill of a set found.
    pub drill_verdict: Option<String>,
    /// How many questions about files its drills ask; with none nobody looks whether the files are
    /// there that the database refers to.
    #[serde(default)]
    pub key_questions: u64,
    /// Whether the newest complete set passed its drill; null when it had none that could tell.
    pub newest_passed: Option<bool>,
}

impl GroupStatusDocument {
    /// Returns the document of a group's standing.
    #[must_use]
    pub fn new(status: &GroupStatus) -> Self {
        let drill = status.drill.as_ref();
        Self {
            group: status.group.to_string(),
            state: status.standing.as_str().into(),
            reasons: status.reasons.clone(),
            members: status.promise.members.iter().map(ToString::to_string).collect(),
            rpo_seconds: status.promise.rpo.as_secs(),
            age_seconds: status.age.map(|age| age.as_secs()),
            newest: status.newest.as_ref().map(SetDocument::new),
            complete: status.complete as u64,
            incomplete: status.incomplete as u64,
            drill_interval_seconds: status.promise.drill_interval.map(|period| period.as_secs()),
            drill_passed_at: drill.and_then(|drill| drill.passed_at),
            drill_verdict: drill.map(|drill| drill.newest.verdict.clone()),
            key_questions: status.promise.keys as u64,
            newest_passed: status.newest_passed,
        }
    }
}

impl SetPlaceDocument {
    /// Returns the document of a place.
    #[must_use]
    pub fn new(place: &SetPlace) -> Self {
        Self {
            id: place.id.to_string(),
            group: place.group.to_string(),
            members: place.members.iter().map(ToString::to_string).collect(),
            position: place.position() as u64 + 1,
        }
    }
}

impl SetDocument {
    /// Returns the document of a set.
    #[must_use]
    pub fn new(set: &RecoverySet) -> Self {
        let members = set.members.iter().map(|member| SetMemberDocument {
            source: member.source.to_string(),
            snapshot: member.record.as_ref().map(|record| record.snapshot.id.to_string()),
        });
        Self {
            id: set.id.to_string(),
            group: set.group.to_string(),
            state: set.state().as_str().into(),
            started_at: set.begun_at(),
            level: match set.state() {
                SetState::Incomplete => backup_core::VerifyLevel::None,
                _ => set.level(),
            }
            .as_str()
            .into(),
            members: members.collect(),
        }
    }
}

impl ShowSetDocument {
    /// Returns the document of a set with its snapshots.
    #[must_use]
    pub fn new(set: &RecoverySet) -> Self {
        Self {
            schema: "backupctl.set.v1".into(),
            set: SetDocument::new(set),
            snapshots: set.records().map(SnapshotDocument::of).collect(),
        }
    }
}
