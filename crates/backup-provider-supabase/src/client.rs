//! The calls to Supabase's API that this provider makes, and what it reads of the answers.
//!
//! Words of the vendor stay text: a new one is no error.

use std::sync::Arc;

use backup_core::port::{Clock, RateFacts};
use backup_core::{Error, ErrorKind, Result, Secret};
use backup_http::{Api, ApiError, Auth, Rules};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the API is.
pub const API: &str = "https://api.supabase.com";

/// A project, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) organization_slug: String,
    /// `ACTIVE_HEALTHY`, `RESTORING` …
    pub(crate) status: String,
    pub(crate) database: Database,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Database {
    pub(crate) version: String,
}

/// The backups that Supabase keeps.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Backups {
    pub(crate) pitr_enabled: bool,
    pub(crate) backups: Vec<Backup>,
    pub(crate) physical_backup_data: Physical,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Backup {
    pub(crate) id: u64,
    pub(crate) is_physical_backup: bool,
    pub(crate) status: String,
    pub(crate) inserted_at: String,
}

/// What can be restored to any moment.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Physical {
    pub(crate) earliest_physical_backup_date_unix: Option<i64>,
    pub(crate) latest_physical_backup_date_unix: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Organization {
    pub(crate) plan: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Addons {
    selected_addons: Vec<Addon>,
}

#[derive(Clone, Debug, Deserialize)]
struct Addon {
    variant: Variant,
}

#[derive(Clone, Debug, Deserialize)]
struct Variant {
    id: String,
}

/// A way through the pooler.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pooler {
    pub(crate) db_host: String,
    pub(crate) db_user: String,
    pub(crate) database_type: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Service {
    name: String,
    status: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct RestoreAt {
    recovery_time_target_unix: i64,
}

/// One project at the API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    api: Api,
    project: String,
}

impl Client {
    /// Prepares calls about a project; `ConfigInvalid` where its ref or the token is none.
    pub(crate) fn new(
        base: &str,
        token: Secret,
        project: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if project.len() != 20 || !project.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "prepare provider's API")
                .with("provider", "Supabase")
                .with("project", project.escape_debug())
                .because("a project ref has 20 lowercase letters")
                .hint("It is the first part of the project's URL, and under Project settings."));
        }
        let rules = Rules { page: "docs/providers/supabase.md", ..Rules::new("Supabase") };
        let api = Api::new(rules, base, Auth::Bearer(token), clock)?;
        Ok(Self { api, project: project.to_owned() })
    }

    pub(crate) fn project_ref(&self) -> &str {
        &self.project
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.api.clock().now()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }

    pub(crate) fn rate(&self) -> RateFacts {
        self.api.rate()
    }

    pub(crate) async fn project(&self) -> Result<Project, ApiError> {
        self.api.get("read project", &["v1", "projects", &self.project]).send().await
    }

    pub(crate) async fn organization(&self, slug: &str) -> Result<Organization, ApiError> {
        self.api.get("read organization", &["v1", "organizations", slug]).send().await
    }

    pub(crate) async fn backups(&self) -> Result<Backups, ApiError> {
        let path = ["v1", "projects", &self.project, "database", "backups"];
        self.api.get("list backups", &path).send().await
    }

    /// Returns what is paid for beside the plan: `pitr_7`, `ipv4_default` …
    pub(crate) async fn addons(&self) -> Result<Vec<String>, ApiError> {
        let path = ["v1", "projects", &self.project, "billing", "addons"];
        let addons: Addons = self.api.get("list add-ons", &path).send().await?;
        Ok(addons.selected_addons.into_iter().map(|addon| addon.variant.id).collect())
    }

    pub(crate) async fn poolers(&self) -> Result<Vec<Pooler>, ApiError> {
        let path = ["v1", "projects", &self.project, "config", "database", "pooler"];
        self.api.get("read pooler", &path).send().await
    }

    /// Returns how the database itself is: `ACTIVE_HEALTHY` …
    pub(crate) async fn database_health(&self) -> Result<String, ApiError> {
        let path = ["v1", "projects", &self.project, "health"];
        let services: Vec<Service> =
            self.api.get("read health", &path).query("services", "db").send().await?;
        let database = services.into_iter().find(|service| service.name == "db");
        Ok(database.map_or_else(|| "UNKNOWN".to_owned(), |service| service.status))
    }

    /// Asks for the project to be put back to a moment, in its place. Never repeated: nobody may
    /// put it back twice.
    pub(crate) async fn restore_at(&self, at: Timestamp) -> Result<(), ApiError> {
        let path = ["v1", "projects", &self.project, "database", "backups", "restore-pitr"];
        let body = RestoreAt { recovery_time_target_unix: at.as_second() };
        self.api.post("restore project in place", &path).json(&body).send_unit().await
    }
}

impl Physical {
    pub(crate) fn earliest(self) -> Option<Timestamp> {
        Timestamp::from_second(self.earliest_physical_backup_date_unix?).ok()
    }

    pub(crate) fn latest(self) -> Option<Timestamp> {
        Timestamp::from_second(self.latest_physical_backup_date_unix?).ok()
    }
}
