//! PlanetScale's API, one method a call.

use std::sync::Arc;

use backup_core::Result;
use backup_core::port::Clock;
use backup_http::{Api, ApiError, Auth, Call, Method, Rules};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answers::{Backup, Branch, Database, Keyspace, Page, Password, Policy, Role, Size};
use crate::config::{API, PlanetscaleConfig};

/// How many things one page holds.
const PAGE: u32 = 100;

/// The API of one database.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) api: Api,
    organization: String,
    database: String,
}

type Answer<T> = Result<T, ApiError>;

impl Client {
    pub(crate) fn new(config: &PlanetscaleConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let rules = Rules { page: "docs/providers/planetscale.md", ..Rules::new("PlanetScale") };
        let base = config.api_url.as_deref().unwrap_or(API);
        // As it is: PlanetScale's service tokens are no bearers.
        let api = Api::new(rules, base, Auth::Plain(config.token.clone()), clock)?;
        Ok(Self {
            api,
            organization: config.organization.clone(),
            database: config.database.clone(),
        })
    }

    fn call(&self, method: Method, operation: &str, below: &[&str]) -> Call<'_> {
        let mut path = vec!["organizations", &self.organization, "databases", &self.database];
        path.extend(below);
        self.api.call(method, operation, &path)
    }

    pub(crate) async fn keyspaces(&self, branch: &str) -> Answer<Vec<Keyspace>> {
        self.pages("list keyspaces", &["branches", branch, "keyspaces"], &[]).await
    }

    /// Sizes that a MySQL cluster of this database may have.
    pub(crate) async fn sizes(&self) -> Answer<Vec<Size>> {
        let path = ["organizations", &self.organization, "cluster-size-skus"];
        let call = self.api.call(Method::GET, "list cluster sizes", &path);
        call.query("engine", "mysql").query("database", &self.database).send().await
    }

    pub(crate) async fn passwords(&self, branch: &str) -> Answer<Vec<Password>> {
        self.pages("list passwords", &["branches", branch, "passwords"], &[]).await
    }

    pub(crate) async fn create_password(&self, branch: &str, body: &Value) -> Answer<Password> {
        self.call(Method::POST, "create password", &["branches", branch, "passwords"])
            .json(body)
            .send()
            .await
    }

    pub(crate) async fn renew_password(&self, branch: &str, id: &str) -> Answer<Password> {
        let path = ["branches", branch, "passwords", id, "renew"];
        self.call(Method::POST, "renew password", &path).repeatable().send().await
    }

    pub(crate) async fn delete_password(&self, branch: &str, id: &str) -> Answer<()> {
        let path = ["branches", branch, "passwords", id];
        gone(self.call(Method::DELETE, "delete password", &path).repeatable().send_unit().await)
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        operation: &str,
        below: &[&str],
        query: &[(&str, &str)],
    ) -> Answer<Vec<T>> {
        let mut all = Vec::new();
        let mut page = 1;
        loop {
            let mut call = self.call(Method::GET, operation, below);
            for (name, value) in query {
                call = call.query(name, value);
            }
            let found: Page<T> = call.query("page", page).query("per_page", PAGE).send().await?;
            all.extend(found.data);
            match found.next_page {
                Some(next) if next > page => page = next,
                _ => return Ok(all),
            }
        }
    }

    pub(crate) async fn database(&self) -> Answer<Database> {
        self.call(Method::GET, "read database", &[]).send().await
    }

    pub(crate) async fn branches(&self, search: &str) -> Answer<Vec<Branch>> {
        self.pages("list branches", &["branches"], &[("q", search)]).await
    }

    pub(crate) async fn branch(&self, branch: &str) -> Answer<Branch> {
        self.call(Method::GET, "read branch", &["branches", branch]).send().await
    }

    pub(crate) async fn create_branch(&self, body: &Value) -> Answer<Branch> {
        self.call(Method::POST, "create branch", &["branches"]).json(body).send().await
    }

    pub(crate) async fn delete_branch(&self, branch: &str) -> Answer<()> {
        let call = self.call(Method::DELETE, "delete branch", &["branches", branch]).repeatable();
        gone(call.send_unit().await)
    }

    pub(crate) async fn backups(&self, branch: &str) -> Answer<Vec<Backup>> {
        self.pages("list backups", &["branches", branch, "backups"], &[]).await
    }

    pub(crate) async fn backup(&self, branch: &str, id: &str) -> Answer<Backup> {
        self.call(Method::GET, "read backup", &["branches", branch, "backups", id]).send().await
    }

    pub(crate) async fn create_backup(&self, branch: &str, body: &Value) -> Answer<Backup> {
        self.call(Method::POST, "create backup", &["branches", branch, "backups"])
            .json(body)
            .send()
            .await
    }

    pub(crate) async fn protect_backup(
        &self,
        branch: &str,
        id: &str,
        protected: bool,
    ) -> Answer<Backup> {
        let path = ["branches", branch, "backups", id];
        let call = self.call(Method::PATCH, "protect backup", &path).repeatable();
        call.json(&json!({ "protected": protected })).send().await
    }

    pub(crate) async fn delete_backup(&self, branch: &str, id: &str) -> Answer<()> {
        let path = ["branches", branch, "backups", id];
        gone(self.call(Method::DELETE, "delete backup", &path).repeatable().send_unit().await)
    }

    pub(crate) async fn policies(&self) -> Answer<Vec<Policy>> {
        self.pages("list backup policies", &["backup-policies"], &[]).await
    }

    pub(crate) async fn create_role(&self, branch: &str, body: &Value) -> Answer<Role> {
        self.call(Method::POST, "create role", &["branches", branch, "roles"])
            .json(body)
            .send()
            .await
    }

    pub(crate) async fn renew_role(&self, branch: &str, id: &str) -> Answer<Role> {
        let path = ["branches", branch, "roles", id, "renew"];
        self.call(Method::POST, "renew role", &path).repeatable().send().await
    }

    pub(crate) async fn delete_role(&self, branch: &str, id: &str) -> Answer<()> {
        let path = ["branches", branch, "roles", id];
        gone(self.call(Method::DELETE, "delete role", &path).repeatable().send_unit().await)
    }
}

/// What is not there is deleted already.
fn gone(answer: Answer<()>) -> Answer<()> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer,
    }
}
