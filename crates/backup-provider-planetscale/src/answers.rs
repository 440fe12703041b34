//! What PlanetScale answers, as far as it matters here. Enumerations are read as text, members
//! that are not named are passed over.

use backup_core::port::NativeSchedule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) next_page: Option<u64>,
    pub(crate) data: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Database {
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) default_branch: String,
    #[serde(default)]
    pub(crate) plan: Option<String>,
    #[serde(default)]
    pub(crate) at_backup_restore_branches_limit: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Branch {
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) ready: bool,
    /// Whether its schema can be used: of MySQL it comes after the branch itself.
    #[serde(default)]
    pub(crate) schema_ready: bool,
    #[serde(default)]
    pub(crate) safe_migrations: bool,
    #[serde(default)]
    pub(crate) production: bool,
    #[serde(default)]
    pub(crate) cluster_name: Option<String>,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Backup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) size: Option<u64>,
    #[serde(default)]
    pub(crate) uncompressed_size: Option<u64>,
    pub(crate) created_at: Timestamp,
    #[serde(default)]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) completed_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) protected: bool,
    /// PlanetScale's own, which nobody may delete.
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) backup_policy: Option<PolicyName>,
}

impl Backup {
    /// Returns how many bytes a restore of it takes, where that is said: its other size is that of
    /// what is stored, which is compressed.
    pub(crate) fn holds(&self) -> Option<u64> {
        self.uncompressed_size.filter(|bytes| *bytes > 0)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PolicyName {}

#[derive(Debug, Deserialize)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) password: Option<String>,
    pub(crate) access_host_url: String,
    pub(crate) database_name: String,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
}

/// A credential of a MySQL branch.
#[derive(Debug, Deserialize)]
pub(crate) struct Password {
    pub(crate) id: String,
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) plain_text: Option<String>,
    pub(crate) access_host_url: String,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) expired: bool,
}

/// A part of a MySQL branch with servers of its own.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Keyspace {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) shards: u64,
    #[serde(default)]
    pub(crate) cluster_name: Option<String>,
}

/// A size that a cluster may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Size {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) storage: Option<u64>,
    pub(crate) enabled: bool,
    pub(crate) production: bool,
    pub(crate) sort_order: i64,
    /// Whether it has disks of its own.
    #[serde(default)]
    pub(crate) metal: bool,
    /// Whose machines it is of; absent: of any.
    #[serde(default)]
    pub(crate) provider: Option<String>,
    /// Of which processors.
    #[serde(default)]
    pub(crate) architecture: Option<String>,
}

/// When PlanetScale makes backups by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Every so many …
    pub frequency_value: u32,
    /// … `hour`, `day`, `week` or `month`.
    pub frequency_unit: String,
    /// Kept for so many …
    pub retention_value: u32,
    /// … of these.
    pub retention_unit: String,
    /// Whether it is PlanetScale's own.
    #[serde(default)]
    pub required: bool,
}

impl Policy {
    /// Returns it for people.
    pub(crate) fn told(&self) -> NativeSchedule {
        let unit: Option<u64> = match self.retention_unit.as_str() {
            "hour" => Some(3_600),
            "day" => Some(86_400),
            "week" => Some(7 * 86_400),
            // Months and years have no length that could be said in seconds.
            _ => None,
        };
        NativeSchedule {
            often: format!("every {} {}", self.frequency_value, self.frequency_unit),
            kept_seconds: unit.map(|unit| unit.saturating_mul(u64::from(self.retention_value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backup_holds_is_not_what_is_stored_of_it() {
        let holds = |sizes: &str| {
            let rest = r#""id": "b", "name": "b", "state": "success", "created_at": "2026-01-01T00:00:00Z""#;
            serde_json::from_str::<Backup>(&format!("{{{rest}{sizes}}}")).unwrap().holds()
        };
        assert_eq!(holds(r#", "size": 10, "uncompressed_size": 40"#), Some(40));
        assert_eq!(holds(r#", "size": 40, "uncompressed_size": 10"#), Some(10));
        assert_eq!(holds(r#", "size": 10, "uncompressed_size": 0"#), None);
        assert_eq!(holds(r#", "size": 10"#), None);
    }
}
