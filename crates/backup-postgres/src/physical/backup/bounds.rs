//! The start and the stop of a copy that reads the data directory.

use backup_core::{Error, ErrorKind, Lsn, Result};

use crate::Client;

/// Starts a backup; returns where in the WAL it begins.
pub(super) async fn start(session: &mut Client, version: u32) -> Result<Lsn> {
    session.execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    let sql = if version >= 150_000 {
        "SELECT pg_catalog.pg_backup_start('backupctl', true)"
    } else {
        "SELECT pg_catalog.pg_start_backup('backupctl', true, false)"
    };
    let rows = session.query(sql).await?;
    let start = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
    start.ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, "start backup"))
}

/// What the server says at the stop.
pub(super) struct Stopped {
    pub(super) lsn: Lsn,
    pub(super) label: String,
    pub(super) map: String,
}

/// Ends it. The WAL is taken along by the copy.
pub(super) async fn stop(session: &mut Client, version: u32) -> Result<Stopped> {
    // Nothing is waited for.
    let call =
        if version >= 150_000 { "pg_backup_stop(false)" } else { "pg_stop_backup(false, false)" };
    let sql = format!("SELECT lsn, labelfile, spcmapfile FROM pg_catalog.{call}");
    let rows = session.query(&sql).await?;
    let read = || {
        let row = rows.first()?;
        Some(Stopped {
            lsn: row.by_name("lsn")?.parse().ok()?,
            label: row.by_name("labelfile")?.to_owned(),
            map: row.by_name("spcmapfile").unwrap_or_default().to_owned(),
        })
    };
    read().ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, "stop backup"))
}
