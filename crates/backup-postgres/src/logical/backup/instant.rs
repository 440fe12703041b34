//! One consistent instant, held until everything has been read.
//!
//! A transaction's snapshot does not protect against TRUNCATE or a rewriting ALTER TABLE: under
//! an older snapshot such a table reads as empty. Locks do. So every table is locked *before*
//! the first query takes the snapshot, by every session that will read, and afterwards the
//! list of tables is compared with what was locked; a difference starts all over.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use backup_core::{Error, ErrorKind, ErrorStatus, Result};
use futures::future::{Either, select, try_join_all};
use tokio::time::timeout;

use crate::logical::catalog::database::Database;
use crate::logical::catalog::tables::{self, Table};
use crate::logical::hosted::Scope;
use crate::logical::session::begin_reading;
use crate::{Client, ConnectOptions, sqlstate};

/// Tables locked by one statement.
const LOCK_BATCH: usize = 200;
/// How often a changing set of tables is tried again.
const ATTEMPTS: u32 = 10;
/// How long anyone waits for a lock that this backup holds already: only a schema change that
/// itself waits for us can be in the way, so that letting go and starting again is what helps.
pub(super) const BEHIND_WAITER: Duration = Duration::from_secs(2);
/// Part of the server's lock table that the readers' own locks may take.
const LOCK_SHARE: u64 = 4;

/// An exported snapshot, the session that holds it, and the sessions that share it.
pub(super) struct Instant {
    pub(super) holder: Client,
    pub(super) readers: Vec<Client>,
    /// The exported snapshot's name, for pg_dump.
    pub(super) snapshot: String,
    /// Every table, as the snapshot sees it.
    pub(super) tables: Vec<Table>,
}

impl Instant {
    /// Takes an instant with `jobs` readers, waiting for each lock at most `lock_wait`.
    ///
    /// Fails before anything is copied when tables may not be read, when a lock cannot be had,
    /// or when tables keep changing.
    pub(super) async fn take(
        options: &ConnectOptions,
        database: &Database,
        scope: &Scope,
        jobs: usize,
        lock_wait: Duration,
    ) -> Result<Self> {
        let mut changed = Vec::new();
        for _ in 0..ATTEMPTS {
            match attempt(options, database, scope, jobs, lock_wait).await? {
                Attempt::Taken(instant) => return Ok(*instant),
                Attempt::Changed(names) => changed = names,
            }
        }
        Err(Error::new(ErrorKind::SourceUnavailable, "lock tables")
            .with("changed meanwhile", changed.join(", "))
            .with("attempts", ATTEMPTS)
            .hint(
                "Tables are created, dropped or rewritten all the time; back up in a calmer hour.",
            )
            .temporary())
    }

    /// Ends all sessions in order.
    pub(super) async fn release(self) {
        for reader in self.readers {
            reader.close().await;
        }
        self.holder.close().await;
    }
}

enum Attempt {
    Taken(Box<Instant>),
    Changed(Vec<String>),
}

async fn attempt(
    options: &ConnectOptions,
    database: &Database,
    scope: &Scope,
    jobs: usize,
    lock_wait: Duration,
) -> Result<Attempt> {
    let mut holder = Client::connect(options).await?;
    let mut listed = tables::read(&mut holder, database).await?;
    scope.narrow(&mut listed);
    tables::check_readable(&listed, &database.user)?;
    let mut readers = try_join_all((0..jobs).map(|_| Client::connect(options))).await?;
    let everyone_locks = fits_lock_table(&mut holder, listed.len(), jobs).await?;

    let wait_ms = lock_wait.as_millis();
    begin_reading(&mut holder, wait_ms).await?;
    try_join_all(readers.iter_mut().map(|reader| begin_reading(reader, wait_ms))).await?;
    let lockers = if everyone_locks { readers.as_mut_slice() } else { &mut [] };
    if let Some(gone) = lock_together(&mut holder, lockers, &listed, lock_wait).await? {
        return Ok(Attempt::Changed(gone));
    }

    let snapshot = export(&mut holder).await?;
    let mut tables = tables::read(&mut holder, database).await?;
    scope.narrow(&mut tables);
    let changed = differences(&listed, &tables);
    if !changed.is_empty() {
        return Ok(Attempt::Changed(changed));
    }
    tables::measure(&mut holder, database, &mut tables).await?;
    let import = format!("SET TRANSACTION SNAPSHOT '{snapshot}'");
    try_join_all(readers.iter_mut().map(|reader| reader.execute(&import))).await?;
    Ok(Attempt::Taken(Box::new(Instant { holder, readers, snapshot, tables })))
}

/// Locks all tables in all sessions at the same time, so that they queue side by side behind
/// whoever holds a table now, and the next schema change queues behind all of them. Returns
/// what is in the way if only starting again helps.
async fn lock_together(
    holder: &mut Client,
    readers: &mut [Client],
    tables: &[Table],
    wait: Duration,
) -> Result<Option<Vec<String>>> {
    let first = pin!(lock(holder, tables, wait));
    let others = pin!(try_join_all(readers.iter_mut().map(|reader| lock(reader, tables, wait))));
    let (gone, others) = match select(first, others).await {
        Either::Left((gone, others)) => (
            gone?,
            timeout(BEHIND_WAITER, others).await.unwrap_or_else(|_| Ok(vec![Some(waiting())])),
        ),
        Either::Right((others, first)) => (first.await?, others),
    };
    Ok(gone.or(others?.into_iter().flatten().next()))
}

