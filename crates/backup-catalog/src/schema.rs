//! The tables, and how older ones become newer ones.

use backup_core::{Error, ErrorKind, Result};
use rusqlite::Connection;

use crate::sqlite::writing;

/// One script a version; a script that was released is never changed.
const SCRIPTS: [&str; 1] = ["
    CREATE TABLE runs (
        id BLOB PRIMARY KEY,
        kind TEXT NOT NULL,
        source TEXT,
        state TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        body TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_source ON runs (source, kind, id);
    CREATE INDEX runs_by_state ON runs (state, id);
    CREATE INDEX runs_by_time ON runs (started_at);
    CREATE TABLE kept (
        space TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (space, key)
    ) WITHOUT ROWID;
    CREATE TABLE log (
        space TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (space, number)
    ) WITHOUT ROWID;
"];

/// `Unsupported` unless the tables are those of this version.
pub(crate) fn check_version(connection: &Connection) -> Result<()> {
    let version: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(crate::open::failed("read version of catalog"))?;
    if version == SCRIPTS.len() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "open catalog")
        .with("version", version)
        .hint("Use programs of the same version as the daemon that wrote it."))
}

/// Brings the tables to this version, or leaves everything as it was. A file of a newer version
/// is `Unsupported`.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let version: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(crate::open::failed("read version of catalog"))?;
    if version > SCRIPTS.len() {
        return Err(Error::new(ErrorKind::Unsupported, "open catalog")
            .with("version", version)
            .hint(
                "A newer version of this program wrote it. Use that one, or move the file away: \
                 it is rebuilt from the repository.",
            ));
    }
    let failed = || crate::open::failed("migrate catalog");
    for (position, script) in SCRIPTS.iter().enumerate().skip(version) {
        let transaction = writing(connection).map_err(failed())?;
        let there: usize = transaction
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed())?;
        if there > position {
            // Another process was first.
            continue;
        }
        transaction.execute_batch(script).map_err(failed())?;
        transaction.pragma_update(None, "user_version", position + 1).map_err(failed())?;
        transaction.commit().map_err(failed())?;
    }
    Ok(())
}
