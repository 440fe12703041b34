//! What Neon answers, as far as it matters here. Words may be added at any time: enumerations are
//! read as text, members that are not named are passed over.

use backup_core::port::NativeSchedule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct Projects {
    pub(crate) projects: Vec<ProjectName>,
    #[serde(default)]
    pub(crate) pagination: Option<Cursor>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ProjectName {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cursor {
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    /// What other lists call it.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OneProject {
    pub(crate) project: Project,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) pg_version: u32,
    pub(crate) history_retention_seconds: i64,
    #[serde(default)]
    pub(crate) store_passwords: bool,
    #[serde(default)]
    pub(crate) owner: Option<Owner>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Owner {
    #[serde(default)]
    pub(crate) subscription_type: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Branches {
    pub(crate) branches: Vec<Branch>,
    #[serde(default)]
    pub(crate) pagination: Option<Cursor>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OneBranch {
    pub(crate) branch: Branch,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Branch {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) current_state: String,
    #[serde(default)]
    pub(crate) parent_id: Option<String>,
    #[serde(default, rename = "default")]
    pub(crate) is_default: bool,
    #[serde(default)]
    pub(crate) protected: bool,
    pub(crate) created_at: Timestamp,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) restored_from: Option<String>,
    #[serde(default)]
    pub(crate) restore_status: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) endpoints: Vec<Compute>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Compute {
    pub(crate) id: String,
    pub(crate) branch_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Uri {
    pub(crate) uri: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Snapshots {
    pub(crate) snapshots: Vec<Snapshot>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) source_branch_id: Option<String>,
    pub(crate) created_at: Timestamp,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) manual: Option<bool>,
    #[serde(default)]
    pub(crate) full_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MadeSnapshot {
    pub(crate) snapshot: Snapshot,
    #[serde(default)]
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MadeBranch {
    pub(crate) branch: Branch,
    #[serde(default)]
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Operations {
    #[serde(default)]
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OneOperation {
    pub(crate) operation: Operation,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) branch_id: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// How an operation stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Done,
    Failed,
    /// Under way, or a word of later.
    Running,
}

impl Operation {
    pub(crate) fn stand(&self) -> Stand {
        match self.status.as_str() {
            "finished" | "skipped" => Stand::Done,
            "failed" | "error" | "cancelled" => Stand::Failed,
            _ => Stand::Running,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Schedule {
    #[serde(default)]
    pub(crate) schedule: Vec<ScheduleItem>,
}

/// When Neon takes snapshots by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleItem {
    /// `daily`, `weekly` or `monthly`.
    pub frequency: String,
    /// The hour, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<u8>,
    /// The day of the week or the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<u8>,
    /// The month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<u8>,
    /// How long each is kept; at least an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_seconds: Option<u64>,
}

impl ScheduleItem {
    /// Returns it for people.
    pub(crate) fn told(&self) -> NativeSchedule {
        let mut often = self.frequency.clone();
        if let Some(month) = self.month {
            often.push_str(&format!(", month {month}"));
        }
        if let Some(day) = self.day {
            often.push_str(&format!(", day {day}"));
        }
        if let Some(hour) = self.hour {
            often.push_str(&format!(" at {hour:02}:00 UTC"));
        }
        NativeSchedule { often, kept_seconds: self.retention_seconds }
    }
}