fn waiting() -> Vec<String> {
    vec!["a schema change waits for a lock all the time".to_owned()]
}

/// Locks all tables; returns the names of those that are gone.
async fn lock(
    client: &mut Client,
    tables: &[Table],
    wait: Duration,
) -> Result<Option<Vec<String>>> {
    let names: Vec<String> = tables.iter().filter(|t| t.is_locked()).map(Table::sql).collect();
    for batch in names.chunks(LOCK_BATCH) {
        let sql = format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", batch.join(", ONLY "));
        let Err(error) = client.execute(&sql).await else { continue };
        return match sqlstate(&error) {
            // Dropped or renamed between the list and the lock.
            Some("42P01" | "3F000" | "42809") => Ok(Some(vec![error.to_string()])),
            Some("40P01") => Ok(Some(vec!["deadlock with another session".to_owned()])),
            Some("55P03") => Err(lock_not_had(client, error, wait).await),
            Some("53200") => Err(error.hint(
                "Raise max_locks_per_transaction on the server (it needs a restart), or use fewer \
                 jobs.",
            )),
            _ => Err(error),
        };
    }
    Ok(None)
}

/// Explains a lock timeout by naming what is locked.
async fn lock_not_had(client: &mut Client, error: Error, wait: Duration) -> Error {
    let sql = "SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%s (process %s)', \
         l.relation::pg_catalog.regclass, l.pid), ', ') AS held FROM pg_catalog.pg_locks l \
         JOIN pg_catalog.pg_database d ON d.oid = l.database \
         WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation' \
         AND d.datname = pg_catalog.current_database()";
    let mut held = None;
    if client.execute("ROLLBACK").await.is_ok()
        && let Ok(rows) = client.query(sql).await
    {
        held = rows.first().and_then(|row| row.by_name("held").map(str::to_owned));
    }
    Error::new(ErrorKind::SourceUnavailable, "lock tables")
        .with("waited", format!("{} s", wait.as_secs_f64()))
        .with("exclusively locked", held.as_deref().unwrap_or("nothing any more"))
        .hint("Wait for the schema change to finish, or end the session that holds the lock.")
        .because(error)
        .temporary()
}

/// With its own lock a reader can never queue behind a schema change that waits for ours; many
/// tables times many readers might not fit the server's lock table though.
async fn fits_lock_table(client: &mut Client, tables: usize, jobs: usize) -> Result<bool> {
    let sql = "SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 \
         * (pg_catalog.current_setting('max_connections')::pg_catalog.int8 \
         + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8) AS slots";
    let rows = client.query(sql).await?;
    let slots: u64 = rows
        .first()
        .and_then(|row| row.by_name("slots").and_then(|text| text.parse().ok()))
        .unwrap_or(0);
    let needed = u64::try_from(tables.saturating_mul(jobs)).unwrap_or(u64::MAX);
    Ok(needed <= slots / LOCK_SHARE)
}

async fn export(client: &mut Client) -> Result<String> {
    let rows = client.query("SELECT pg_catalog.pg_export_snapshot() AS name").await?;
    let name = rows.first().and_then(|row| row.by_name("name")).unwrap_or_default();
    // It goes into a statement and into arguments.
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(Error::new(ErrorKind::Failed, "export snapshot").with("name", name));
    }
    Ok(name.to_owned())
}

/// Returns the tables that are not as they were locked.
fn differences(locked: &[Table], seen: &[Table]) -> Vec<String> {
    let key = |table: &Table| (table.oid, table.schema.clone(), table.name.clone());
    let needed = |table: &&Table| table.is_locked();
    let before: BTreeSet<_> = locked.iter().filter(needed).map(key).collect();
    let after: BTreeSet<_> = seen.iter().filter(needed).map(key).collect();
    let mut changed: Vec<String> = before
        .symmetric_difference(&after)
        .map(|(_, schema, name)| format!("{schema}.{name}"))
        .collect();
    let rewritten =
        seen.iter().filter(|table| table.has_rows() && table.file_seen != table.file_now);
    changed.extend(rewritten.map(Table::label));
    changed
}

/// Adds what to do to an error that comes from reading a standby.
pub(super) fn explain(error: Error, database: &Database) -> Error {
    let conflict = matches!(sqlstate(&error), Some("40001" | "57P01"))
        && error.to_string().contains("conflict with recovery");
    if database.in_recovery && conflict && error.status() == ErrorStatus::Permanent {
        return error.temporary().hint(
            "Replay on the standby removed rows this backup still needed. Set \
             hot_standby_feedback = on or raise max_standby_streaming_delay there, or back up the \
             primary.",
        );
    }
    error
}
