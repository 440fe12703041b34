//! The calls to Railway's API, and what this provider reads of the answers.
//!
//! Refusals come as `errors` in an answer of status 200. Words of the vendor stay text: a new one
//! is no error.

use std::collections::BTreeMap;
use std::sync::Arc;

use backup_core::port::{Clock, RateFacts};
use backup_core::{Error, ErrorKind, Result, Secret};
use backup_http::{Api, Auth, Fate, Rules};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::documents;

/// Where the API is.
pub const API: &str = "https://backboard.railway.com/graphql/v2";
/// The most pages that are read of a list.
const PAGES: usize = 50;

/// What lets in.
#[derive(Clone, Debug)]
pub enum Token {
    /// Of an account or a workspace.
    Account(Secret),
    /// Of one environment of one project.
    Project(Secret),
}

/// A service in an environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Service {
    pub(crate) service_id: String,
    pub(crate) service_name: String,
    pub(crate) start_command: Option<String>,
    pub(crate) num_replicas: Option<u32>,
    pub(crate) source: Option<Image>,
    pub(crate) latest_deployment: Option<Deployment>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Image {
    pub(crate) image: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) status: String,
}

/// A volume in an environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) volume_id: String,
    pub(crate) service_id: Option<String>,
    pub(crate) state: Option<String>,
    #[serde(rename = "sizeMB")]
    pub(crate) size_mb: f64,
    #[serde(rename = "currentSizeMB")]
    pub(crate) current_size_mb: f64,
    pub(crate) is_pending_deletion: bool,
    pub(crate) volume: Named,
}

/// What has a name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

impl Volume {
    /// Whether it is being deleted, or was.
    pub(crate) fn is_going(&self) -> bool {
        self.is_pending_deletion || matches!(self.state.as_deref(), Some("DELETED" | "DELETING"))
    }

    /// Whether it hangs on that service.
    pub(crate) fn is_of(&self, service: &str) -> bool {
        self.service_id.as_deref() == Some(service)
    }
}

/// A backup of a volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backup {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(rename = "usedMB")]
    pub(crate) used_mb: Option<u64>,
    pub(crate) schedule_id: Option<String>,
}

/// How often Railway takes backups by itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) kind: String,
    #[serde(default, rename = "retentionSeconds")]
    pub(crate) retention_seconds: Option<u64>,
}

/// How far a workflow is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) status: String,
    pub(crate) error: Option<String>,
}

/// What waits to be applied.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Staged {
    pub(crate) patch: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) subscription_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection<T> {
    page_info: Page,
    edges: Vec<Edge<T>>,
}

#[derive(Deserialize)]
struct Edge<T> {
    node: T,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// A call that failed, and whether it may have happened.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) fate: Fate,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Railway's API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    api: Api,
}

impl Client {
    pub(crate) fn new(base: &str, token: Token, clock: Arc<dyn Clock>) -> Result<Self> {
        let rules = Rules { page: "docs/providers/railway.md", ..Rules::new("Railway") };
        let auth = match token {
            Token::Account(token) => Auth::Bearer(token),
            Token::Project(token) => Auth::Header("project-access-token", token),
        };
        Ok(Self { api: Api::new(rules, base, auth, clock)? })
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }

    pub(crate) fn rate(&self) -> RateFacts {
        self.api.rate()
    }

