//! A throw-away place, filled and questioned.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    DrillOptions, IndexCheck, NoObserver, PartSource, RestoreOptions, RestoreReport, Restored,
    Scratch, Target,
};
use backup_core::{Error, ErrorKind, Result, Secret, Snapshot};

use super::folder::DrillFolder;
use super::indexes;
use super::server::Server;
use crate::logical::{Examination, LogicalTarget, drop_database, examine};
use crate::tools::ToolPaths;
use crate::{Client, ConnectOptions};

/// What the place lies in.
#[derive(Debug)]
pub(super) enum Home {
    /// A server of our own.
    Own { server: Box<Server>, folder: DrillFolder },
    /// Somebody's server.
    Given,
    /// It is gone already.
    Gone,
}

/// One restored database.
pub(super) struct Place {
    home: Home,
    connect: ConnectOptions,
    url: Secret,
    tools: ToolPaths,
    options: RestoreOptions,
    server_version: String,
}

impl Place {
    /// Takes where the database will be; there is none yet.
    pub(super) async fn new(
        home: Home,
        connect: ConnectOptions,
        url: Secret,
        tools: ToolPaths,
        options: &DrillOptions,
    ) -> Result<Self> {
        let client = crate::logical::maintenance(&connect).await?;
        let server_version = client.parameter("server_version").unwrap_or("unknown").to_owned();
        client.close().await;
        let options = RestoreOptions {
            jobs: options.jobs,
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: false,
            no_privileges: false,
            create_roles: false,
            role_map: Vec::new(),
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            observer: Arc::clone(&options.observer),
        };
        Ok(Self { home, connect, url, tools, options, server_version })
    }

    /// Creates the roles that the snapshot needs: the server is ours alone.
    pub(super) fn with_roles_created(self) -> Self {
        self.with_roles(true, Vec::new())
    }

    pub(super) fn with_roles(mut self, create: bool, map: Vec<(String, String)>) -> Self {
        (self.options.create_roles, self.options.role_map) = (create, map);
        self
    }

    pub(super) fn with_ownership(mut self, owners: bool, privileges: bool) -> Self {
        (self.options.no_owner, self.options.no_privileges) = (!owners, !privileges);
        self
    }

    /// Connects for a person's question: read-only, in UTC, not longer than `limit`.
    async fn session(&self, limit: Duration) -> Result<Client> {
        let mut client = Client::connect(&self.connect).await?;
        let milliseconds = limit.as_millis();
        client
            .execute(&format!(
                "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; \
                 SET DateStyle = 'ISO, MDY'; SET statement_timeout = {milliseconds}"
            ))
            .await?;
        Ok(client)
    }
}

#[async_trait]
impl Scratch for Place {
    fn location(&self) -> String {
        match &self.home {
            Home::Own { folder, .. } => format!("throw-away server in {}", folder.path().display()),
            Home::Given | Home::Gone => self.connect.location(),
        }
    }

    fn server_version(&self) -> String {
        self.server_version.clone()
    }

    fn url(&self) -> Secret {
        self.url.clone()
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let (connect, tools) = (self.connect.clone(), self.tools.clone());
        let mut target = LogicalTarget::new(connect, tools, self.options.clone());
        target.restore(snapshot, parts).await.map_err(blame)
    }

    async fn examine(
        &mut self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
    ) -> Result<Restored> {
        let renamed = !self.options.role_map.is_empty();
        let how = Examination {
            jobs: self.options.jobs,
            owners: !self.options.no_owner && !renamed,
            privileges: !self.options.no_privileges && !renamed,
            // What the source's catalogs are worth saying about was said at backup time.
            observer: Arc::new(NoObserver),
        };
        let found = examine(&self.connect, &self.tools, snapshot, &**parts, &how).await;
        let found = found.map_err(blame)?;
        Ok(Restored { evidence: found.evidence, schema_differences: found.schema_differences })
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        let mut client = Client::connect(&self.connect).await?;
        let checked = indexes::check(&mut client).await;
        client.close().await;
        checked
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Option<String>> {
        let mut client = self.session(limit).await?;
        let rows = client.query(sql).await;
        client.close().await;
        Ok(rows?.first().and_then(|row| row.get(0).map(str::to_owned)))
    }

    async fn remove(mut self: Box<Self>) -> Result<()> {
        match std::mem::replace(&mut self.home, Home::Gone) {
            Home::Own { server, folder } => {
                server.stop().await;
                folder.remove()
            }
            Home::Given => drop_database(&self.connect).await,
            Home::Gone => Ok(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A server of our own is killed, and its folder removed, by their own drops.
        if matches!(self.home, Home::Given)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let connect = self.connect.clone();
            runtime.spawn(async move {
                if let Err(error) = drop_database(&connect).await {
                    tracing::warn!(%error, "the throw-away database could not be dropped");
                }
            });
        }
    }
}

/// Signs that a failure is about the machine, and what to do about it.
const ENVIRONMENT: [(&str, &str); 13] = [
    ("extension control file", "Install the extension's package on the drill's server."),
    ("could not access file", "Install the shared library on the drill's server."),
    ("could not load library", "Install the shared library on the drill's server."),
    ("shared_preload_libraries", "Drill on a server that preloads that library (--to)."),
    ("invalid locale name", "Install the source's locale on the drill's server."),
    ("invalid LC_COLLATE locale name", "Install the source's locale on the drill's server."),
    ("could not create locale", "Install the source's locale on the drill's server."),
    ("collation", "Install the source's locales, or an ICU of its version, there."),
    ("role \"", "Create the role on the drill's server, or let roles be created."),
    ("tablespace \"", "Create the tablespace on the drill's server."),
    ("No space left on device", "Free space where the drill puts its data, or name another place."),
    ("out of memory", "Give the drill's server more memory, or use fewer jobs."),
    ("too many clients", "Use fewer jobs, or raise max_connections."),
];

/// Turns a failure that is about the machine into one that says so; what stays `Failed` blames
/// the snapshot.
fn blame(error: Error) -> Error {
    if error.kind() != ErrorKind::Failed {
        return error;
    }
    let text = error.to_string();
    let names_nothing = |sign: &str| sign.ends_with('"') && !text.contains("does not exist");
    let sign = ENVIRONMENT
        .iter()
        .find(|(sign, _)| text.contains(sign) && !names_nothing(sign))
        .filter(|(sign, _)| *sign != "collation" || text.contains("does not exist"));
    match sign {
        Some((_, hint)) => error.into_kind(ErrorKind::Unsupported).hint(*hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_snapshots_are_told_apart() {
        let kind = |text: &str| {
            let error = Error::new(ErrorKind::Failed, "restore schema").because(text.to_owned());
            let error = blame(error);
            assert_eq!(error.remedy().is_some(), error.kind() == ErrorKind::Unsupported, "{text}");
            error.kind()
        };
        for machine in [
            "could not open extension control file \"/usr/share/x.control\": No such file",
            "could not access file \"$libdir/postgis-3\": No such file or directory",
            "role \"app\" does not exist",
            "collation \"de_DE\" for encoding \"UTF8\" does not exist",
            "could not extend file: No space left on device",
        ] {
            assert_eq!(kind(machine), ErrorKind::Unsupported, "{machine}");
        }
        for snapshot in [
            "invalid input syntax for type integer: \"x\"",
            "duplicate key value violates unique constraint \"role \"",
            "relation \"collation\" already exists",
        ] {
            assert_eq!(kind(snapshot), ErrorKind::Failed, "{snapshot}");
        }
    }
}
