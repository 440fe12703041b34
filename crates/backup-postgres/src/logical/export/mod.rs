//! The way out: a snapshot as files that PostgreSQL's own programs load without us.

mod directory;
mod script;

use std::path::PathBuf;
use std::sync::Arc;

use backup_core::port::{Observer, PartSource};
use backup_core::{Error, ErrorKind, Event, Result, Snapshot, SnapshotKind};

use self::directory::Directory;
use self::script::Script;
use super::names::GLOBALS;
use super::restore::{TablePart, major_of, read_part};
use crate::tools::ToolPaths;

/// The schema as `pg_restore` reads it.
const ARCHIVE: &str = "schema.dump";
/// Everything as `psql` reads it.
const DATABASE: &str = "database.sql";
/// Roles and tablespaces.
const GLOBALS_FILE: &str = "globals.sql";

/// How to export.
#[derive(Clone)]
pub struct ExportOptions {
    /// One file per table under `data/`, included by `database.sql`, instead of one big file.
    pub file_per_table: bool,
    /// Only these tables, as `schema.table` or `table` (empty: all).
    pub tables: Vec<String>,
    /// Only these schemas (empty: all).
    pub schemas: Vec<String>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Files, in the order they are of use.
    pub files: Vec<PathBuf>,
    /// Tables in them.
    pub tables: u64,
    /// Bytes of rows in them.
    pub bytes: u64,
}

/// Writes a logical snapshot into `directory`, which is created, or must be empty:
///
/// - `globals.sql`: roles and tablespaces, where the snapshot has them;
/// - `database.sql`: schema, rows, large objects, sequences; load it into an empty database
///   with `psql -v ON_ERROR_STOP=1 -f database.sql`;
/// - `schema.dump`: the schema alone, for `pg_restore`.
///
/// Of some tables or schemas alone it holds what they need of the schema; a name that matches
/// nothing is `NotFound`. Needs a `pg_restore` of the major version of the pg_dump that took the snapshot, or newer.
/// On failure what was written so far stays, without `database.sql` being complete.
pub async fn export(
    snapshot: &Snapshot,
    parts: &Arc<dyn PartSource>,
    directory: impl Into<PathBuf>,
    tools: &ToolPaths,
    options: &ExportOptions,
) -> Result<ExportReport> {
    if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != "postgres" {
        return Err(Error::new(ErrorKind::Unsupported, "export snapshot as SQL")
            .with("snapshot kind", snapshot.kind.as_str())
            .with("engine", &snapshot.identity.engine));
    }
    let tool = tools.choose("pg_restore", major_of(&snapshot.evidence)).await?;
    let directory = Directory::create(directory.into()).await?;
    let mut report = ExportReport::default();
    if let Some(globals) = read_part(&**parts, GLOBALS).await? {
        report.files.push(directory.write(GLOBALS_FILE, &globals).await?);
    }
    let phase = |phase: &str| {
        options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
    };
    phase("write schema");
    let mut script = Script::begin(&directory, DATABASE, parts, &tool, tools, options).await?;
    phase("write rows");
    for part in parts.parts() {
        let Some(table) = TablePart::read(part)?.filter(|table| script.wants(table)) else {
            continue;
        };
        let file = script.table(&directory, parts, &table, report.tables, options).await?;
        report.files.extend(file);
        report.tables += 1;
        report.bytes += table.bytes;
    }
    phase("write large objects and sequences");
    report.bytes += script.large_objects(parts).await?;
    script.sequences(parts).await?;
    let archive = script.archive_bytes();
    report.files.insert(0, directory.write(ARCHIVE, &archive).await?);
    report.files.insert(0, script.finish().await?);
    Ok(report)
}