    /// Asks; `field` is what the document asks for.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        operation: &str,
        document: &str,
        field: &str,
        variables: Value,
    ) -> Result<T, Failure> {
        let call = self.api.post(operation, &[]);
        let reads = document.starts_with("query");
        let call = if reads { call.repeatable() } else { call };
        let body = json!({ "query": document, "variables": variables });
        let answer: Answer = call.json(&body).send().await.map_err(|error| {
            let fate = error.fate();
            Failure { error: error.into(), fate }
        })?;
        if let Some(refusal) = answer.errors.first() {
            return Err(refused(operation, &refusal.message));
        }
        let value = answer.data.and_then(|mut data| data.remove(field)).unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| Failure {
            error: Error::new(ErrorKind::Failed, operation)
                .with("provider", "Railway")
                .hint("Railway answered in a way this version does not know; report it.")
                .because(error),
            fate: if reads { Fate::NotDone } else { Fate::Unknown },
        })
    }

    pub(crate) async fn token_scope(&self) -> Result<(String, String)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Scope {
            project_id: String,
            environment_id: String,
        }
        let scope: Scope =
            self.ask("read token", documents::TOKEN, "projectToken", json!({})).await?;
        Ok((scope.project_id, scope.environment_id))
    }

    pub(crate) async fn plan(&self, project: &str) -> Result<Plan> {
        let variables = json!({ "project": project });
        Ok(self.ask("read project", documents::PROJECT, "project", variables).await?)
    }

    pub(crate) async fn services(&self, environment: &str) -> Result<Vec<Service>> {
        self.pages("list services", documents::SERVICES, "serviceInstances", environment).await
    }

    pub(crate) async fn volumes(&self, environment: &str) -> Result<Vec<Volume>> {
        self.pages("list volumes", documents::VOLUMES, "volumeInstances", environment).await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        operation: &str,
        document: &str,
        list: &str,
        environment: &str,
    ) -> Result<Vec<T>> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let variables = json!({ "environment": environment, "after": after });
            let mut found: BTreeMap<String, Value> =
                self.ask(operation, document, "environment", variables).await?;
            let page = found.remove(list).unwrap_or(Value::Null);
            let page: Connection<T> = serde_json::from_value(page).map_err(|error| {
                Error::new(ErrorKind::Failed, operation).with("provider", "Railway").because(error)
            })?;
            all.extend(page.edges.into_iter().map(|edge| edge.node));
            match page.page_info.end_cursor.filter(|_| page.page_info.has_next_page) {
                Some(cursor) => after = Some(cursor),
                None => return Ok(all),
            }
        }
        Err(Error::new(ErrorKind::Failed, operation)
            .with("provider", "Railway")
            .because("the list does not end"))
    }

    pub(crate) async fn variables(
        &self,
        project: &str,
        environment: &str,
        service: &str,
    ) -> Result<BTreeMap<String, Secret>> {
        let variables =
            json!({ "project": project, "environment": environment, "service": service });
        let found: BTreeMap<String, Value> =
            self.ask("read variables", documents::VARIABLES, "variables", variables).await?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(found.into_iter().map(|(name, value)| (name, Secret::new(text(value)))).collect())
    }

    pub(crate) async fn backups(&self, volume: &str) -> Result<Vec<Backup>> {
        let variables = json!({ "volume": volume });
        let field = "volumeInstanceBackupList";
        Ok(self.ask("list backups", documents::BACKUPS, field, variables).await?)
    }

    pub(crate) async fn schedules(&self, volume: &str) -> Result<Vec<Schedule>> {
        let variables = json!({ "volume": volume });
        let field = "volumeInstanceBackupScheduleList";
        Ok(self.ask("read backup schedule", documents::SCHEDULES, field, variables).await?)
    }

    pub(crate) async fn set_schedule(&self, volume: &str, kinds: &[&str]) -> Result<()> {
        let variables = json!({ "volume": volume, "kinds": kinds });
        let field = "volumeInstanceBackupScheduleUpdate";
        let _: bool =
            self.ask("set backup schedule", documents::SET_SCHEDULE, field, variables).await?;
        Ok(())
    }

    pub(crate) async fn workflow(&self, id: &str) -> Result<Workflow> {
        let variables = json!({ "id": id });
        Ok(self.ask("read workflow", documents::WORKFLOW, "workflowStatus", variables).await?)
    }

    pub(crate) async fn staged(&self, environment: &str) -> Result<Staged> {
        let variables = json!({ "environment": environment });
        let field = "environmentStagedChanges";
        Ok(self.ask("read staged changes", documents::STAGED, field, variables).await?)
    }

    /// Starts a workflow; returns its id, which Railway may leave out.
    pub(crate) async fn start(
        &self,
        operation: &str,
        document: &str,
        field: &str,
        variables: Value,
    ) -> Result<Option<String>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Started {
            workflow_id: Option<String>,
        }
        let started: Started = self.ask(operation, document, field, variables).await?;
        Ok(started.workflow_id)
    }
}

fn refused(operation: &str, message: &str) -> Failure {
    let short: String = message.chars().take(300).collect();
    let lower = message.to_ascii_lowercase();
    let (kind, hint) = if lower.contains("not authorized") {
        (
            ErrorKind::SourceUnavailable,
            "The token may not see that project or environment, or an id in the configuration is \
             of something else: Railway says the same for both.",
        )
    } else if lower.contains("token not found") {
        (
            ErrorKind::SourceUnavailable,
            "The project token was revoked, or is an account's: set that as RAILWAY_API_TOKEN.",
        )
    } else if lower.contains("two factor") {
        (
            ErrorKind::SourceUnavailable,
            "The workspace asks for two-factor authentication; use a project token.",
        )
    } else if lower.contains("not found") {
        (ErrorKind::NotFound, "Check the ids in the configuration.")
    } else {
        (ErrorKind::Failed, "docs/providers/railway.md says what this needs.")
    };
    Failure {
        error: Error::new(kind, operation).with("provider", "Railway").hint(hint).because(short),
        fate: Fate::NotDone,
    }
}
