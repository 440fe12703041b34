//! A throw-away place, filled and questioned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::port::{
    ColumnSink, DrillOptions, IndexCheck, NoObserver, PartSource, RestoreOptions, RestoreReport,
    Restored, Scratch, Target,
};
use backup_core::{Error, ErrorKind, Result, Secret, Snapshot};

use super::blame::blame;
use super::folder::DrillFolder;
use super::indexes::{self, Scope};
use super::server::Server;
use crate::logical::{Examination, LogicalTarget, drop_database, examine};
use crate::tools::ToolPaths;
use crate::{Client, ConnectOptions, Row};

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
            without_extensions: Vec::new(),
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            files: <_>::default(),
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
}

/// Returns the first value that a person's question comes to: read-only, in UTC, not longer than
/// `limit`.
pub(super) async fn ask(
    connect: &ConnectOptions,
    sql: &str,
    limit: Duration,
) -> Result<Option<String>> {
    let mut client = Client::connect(connect).await?;
    let milliseconds = limit.as_millis();
    client
        .execute(&format!(
            "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; \
             SET DateStyle = 'ISO, MDY'; SET statement_timeout = {milliseconds}"
        ))
        .await?;
    let rows = client.query(sql).await;
    client.close().await;
    Ok(rows?.first().and_then(|row| row.get(0).map(str::to_owned)))
}

/// Hands out the values of the one column that a person's statement returns: read-only, in UTC, the
/// statement not longer than `limit` altogether.
pub(super) async fn ask_column(
    connect: &ConnectOptions,
    sql: &str,
    limit: Duration,
    values: &mut dyn ColumnSink,
) -> Result<()> {
    let mut client = Client::connect(connect).await?;
    let milliseconds = limit.as_millis();
    client
        .execute(&format!(
            "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; \
             SET DateStyle = 'ISO, MDY'; SET statement_timeout = {milliseconds}"
        ))
        .await?;
    client.execute("BEGIN").await?;
    client.execute(&format!("DECLARE asked NO SCROLL CURSOR FOR {sql}")).await?;
    let mut left = limit;
    let mut together = FEWEST;
    loop {
        let begun = Instant::now();
        let rows = client.query_bytes(&format!("FETCH {together} FROM asked")).await?;
        let Some(first) = rows.first() else { break };
        if first.len() != 1 {
            return Err(Error::new(ErrorKind::Usage, "ask for a column")
                .because(format!("the statement returns {} columns", first.len()))
                .hint("Write a statement that returns one column."));
        }
        left = left.checked_sub(begun.elapsed()).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "ask for a column")
                .because(format!("no whole answer within {} s", limit.as_secs()))
        })?;
        let longest = rows.iter().filter_map(|row| row.bytes(0)).map(<[u8]>::len).max();
        let longest = longest.unwrap_or_default();
        if longest > LONGEST {
            return Err(Error::new(ErrorKind::Usage, "ask for a column")
                .because(format!("a value has {longest} bytes; a key has {LONGEST} at most"))
                .hint("Write a statement that returns the names of files, not their contents."));
        }
        together = next_fetch(together, longest);
        let bytes = |row: &Row| row.bytes(0).map(<[u8]>::to_vec);
        values.take(rows.iter().map(bytes).collect()).await?;
    }
    client.close().await;
    Ok(())
}

/// Rows that are fetched at once: few at first, then as many as [`HELD`] bytes hold of such rows.
const FEWEST: usize = 128;
const MOST: usize = 10_000;
const HELD: usize = 8 << 20;

/// Bytes of the longest key: no name of a file or object is longer by far.
const LONGEST: usize = 64 << 10;

/// Returns how many rows to fetch after `before`, of which the longest had so many bytes.
fn next_fetch(before: usize, longest: usize) -> usize {
    (HELD / longest.max(1)).min(before * 4).clamp(FEWEST, MOST)
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
        Ok(Restored {
            evidence: found.evidence,
            schema_differences: found.schema_differences,
            cluster: None,
            tree: None,
        })
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        let mut client = Client::connect(&self.connect).await?;
        let checked = indexes::check(&mut client, Scope::Rebuilt).await;
        client.close().await;
        checked
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Option<String>> {
        ask(&self.connect, sql, limit).await
    }

    async fn ask_column(
        &mut self,
        sql: &str,
        limit: Duration,
        values: &mut dyn ColumnSink,
    ) -> Result<()> {
        ask_column(&self.connect, sql, limit, values).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_are_fetched_as_memory_holds() {
        assert_eq!(next_fetch(FEWEST, 40), 4 * FEWEST);
        assert_eq!(next_fetch(MOST, 40), MOST);
        assert_eq!(next_fetch(MOST, 8 << 10), 1024);
        assert_eq!(next_fetch(MOST, LONGEST) * LONGEST, HELD);
    }
}
