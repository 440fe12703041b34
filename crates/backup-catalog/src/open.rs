//! Opening the file, whatever is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::schema::{check_version, migrate};
use crate::sqlite::SqliteCatalog;

/// What was there when a catalog was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A catalog.
    Catalog,
    /// Nothing: it begins empty.
    Nothing,
    /// Something that cannot be read. It was moved there, and the catalog begins empty.
    Damaged(PathBuf),
}

/// Another process may be writing.
const PATIENCE: Duration = Duration::from_secs(10);

impl SqliteCatalog {
    /// Opens the catalog in `file`, or begins one. A damaged file is moved aside. Fails where
    /// nothing can be written, and on a file of a newer version.
    pub fn open(file: &Path, now: Timestamp) -> Result<(Self, Found)> {
        let there = fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0);
        let located = |error: Error| error.with("file", file.display());
        match connect(file) {
            Ok(connection) => {
                let found = if there { Found::Catalog } else { Found::Nothing };
                Ok((Self::new(connection), found))
            }
            Err(Refusal::Damaged(error)) if there => {
                let aside = put_aside(file, now).map_err(|e| located(e.because(error)))?;
                match connect(file) {
                    Ok(connection) => Ok((Self::new(connection), Found::Damaged(aside))),
                    Err(Refusal::Damaged(error) | Refusal::Other(error)) => Err(located(error)),
                }
            }
            Err(Refusal::Damaged(error) | Refusal::Other(error)) => Err(located(error)),
        }
    }

    /// Opens the catalog in `file` to look at it, beside the program whose it is: nothing is
    /// created, changed or moved. `NotFound` when there is none, `Unsupported` when another
    /// version wrote it.
    pub fn look(file: &Path) -> Result<Self> {
        let located = |error: Error| error.with("file", file.display());
        if !file.exists() {
            let error = Error::new(ErrorKind::NotFound, "open catalog");
            return Err(located(error).hint("Name the directory in which backupd keeps its state."));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)
            .map_err(|error| located(failed("open catalog")(error)))?;
        connection.busy_timeout(PATIENCE).map_err(|e| located(failed("open catalog")(e)))?;
        check_version(&connection).map_err(located)?;
        Ok(Self::new(connection))
    }

    /// Begins a catalog that ends with the program, for where nothing can be written.
    pub fn in_memory() -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(failed("open catalog"))?;
        match prepare(connection) {
            Ok(connection) => Ok(Self::new(connection)),
            Err(Refusal::Damaged(error) | Refusal::Other(error)) => Err(error),
        }
    }
}

enum Refusal {
    Damaged(Error),
    Other(Error),
}

fn connect(file: &Path) -> Result<Connection, Refusal> {
    let other = |error| Refusal::Other(failed("open catalog")(error));
    let connection = Connection::open(file).map_err(other)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // It names sources and shows errors: not for everybody. Refused only where it is not ours.
        let _ = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
    }
    prepare(connection)
}

fn prepare(mut connection: Connection) -> Result<Connection, Refusal> {
    let refusal = |error: rusqlite::Error| {
        let damaged = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
        );
        let error = failed("open catalog")(error);
        if damaged { Refusal::Damaged(error) } else { Refusal::Other(error) }
    };
    connection.busy_timeout(PATIENCE).map_err(refusal)?;
    // In this mode a commit is durable when it returns, and readers never wait.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(refusal)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(refusal)?;
    let sound: String =
        connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(refusal)?;
    if sound != "ok" {
        let error = Error::new(ErrorKind::Failed, "check catalog").because(sound);
        return Err(Refusal::Damaged(error));
    }
    migrate(&mut connection).map_err(Refusal::Other)?;
    Ok(connection)
}

/// Moves a damaged file and what belongs to it aside, so that somebody can look at it.
fn put_aside(file: &Path, now: Timestamp) -> Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = beside(&format!(".damaged-{}", now.as_second()));
    fs::rename(file, &aside).map_err(|error| {
        Error::new(ErrorKind::Failed, "put damaged catalog aside").because(error)
    })?;
    for suffix in ["-wal", "-shm"] {
        // As a rule there is none: then there is nothing to move.
        let _ = fs::rename(beside(suffix), beside(&format!("{suffix}.damaged")));
    }
    Ok(aside)
}

/// Returns a failure of the catalog, with what to do about it.
pub(crate) fn failed(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
    move |error| {
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "Free space on the disk of the daemon's state directory.",
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "Make the daemon's state directory writable for this user."
            }
            _ => {
                "Backups go on without it; if it does not pass, move the file away: it is rebuilt \
                 from the repository."
            }
        };
        Error::new(ErrorKind::Failed, operation).because(error).hint(hint)
    }
}
