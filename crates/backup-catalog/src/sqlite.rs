//! The port, off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::port::{Catalog, RunFilter};
use backup_core::{Error, ErrorKind, Result, Run, RunId, RunState};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::open::failed;
use crate::runs::{self, select};

/// The catalog in one SQLite file. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct SqliteCatalog {
    connection: Arc<Mutex<Connection>>,
}

impl std::fmt::Debug for SqliteCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteCatalog").finish_non_exhaustive()
    }
}

impl SqliteCatalog {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection: Arc::new(Mutex::new(connection)) }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        // A panic inside a transaction rolled it back: the connection is as good as before.
        tokio::task::spawn_blocking(move || {
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "use catalog").because(error))?
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn record(&self, run: &Run) -> Result<()> {
        let run = run.clone();
        self.with(move |connection| runs::record(connection, &run)).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        self.with(move |connection| runs::one(connection, id.0)).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let filter = filter.clone();
        self.with(move |connection| runs::find(connection, &filter)).await
    }

    async fn count(&self, filter: &RunFilter) -> Result<Vec<(RunState, u64)>> {
        let filter = filter.clone();
        self.with(move |connection| runs::count(connection, &filter)).await
    }

    async fn drop_run(&self, id: RunId) -> Result<()> {
        self.with(move |connection| {
            connection
                .execute("DELETE FROM runs WHERE id = ?1", params![id.as_bytes()])
                .map_err(failed("drop run"))?;
            Ok(())
        })
        .await
    }

    async fn drop_runs(&self, before: Timestamp) -> Result<u64> {
        self.with(move |connection| {
            let dropped = connection
                .execute(
                    "DELETE FROM runs WHERE started_at < ?1 AND state NOT IN ('queued', 'running')",
                    params![before.as_millisecond()],
                )
                .map_err(failed("drop old runs"))?;
            Ok(dropped as u64)
        })
        .await
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<String>> {
        let values = vec![Value::Text(space.into()), Value::Text(key.into())];
        self.with(move |connection| {
            let sql = "SELECT value FROM kept WHERE space = ? AND key = ?";
            Ok(select(connection, sql, values, |row| row.get(0))?.pop())
        })
        .await
    }

    async fn all(&self, space: &str) -> Result<Vec<(String, String)>> {
        let values = vec![Value::Text(space.into())];
        self.with(move |connection| {
            let sql = "SELECT key, value FROM kept WHERE space = ? ORDER BY key";
            select(connection, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    async fn put(&self, space: &str, values: &[(String, Option<String>)]) -> Result<()> {
        let (space, values) = (space.to_owned(), values.to_vec());
        self.with(move |connection| {
            let failed = || failed("write catalog");
            let transaction = writing(connection).map_err(failed())?;
            for (key, value) in &values {
                let done = match value {
                    Some(value) => transaction.execute(
                        "INSERT INTO kept (space, key, value) VALUES (?1, ?2, ?3)
                         ON CONFLICT (space, key) DO UPDATE SET value = ?3",
                        params![space, key, value],
                    ),
                    None => transaction.execute(
                        "DELETE FROM kept WHERE space = ?1 AND key = ?2",
                        params![space, key],
                    ),
                };
                done.map_err(failed())?;
            }
            transaction.commit().map_err(failed())
        })
        .await
    }

    async fn append(&self, space: &str, number: u64, body: &str) -> Result<()> {
        let (space, body) = (space.to_owned(), body.to_owned());
        self.with(move |connection| {
            let failed = || failed("append to log");
            let transaction = writing(connection).map_err(failed())?;
            let last: u64 = transaction
                .query_row(
                    "SELECT coalesce(max(number), 0) FROM log WHERE space = ?1",
                    params![space],
                    |row| row.get(0),
                )
                .map_err(failed())?;
            if last.checked_add(1) != Some(number) {
                return Err(Error::new(ErrorKind::Conflict, "append to log")
                    .with("log", &space)
                    .with("number", number)
                    .with("newest", last)
                    .hint("Somebody else appended first; read the newest entry and try again."));
            }
            transaction
                .execute("INSERT INTO log VALUES (?1, ?2, ?3)", params![space, number, body])
                .map_err(failed())?;
            transaction.commit().map_err(failed())
        })
        .await
    }

    async fn log(&self, space: &str, after: u64, limit: u32) -> Result<Vec<(u64, String)>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let values =
            vec![Value::Text(space.into()), Value::Integer(after), Value::Integer(limit.into())];
        self.with(move |connection| {
            let sql = "SELECT number, body FROM log WHERE space = ? AND number > ? \
                       ORDER BY number LIMIT ?";
            select(connection, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    async fn newest(&self, space: &str) -> Result<Option<(u64, String)>> {
        let values = vec![Value::Text(space.into())];
        self.with(move |connection| {
            let sql = "SELECT number, body FROM log WHERE space = ? ORDER BY number DESC LIMIT 1";
            Ok(select(connection, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?.pop())
        })
        .await
    }
}

/// Begins a transaction that writes. It waits for another writer here, as long as the connection waits for
/// anything: one that had read first would be refused at once where somebody else wrote meanwhile.
pub(crate) fn writing(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}
