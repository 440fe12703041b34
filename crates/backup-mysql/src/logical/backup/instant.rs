//! One instant, seen by several sessions.
//!
//! MySQL has no snapshot that one session could hand to another. So every commit is held back for
//! the moment in which all readers begin their transactions: by `BACKUP STAGE` (MariaDB) or
//! `FLUSH TABLES WITH READ LOCK`, which need RELOAD, else by read locks on the database's tables,
//! which need LOCK TABLES. Who has neither right reads with one session, whose own transaction is
//! one instant by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Finding, Result};

use super::facts;
use super::in_the_way::in_the_way;
use super::select::reading;
use crate::catalog::server::{Flavor, Server};
use crate::catalog::tables::Table;
use crate::wire::code;
use crate::{Client, ConnectOptions, error_code, quote_name};

/// The longest wait while something else is held that others may be waiting for.
const CROSSED: Duration = Duration::from_secs(2);
/// How long others are let through before locks are asked for again.
const PAUSE: Duration = Duration::from_millis(300);

/// How commits are held back while the readers begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    /// `BACKUP STAGE BLOCK_COMMIT`.
    BackupStage,
    /// `FLUSH TABLES WITH READ LOCK`.
    GlobalLock,
    /// `LOCK TABLES … READ` on every table of the database.
    TableLocks,
    /// Not at all: there is one reader.
    Alone,
}

impl Freeze {
    /// Returns the word in the facts of a snapshot.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BackupStage => "backup stage",
            Self::GlobalLock => "global read lock",
            Self::TableLocks => "table locks",
            Self::Alone => "one session",
        }
    }
}

/// Sessions that see one instant.
pub(super) struct Moment {
    pub(super) readers: Vec<Client>,
    pub(super) freeze: Freeze,
    /// Holds tables still that no transaction protects.
    keeper: Option<Client>,
    pub(super) findings: Vec<Finding>,
    /// What time it is, and where the binary log stands.
    pub(super) position: BTreeMap<String, String>,
}

impl Moment {
    /// Takes it. `forced` leaves no choice of how, for those who know better.
    ///
    /// Locks that stand in each other's way are given back and asked for again, until `lock_wait`
    /// is over.
    pub(super) async fn take(
        connect: &ConnectOptions,
        server: &Server,
        tables: &[Table],
        jobs: usize,
        lock_wait: Duration,
        forced: Option<Freeze>,
    ) -> Result<Self> {
        let choices: Vec<Freeze> = match (forced, server.flavor) {
            (Some(one), _) => vec![one],
            (None, Flavor::MariaDb) => vec![Freeze::BackupStage, Freeze::TableLocks, Freeze::Alone],
            (None, Flavor::MySql) => vec![Freeze::GlobalLock, Freeze::TableLocks, Freeze::Alone],
        };
        let begun = Instant::now();
        let mut readers = Vec::new();
        for freeze in choices {
            let wanted = if freeze == Freeze::Alone { 1 } else { jobs };
            while readers.len() < wanted {
                readers.push(reading(connect, lock_wait).await?);
            }
            readers.truncate(wanted);
            let held = loop {
                let mut taking = Taking { connect, server, tables, lock_wait, freeze };
                match taking.hold_and_begin(&mut readers).await {
                    Err(error) if is_crossed(&error) && begun.elapsed() < lock_wait => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    held => break held,
                }
            };
            match held {
                Ok(Held { keeper, mut findings, position }) => {
                    if freeze == Freeze::Alone && jobs > 1 {
                        findings.push(Finding::note(
                            "the user has neither RELOAD nor LOCK TABLES: rows are read by one \
                             session, whose transaction is one instant by itself",
                        ));
                    }
                    return Ok(Self { readers, freeze, keeper, findings, position });
                }
                Err(error) if forced.is_none() && is_missing_right(&error) => {}
                Err(error) => return Err(behind(error, connect, tables).await),
            }
        }
        Err(Error::new(ErrorKind::Failed, "take a consistent instant"))
    }

    /// Lets tables go that no transaction protects; their rows have been read.
    pub(super) async fn let_go(&mut self) -> Result<()> {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.execute("UNLOCK TABLES").await?;
            keeper.close().await;
        }
        Ok(())
    }

    /// Takes what holds unprotected tables still, for whoever reads them.
    pub(super) fn take_keeper(&mut self) -> Option<Client> {
        self.keeper.take()
    }

    /// Ends the transactions; an error says that one of them was lost, and its rows with it.
    pub(super) async fn release(mut self) -> Result<()> {
        self.let_go().await?;
        for mut reader in self.readers {
            reader.execute("COMMIT").await?;
            reader.close().await;
        }
        Ok(())
    }
}

/// One try at an instant.
struct Taking<'a> {
    connect: &'a ConnectOptions,
    server: &'a Server,
    tables: &'a [Table],
    lock_wait: Duration,
    freeze: Freeze,
}

/// What a try came to.
struct Held {
    keeper: Option<Client>,
    findings: Vec<Finding>,
    position: BTreeMap<String, String>,
}

