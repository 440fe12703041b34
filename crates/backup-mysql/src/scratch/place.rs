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
use super::server::Server;
use crate::catalog::tables::ELSEWHERE;
use crate::logical::{Examination, LogicalTarget, drop_database, examine};
use crate::{Client, ConnectOptions, quote_name, quote_text};

/// Rows, and their bytes, that are handed on at once.
const TOGETHER: usize = 10_000;
const HELD: usize = 8 << 20;

/// Bytes of the longest key: no name of a file or object is longer by far.
const LONGEST: usize = 64 << 10;

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
    options: RestoreOptions,
    server_version: String,
}

impl Place {
    /// Takes where the database will be; there is none yet.
    pub(super) async fn new(
        home: Home,
        connect: ConnectOptions,
        url: Secret,
        options: &DrillOptions,
    ) -> Result<Self> {
        let mut client = Client::connect_to_server(&connect).await?;
        let version = client.first("SELECT VERSION()").await?;
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
        let server_version = version.map(|row| row.text(0)).unwrap_or_default();
        Ok(Self { home, connect, url, options, server_version })
    }

    pub(super) fn with_ownership(mut self, owners: bool, map: Vec<(String, String)>) -> Self {
        self.options.no_owner = !owners;
        self.options.role_map = map;
        self
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
        let target = LogicalTarget::new(self.connect.clone(), self.options.clone());
        target.with_events_off().restore(snapshot, parts).await.map_err(blame)
    }

    async fn examine(
        &mut self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
    ) -> Result<Restored> {
        let how = Examination {
            jobs: self.options.jobs,
            owners: !self.options.no_owner,
            role_map: self.options.role_map.clone(),
            observer: Arc::new(NoObserver),
        };
        examine(&self.connect, snapshot, &**parts, &how).await
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        let mut client = Client::connect(&self.connect).await?;
        let name = quote_text(self.connect.database());
        let sql = format!(
            "SELECT t.TABLE_NAME, (SELECT COUNT(DISTINCT s.INDEX_NAME) \
             FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = t.TABLE_SCHEMA \
             AND s.TABLE_NAME = t.TABLE_NAME) FROM information_schema.TABLES t \
             WHERE t.TABLE_SCHEMA = {name} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
             AND LOWER(t.ENGINE) NOT IN ('{}')",
            ELSEWHERE.join("', '")
        );
        let mut check = IndexCheck::default();
        for table in client.query(&sql).await? {
            check.checked += table.number::<u64>(1).unwrap_or(0);
            let sql = format!("CHECK TABLE {}", quote_name(&table.text(0)));
            for row in client.query(&sql).await? {
                let (kind, text) = (row.text(2), row.text(3));
                if matches!(kind.as_str(), "error" | "warning" | "Error" | "Warning") {
                    check.problems.push(format!("{}: {text}", table.text(0)));
                }
            }
        }
        client.close().await;
        Ok(check)
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Option<String>> {
        let mut client = Client::connect(&self.connect).await?;
        client.execute("SET character_set_results = utf8mb4").await?;
        client.execute("SET SESSION TRANSACTION READ ONLY").await?;
        let asked = tokio::time::timeout(limit, client.first(sql)).await.map_err(|_| {
            Error::new(ErrorKind::Failed, "ask restored database")
                .because(format!("no answer within {} s", limit.as_secs()))
        });
        let row = asked??;
        client.close().await;
        Ok(row.and_then(|row| row.bytes(0).map(|_| row.text(0))))
    }

    async fn ask_column(
        &mut self,
        sql: &str,
        limit: Duration,
        values: &mut dyn ColumnSink,
    ) -> Result<()> {
        let mut client = Client::connect(&self.connect).await?;
        client.execute("SET character_set_results = utf8mb4").await?;
        client.execute("SET SESSION TRANSACTION READ ONLY").await?;
        let late = || {
            Error::new(ErrorKind::Failed, "ask for a column")
                .because(format!("no whole answer within {} s", limit.as_secs()))
        };
        let mut left = limit;
        let begun = Instant::now();
        let rows = tokio::time::timeout(left, client.rows(sql)).await.map_err(|_| late())??;
        left = left.checked_sub(begun.elapsed()).ok_or_else(late)?;
        let mut rows = rows;
        let (mut some, mut held) = (Vec::new(), 0);
        loop {
            let begun = Instant::now();
            let row = tokio::time::timeout(left, rows.next()).await.map_err(|_| late())??;
            left = left.checked_sub(begun.elapsed()).ok_or_else(late)?;
            let Some(mut row) = row else { break };
            if row.len() != 1 {
                return Err(Error::new(ErrorKind::Usage, "ask for a column")
                    .because(format!("the statement returns {} columns", row.len()))
                    .hint("Write a statement that returns one column."));
            }
            let value = row.pop().flatten();
            let bytes = value.as_ref().map_or(0, Vec::len);
            if bytes > LONGEST {
                return Err(Error::new(ErrorKind::Usage, "ask for a column")
                    .because(format!("a value has {bytes} bytes; a key has {LONGEST} at most"))
                    .hint(
                        "Write a statement that returns the names of files, not their contents.",
                    ));
            }
            some.push(value);
            held += bytes;
            if some.len() == TOGETHER || held >= HELD {
                held = 0;
                values.take(std::mem::take(&mut some)).await?;
            }
        }
        drop(rows);
        values.take(some).await?;
        client.close().await;
        Ok(())
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
        // A server of our own goes with its folder; a database on a given one is swept later,
        // unless there is time to drop it now.
        if let (Home::Given, Ok(runtime)) = (&self.home, tokio::runtime::Handle::try_current()) {
            let connect = self.connect.clone();
            runtime.spawn(async move {
                let _ = drop_database(&connect).await;
            });
        }
    }
}
