//! Recovery sets as JSON.

use backup_core::SetPlace;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SnapshotDocument;
use crate::group::{RecoverySet, SetState};

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