impl Taking<'_> {
    /// Holds commits back, locks what no transaction protects, begins the readers' transactions,
    /// asks where the binary log stands, and lets commits go on.
    ///
    /// The order matters: whoever waits to write to a locked table already counts as a writer,
    /// and a lock on all commits would wait for it. While that lock is held, though, others may
    /// hold a table and wait for their commit, so that we wait for a moment only.
    async fn hold_and_begin(&mut self, readers: &mut [Client]) -> Result<Held> {
        let mut findings = Vec::new();
        // A session of its own: what it holds must not touch the readers' transactions.
        let mut locker = reading(self.connect, self.lock_wait).await?;
        let by_tables = matches!(self.freeze, Freeze::TableLocks | Freeze::Alone);
        let keeper = if by_tables {
            let keeper =
                keep_still(self.connect, self.tables, self.lock_wait, &mut findings).await?;
            let moment =
                if keeper.is_some() { CROSSED.min(self.lock_wait) } else { self.lock_wait };
            limit(&mut locker, moment).await?;
            self.hold(&mut locker, keeper.is_some()).await?;
            keeper
        } else {
            self.hold(&mut locker, false).await?;
            let moment = CROSSED.min(self.lock_wait);
            match keep_still(self.connect, self.tables, moment, &mut findings).await {
                Ok(keeper) => keeper,
                Err(error) => {
                    self.release(&mut locker).await?;
                    return Err(error);
                }
            }
        };
        let begun = self.begin(readers).await;
        let released = self.release(&mut locker).await;
        let position = begun?;
        released?;
        locker.close().await;
        Ok(Held { keeper, findings, position })
    }

    async fn begin(&self, readers: &mut [Client]) -> Result<BTreeMap<String, String>> {
        for reader in readers.iter_mut() {
            // Ends what an earlier try began.
            reader.execute("ROLLBACK").await?;
            reader.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
        }
        let all_commits = matches!(self.freeze, Freeze::BackupStage | Freeze::GlobalLock);
        match readers.first_mut() {
            Some(reader) => facts::position(reader, self.server, all_commits).await,
            None => Ok(BTreeMap::new()),
        }
    }

    /// Holds commits back; `kept` says that tables without transactions are locked already.
    async fn hold(&self, locker: &mut Client, kept: bool) -> Result<()> {
        match self.freeze {
            Freeze::BackupStage => {
                locker.execute("BACKUP STAGE START").await?;
                locker.execute("BACKUP STAGE BLOCK_COMMIT").await
            }
            Freeze::GlobalLock => locker.execute("FLUSH TABLES WITH READ LOCK").await,
            Freeze::TableLocks => {
                let wanted =
                    |table: &&Table| table.holds_rows() && (!kept || table.is_transactional());
                let plain: Vec<&Table> = self.tables.iter().filter(wanted).collect();
                if plain.is_empty() {
                    return Ok(());
                }
                locker.execute(&lock_statement(plain.into_iter())).await
            }
            Freeze::Alone => Ok(()),
        }
    }

    async fn release(&self, locker: &mut Client) -> Result<()> {
        match self.freeze {
            Freeze::BackupStage => locker.execute("BACKUP STAGE END").await,
            Freeze::GlobalLock | Freeze::TableLocks => locker.execute("UNLOCK TABLES").await,
            Freeze::Alone => Ok(()),
        }
    }
}

async fn limit(client: &mut Client, wait: Duration) -> Result<()> {
    client.try_set("lock_wait_timeout", &wait.as_secs().max(1).to_string()).await?;
    Ok(())
}

/// Locks that two sessions want in different orders.
fn is_crossed(error: &Error) -> bool {
    error_code(error).is_some_and(|found| matches!(found, code::LOCK_WAIT | code::DEADLOCK))
}

/// Locks tables that no transaction protects against writing, before the instant.
async fn keep_still(
    connect: &ConnectOptions,
    tables: &[Table],
    lock_wait: Duration,
    findings: &mut Vec<Finding>,
) -> Result<Option<Client>> {
    let loose: Vec<&Table> =
        tables.iter().filter(|table| table.holds_rows() && !table.is_transactional()).collect();
    if loose.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> =
        loose.iter().map(|table| format!("{} ({})", table.name, table.engine)).collect();
    let mut keeper = reading(connect, lock_wait).await?;
    match keeper.execute(&lock_statement(loose.iter().copied())).await {
        Ok(()) => {
            findings.push(Finding::note(format!(
                "no transaction protects {}; writing to them waits while they are read",
                names.join(", ")
            )));
            Ok(Some(keeper))
        }
        Err(error) if is_missing_right(&error) => {
            findings.push(Finding::warning(format!(
                "no transaction protects {}, and the user may not lock tables: their rows may be \
                 of another instant than the others",
                names.join(", ")
            )));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn lock_statement<'a>(tables: impl Iterator<Item = &'a Table>) -> String {
    let each: Vec<String> =
        tables.map(|table| format!("{} READ", quote_name(&table.name))).collect();
    format!("LOCK TABLES {}", each.join(", "))
}

fn is_missing_right(error: &Error) -> bool {
    error_code(error).is_some_and(|found| {
        matches!(
            found,
            code::ACCESS_DENIED_DATABASE
                | code::ACCESS_DENIED
                | code::TABLE_ACCESS_DENIED
                | code::SPECIAL_ACCESS_DENIED
        )
    })
}

/// A lock that does not come: says what is in the way.
async fn behind(error: Error, connect: &ConnectOptions, tables: &[Table]) -> Error {
    let waits = error_code(&error) == Some(code::LOCK_WAIT);
    let mut outer = Error::new(error.kind(), "take a consistent instant");
    if waits {
        outer = outer.temporary();
        let held = in_the_way(connect, tables).await;
        if !held.is_empty() {
            outer = outer.with("tables that others hold", held.join(", "));
        }
    }
    outer.because(error)
}
