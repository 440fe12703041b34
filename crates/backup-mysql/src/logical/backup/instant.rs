//! One instant, seen by several sessions.
//!
//! MySQL has no snapshot that one session could hand to another. So every commit is held back for
//! the moment in which all readers begin their transactions: by `BACKUP STAGE` (MariaDB) or
//! `FLUSH TABLES WITH READ LOCK`, which need RELOAD, else by read locks on the database's tables,
//! which need LOCK TABLES. Who has neither right reads with one session, whose own transaction is
//! one instant by itself.

use std::time::Duration;

use backup_core::{Error, ErrorKind, Finding, Result};

use super::select::reading;
use crate::catalog::server::{Flavor, Server};
use crate::catalog::tables::{Kind, Table};
use crate::wire::code;
use crate::{Client, ConnectOptions, error_code, quote_name};

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
pub(super) struct Instant {
    pub(super) readers: Vec<Client>,
    pub(super) freeze: Freeze,
    /// Holds tables still that no transaction protects.
    keeper: Option<Client>,
    pub(super) findings: Vec<Finding>,
}

impl Instant {
    /// Takes it. `forced` leaves no choice of how, for those who know better.
    pub(super) async fn take(
        connect: &ConnectOptions,
        server: &Server,
        tables: &[Table],
        jobs: usize,
        lock_wait: Duration,
        forced: Option<Freeze>,
    ) -> Result<Self> {
        let mut findings = Vec::new();
        let keeper = keep_still(connect, tables, lock_wait, &mut findings).await?;
        let choices: Vec<Freeze> = match (forced, server.flavor) {
            (Some(one), _) => vec![one],
            (None, Flavor::MariaDb) => vec![Freeze::BackupStage, Freeze::TableLocks, Freeze::Alone],
            (None, Flavor::MySql) => vec![Freeze::GlobalLock, Freeze::TableLocks, Freeze::Alone],
        };
        let mut readers = Vec::new();
        for freeze in choices {
            let wanted = if freeze == Freeze::Alone { 1 } else { jobs };
            while readers.len() < wanted {
                readers.push(reading(connect, lock_wait).await?);
            }
            readers.truncate(wanted);
            // A session of its own: what it holds must not touch the readers' transactions.
            let mut locker = reading(connect, lock_wait).await?;
            match hold(&mut locker, freeze, tables).await {
                Ok(()) => {}
                Err(error) if forced.is_none() && is_missing_right(&error) => continue,
                Err(error) => return Err(behind(error)),
            }
            let begun = begin_all(&mut readers).await;
            let released = release(&mut locker, freeze).await;
            begun.and(released)?;
            locker.close().await;
            if freeze == Freeze::Alone && jobs > 1 {
                findings.push(Finding::note(
                    "the user has neither RELOAD nor LOCK TABLES: rows are read by one session, \
                     whose transaction is one instant by itself",
                ));
            }
            return Ok(Self { readers, freeze, keeper, findings });
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

/// Locks tables that no transaction protects against writing, before the instant.
async fn keep_still(
    connect: &ConnectOptions,
    tables: &[Table],
    lock_wait: Duration,
    findings: &mut Vec<Finding>,
) -> Result<Option<Client>> {
    let loose: Vec<&Table> = tables
        .iter()
        .filter(|table| table.kind == Kind::Plain && !table.is_transactional())
        .collect();
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
        Err(error) => Err(behind(error)),
    }
}

fn lock_statement<'a>(tables: impl Iterator<Item = &'a Table>) -> String {
    let each: Vec<String> =
        tables.map(|table| format!("{} READ", quote_name(&table.name))).collect();
    format!("LOCK TABLES {}", each.join(", "))
}

async fn hold(locker: &mut Client, freeze: Freeze, tables: &[Table]) -> Result<()> {
    match freeze {
        Freeze::BackupStage => {
            locker.execute("BACKUP STAGE START").await?;
            locker.execute("BACKUP STAGE BLOCK_COMMIT").await
        }
        Freeze::GlobalLock => locker.execute("FLUSH TABLES WITH READ LOCK").await,
        Freeze::TableLocks => {
            let plain: Vec<&Table> =
                tables.iter().filter(|table| table.kind == Kind::Plain).collect();
            if plain.is_empty() {
                return Ok(());
            }
            locker.execute(&lock_statement(plain.into_iter())).await
        }
        Freeze::Alone => Ok(()),
    }
}

async fn release(locker: &mut Client, freeze: Freeze) -> Result<()> {
    match freeze {
        Freeze::BackupStage => locker.execute("BACKUP STAGE END").await,
        Freeze::GlobalLock | Freeze::TableLocks => locker.execute("UNLOCK TABLES").await,
        Freeze::Alone => Ok(()),
    }
}

async fn begin_all(readers: &mut [Client]) -> Result<()> {
    for reader in readers {
        reader.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    }
    Ok(())
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
fn behind(error: Error) -> Error {
    let waits = error_code(&error) == Some(code::LOCK_WAIT);
    let outer = Error::new(error.kind(), "take a consistent instant");
    let outer = if waits { outer.temporary() } else { outer };
    outer.because(error)
}
