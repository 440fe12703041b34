//! The way out: a snapshot as files that other programs read.

use std::path::Path;
use std::sync::Arc;

use backup_core::port::PartSource;
use backup_core::{Error, ErrorKind, Event, Result, Snapshot, SnapshotKind};
use backup_mysql::logical as mysql;
use backup_postgres::logical;
use backup_postgres::tools::ToolPaths;
use backup_repository::Repository;

pub use backup_postgres::logical::{ExportOptions, ExportReport};

/// Writes a snapshot into `directory`, which is created or must be empty (`Conflict`
/// otherwise), as files that the engine's own programs read: `psql` and `pg_restore`, or `mysql`.
///
/// An error leaves what was written so far, to be thrown away.
pub async fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    tools: &ToolPaths,
    directory: &Path,
    options: &ExportOptions,
) -> Result<ExportReport> {
    if snapshot.kind == SnapshotKind::Files {
        return Err(Error::new(ErrorKind::Usage, "export snapshot")
            .with("snapshot", snapshot.id.short())
            .because("it is of files")
            .hint("A restore writes them as they were: `backupctl restore SNAPSHOT --to DIR`."));
    }
    options.observer.on_event(&Event::RunStarted {
        verb: "export",
        source: Some(snapshot.source.clone()),
        expected_bytes: Some(snapshot.read_bytes),
    });
    let parts = repository.reader(snapshot).await?;
    if snapshot.identity.engine == backup_mysql::ENGINE {
        return export_mysql(snapshot, &parts, directory, options).await;
    }
    logical::export(snapshot, &parts, directory, tools, options).await
}

async fn export_mysql(
    snapshot: &Snapshot,
    parts: &Arc<dyn PartSource>,
    directory: &Path,
    options: &ExportOptions,
) -> Result<ExportReport> {
    let own = mysql::ExportOptions {
        file_per_table: options.file_per_table,
        tables: options.tables.clone(),
        schemas: options.schemas.clone(),
        observer: Arc::clone(&options.observer),
    };
    let report = mysql::export(snapshot, parts, directory, &own).await?;
    Ok(ExportReport { files: report.files, tables: report.tables, bytes: report.bytes })
}
