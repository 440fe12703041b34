//! Neon's API, one method a call.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Clock;
use backup_core::{Result, Secret};
use backup_http::{Api, ApiError, Auth, Method, Patience, Rules};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::answers::{
    Branch, Branches, Compute, Endpoints, MadeBranch, MadeSnapshot, OneBranch, OneOperation,
    OneProject, Operation, Operations, Project, ProjectName, Projects, Schedule, ScheduleItem,
    Snapshot, Snapshots, Uri,
};
use crate::config::API;

/// How many branches one page holds.
const PAGE: u32 = 1_000;

/// The API of one account.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) api: Api,
}

type Answer<T> = Result<T, ApiError>;

impl Client {
    pub(crate) fn new(key: &Secret, url: Option<&str>, clock: Arc<dyn Clock>) -> Result<Self> {
        let rules = Rules {
            // Neon says of these that a repetition is always safe.
            unexecuted: &[423, 429, 503],
            busy: &[423],
            page: "docs/providers/neon.md",
            patience: Patience { busy_for: Duration::from_secs(1800), ..Patience::default() },
            ..Rules::new("Neon")
        };
        let api = Api::new(rules, url.unwrap_or(API), Auth::Bearer(key.clone()), clock)?;
        Ok(Self { api })
    }

    pub(crate) async fn projects(&self) -> Answer<Vec<ProjectName>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let call = self.api.get("list projects", &["projects"]).query("limit", 400);
            let page: Projects = call.query_some("cursor", cursor.as_ref()).send().await?;
            let empty = page.projects.is_empty();
            all.extend(page.projects);
            let next = page.pagination.and_then(|page| page.cursor);
            if empty || next.is_none() || next == cursor {
                return Ok(all);
            }
            cursor = next;
        }
    }

    pub(crate) async fn project(&self, project: &str) -> Answer<Project> {
        let found: OneProject = self.api.get("read project", &["projects", project]).send().await?;
        Ok(found.project)
    }

    /// Lists branches whose names or ids hold `search`.
    pub(crate) async fn branches(&self, project: &str, search: &str) -> Answer<Vec<Branch>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = self.api.get("list branches", &["projects", project, "branches"]);
            if !search.is_empty() {
                call = call.query("search", search);
            }
            let call = call.query("limit", PAGE).query_some("cursor", cursor.as_ref());
            let page: Branches = call.send().await?;
            let empty = page.branches.is_empty();
            all.extend(page.branches);
            let next = page.pagination.and_then(|page| page.next).filter(|next| !next.is_empty());
            if empty || next.is_none() || next == cursor {
                return Ok(all);
            }
            cursor = next;
        }
    }

    pub(crate) async fn branch(&self, project: &str, branch: &str) -> Answer<Branch> {
        let path = ["projects", project, "branches", branch];
        let found: OneBranch = self.api.get("read branch", &path).send().await?;
        Ok(found.branch)
    }

    pub(crate) async fn create_branch(&self, project: &str, branch: &Value) -> Answer<MadeBranch> {
        // Without a compute of its own a branch cannot be connected to.
        let body = json!({ "branch": branch, "endpoints": [{ "type": "read_write" }] });
        self.api.post("create branch", &["projects", project, "branches"]).json(&body).send().await
    }

    pub(crate) async fn delete_branch(
        &self,
        project: &str,
        branch: &str,
    ) -> Answer<Vec<Operation>> {
        let path = ["projects", project, "branches", branch];
        // Kept for seven days otherwise, and nobody wants it back.
        let call = self.api.delete("delete branch", &path).query("hard_delete", true);
        gone(call.send::<Operations>().await)
    }

    pub(crate) async fn endpoints(&self, project: &str) -> Answer<Vec<Compute>> {
        let path = ["projects", project, "endpoints"];
        let found: Endpoints = self.api.get("list endpoints", &path).send().await?;
        Ok(found.endpoints)
    }

    pub(crate) async fn create_endpoint(&self, project: &str, branch: &str) -> Answer<()> {
        let body = json!({ "endpoint": { "branch_id": branch, "type": "read_write" } });
        let path = ["projects", project, "endpoints"];
        self.api.post("create endpoint", &path).json(&body).send_unit().await
    }

    pub(crate) async fn uri(
        &self,
        project: &str,
        branch: &str,
        role: &str,
        database: &str,
    ) -> Answer<Secret> {
        let call = self.api.get("read connection URI", &["projects", project, "connection_uri"]);
        let call = call.query("branch_id", branch).query("database_name", database);
        let found: Uri = call.query("role_name", role).query("pooled", false).send().await?;
        Ok(Secret::new(found.uri))
    }

    pub(crate) async fn snapshots(&self, project: &str) -> Answer<Vec<Snapshot>> {
        let path = ["projects", project, "snapshots"];
        let found: Snapshots = self.api.get("list snapshots", &path).send().await?;
        Ok(found.snapshots)
    }

    pub(crate) async fn create_snapshot(
        &self,
        project: &str,
        branch: &str,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Answer<MadeSnapshot> {
        let path = ["projects", project, "branches", branch, "snapshot"];
        // In the query: what stands in a body is passed over, name and expiry with it.
        let call = self.api.post("create snapshot", &path).query("name", name);
        call.query_some("expires_at", expires_at.map(seconds)).send().await
    }

    pub(crate) async fn delete_snapshot(
        &self,
        project: &str,
        snapshot: &str,
    ) -> Answer<Vec<Operation>> {
        let path = ["projects", project, "snapshots", snapshot];
        gone(self.api.delete("delete snapshot", &path).send::<Operations>().await)
    }

    pub(crate) async fn restore_snapshot(
        &self,
        project: &str,
        snapshot: &str,
        body: &Value,
    ) -> Answer<MadeBranch> {
        let path = ["projects", project, "snapshots", snapshot, "restore"];
        self.api.post("restore snapshot", &path).json(body).send().await
    }

    pub(crate) async fn restore_branch(
        &self,
        project: &str,
        branch: &str,
        body: &Value,
    ) -> Answer<MadeBranch> {
        let path = ["projects", project, "branches", branch, "restore"];
        self.api.post("restore branch", &path).json(body).send().await
    }

    pub(crate) async fn operation(&self, project: &str, operation: &str) -> Answer<Operation> {
        let path = ["projects", project, "operations", operation];
        let found: OneOperation = self.api.get("read operation", &path).send().await?;
        Ok(found.operation)
    }

    /// Lists the newest operations.
    pub(crate) async fn operations(&self, project: &str) -> Answer<Vec<Operation>> {
        let call = self.api.get("list operations", &["projects", project, "operations"]);
        let found: Operations = call.query("limit", 100).send().await?;
        Ok(found.operations)
    }

    pub(crate) async fn schedule(&self, project: &str, branch: &str) -> Answer<Vec<ScheduleItem>> {
        let path = ["projects", project, "branches", branch, "backup_schedule"];
        let found: Schedule = self.api.get("read snapshot schedule", &path).send().await?;
        Ok(found.schedule)
    }

    pub(crate) async fn set_schedule(
        &self,
        project: &str,
        branch: &str,
        items: &[ScheduleItem],
    ) -> Answer<()> {
        let path = ["projects", project, "branches", branch, "backup_schedule"];
        let call = self.api.call(Method::PUT, "set snapshot schedule", &path).repeatable();
        call.json(&json!({ "schedule": items })).send_unit().await
    }
}

/// What is not there is deleted already.
fn gone(answer: Answer<Operations>) -> Answer<Vec<Operation>> {
    match answer {
        Ok(answer) => Ok(answer.operations),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A time as Neon takes it: to the second.
pub(crate) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
