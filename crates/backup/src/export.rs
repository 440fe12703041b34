//! The way out: a snapshot as files that other programs read.

use std::path::Path;
use std::sync::Arc;

use backup_core::port::Observer;
use backup_core::{Event, Result, Snapshot};
use backup_postgres::logical::{self, ExportOptions};
use backup_postgres::tools::ToolPaths;
use backup_repository::Repository;

pub use backup_postgres::logical::ExportReport;

/// Writes a snapshot into `directory`, which is created or must be empty (`Conflict`
/// otherwise), as files that `psql` and `pg_restore` read; one file for each table if asked.
///
/// An error leaves what was written so far, to be thrown away.
pub async fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    tools: &ToolPaths,
    directory: &Path,
    file_per_table: bool,
    observer: &Arc<dyn Observer>,
) -> Result<ExportReport> {
    observer.on_event(&Event::RunStarted {
        verb: "export",
        source: Some(snapshot.source.clone()),
        expected_bytes: Some(snapshot.read_bytes),
    });
    let parts = repository.reader(snapshot).await?;
    let options = ExportOptions {
        file_per_table,
        tables: Vec::new(),
        schemas: Vec::new(),
        observer: Arc::clone(observer),
    };
    logical::export(snapshot, &parts, directory, tools, &options).await
}
