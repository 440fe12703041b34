//! Provider snapshots as JSON.

use backup_core::port::{NativeSchedule, NativeSnapshot, Placement, Window};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ErrorDocument;
use crate::managed::{NativePlan, NativeStanding, is_ours};

/// `backupctl snapshots --native --json`, `backupctl backup --native --json` and `backupctl forget
/// --native --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NativeDocument {
    /// `backupctl.native.v1`.
    #[schemars(extend("const" = "backupctl.native.v1"))]
    pub schema: String,
    /// The source's name.
    pub source: String,
    /// The provider's word in configuration.
    pub provider: String,
    /// `on_provider`: these die with the account or the project.
    #[schemars(extend("enum" = ["on_provider"]))]
    pub placement: String,
    /// The snapshots that were looked at, newest first.
    pub snapshots: Vec<NativeSnapshotDocument>,
    /// Why nothing is deleted, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What to know, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When the provider takes snapshots by itself; only in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<NativeScheduleDocument>,
    /// Why none was taken of this source, where that failed; then nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDocument>,
}

/// When a provider takes snapshots by itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NativeScheduleDocument {
    /// How often, for people.
    pub often: String,
    /// How long each is kept, in seconds, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_seconds: Option<u64>,
}

/// One provider snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NativeSnapshotDocument {
    /// The provider's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was begun.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: Timestamp,
    /// When the provider deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires_at: Option<Timestamp>,
    /// `ready`, `running`, `failed`, or a word of the provider's.
    pub state: String,
    /// Its size, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whether it is protected against deletion.
    pub protected: bool,
    /// Whether a schedule of the provider made it.
    pub automatic: bool,
    /// Whether we made it for this source: nothing else is ever deleted.
    pub ours: bool,
    /// `keep` or `forget`, where a policy was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// What a provider keeps of a source, in `backupctl status --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NativeStandingDocument {
    /// The provider's word in configuration.
    pub provider: String,
    /// `on_provider`, the weaker class.
    #[schemars(extend("enum" = ["on_provider"]))]
    pub placement: String,
    /// When the newest that can be restored was begun.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub newest_at: Option<Timestamp>,
    /// Seconds since then.
    pub age_seconds: Option<u64>,
    /// How many there are.
    pub snapshots: u64,
    /// How many of them are ours.
    pub ours: u64,
    /// The earliest moment that can be restored.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub earliest: Option<Timestamp>,
    /// The latest; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub latest: Option<Timestamp>,
    /// How old the newest snapshot of either placement may get, in seconds, where that is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_of_both_seconds: Option<u64>,
    /// Why it is not known, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl NativeDocument {
    /// Returns the document of a list.
    #[must_use]
    pub fn listed(
        source: &backup_core::SourceName,
        provider: &str,
        snapshots: &[NativeSnapshot],
    ) -> Self {
        let all = snapshots.iter().map(|snapshot| one(snapshot, source)).collect();
        Self {
            schema: "backupctl.native.v1".into(),
            source: source.to_string(),
            provider: provider.to_owned(),
            placement: Placement::OnProvider.as_str().into(),
            snapshots: all,
            refused: None,
            notes: Vec::new(),
            schedules: Vec::new(),
            error: None,
        }
    }

    /// Adds when the provider takes snapshots by itself.
    #[must_use]
    pub fn with_schedules(mut self, schedules: &[NativeSchedule]) -> Self {
        let schedule = |one: &NativeSchedule| NativeScheduleDocument {
            often: one.often.clone(),
            kept_seconds: one.kept_seconds,
        };
        self.schedules = schedules.iter().map(schedule).collect();
        self
    }

    /// Returns the document of a source of which none was taken.
    #[must_use]
    pub fn failed(
        source: &backup_core::SourceName,
        provider: &str,
        error: &backup_core::Error,
    ) -> Self {
        Self { error: Some(ErrorDocument::new(error)), ..Self::listed(source, provider, &[]) }
    }

    /// Returns the document of a plan.
    #[must_use]
    pub fn planned(source: &backup_core::SourceName, provider: &str, plan: &NativePlan) -> Self {
        let mut document = Self::listed(source, provider, &[]);
        document.refused.clone_from(&plan.refused);
        let kept = plan.keep.iter().map(|kept| NativeSnapshotDocument {
            action: Some("keep".into()),
            reasons: kept.reasons.clone(),
            ..one(&kept.snapshot, source)
        });
        let gone = plan.forget.iter().map(|snapshot| NativeSnapshotDocument {
            action: Some("forget".into()),
            ..one(snapshot, source)
        });
        document.snapshots = kept.chain(gone).collect();
        document.snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_at));
        document
    }

    /// Adds what to know.
    #[must_use]
    pub fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }
}

fn one(snapshot: &NativeSnapshot, source: &backup_core::SourceName) -> NativeSnapshotDocument {
    NativeSnapshotDocument {
        id: snapshot.id.clone(),
        name: snapshot.name.clone(),
        created_at: snapshot.created_at,
        expires_at: snapshot.expires_at,
        state: snapshot.state.as_str().to_owned(),
        bytes: snapshot.bytes,
        protected: snapshot.protected,
        automatic: snapshot.automatic,
        ours: is_ours(&snapshot.name, source),
        action: None,
        reasons: Vec::new(),
    }
}

impl NativeStandingDocument {
    /// Returns the document of a standing.
    #[must_use]
    pub fn new(
        native: &NativeStanding,
        rpo_of_both: Option<std::time::Duration>,
        now: Timestamp,
    ) -> Self {
        let window: Option<Window> = native.window;
        Self {
            provider: native.provider.clone(),
            placement: Placement::OnProvider.as_str().into(),
            newest_at: native.newest.as_ref().map(|newest| newest.created_at),
            age_seconds: native.age(now).map(|age| age.as_secs()),
            snapshots: native.snapshots as u64,
            ours: native.ours as u64,
            earliest: window.map(|window| window.earliest),
            latest: window.and_then(|window| window.latest),
            rpo_of_both_seconds: rpo_of_both.map(|rpo| rpo.as_secs()),
            error: native.error.clone(),
        }
    }
}
