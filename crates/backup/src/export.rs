//! The way out: a snapshot as files that other programs read.

use std::path::Path;

use backup_core::{Event, Result, Snapshot};
use backup_postgres::logical;
use backup_postgres::tools::ToolPaths;
use backup_repository::Repository;

pub use backup_postgres::logical::{ExportOptions, ExportReport};

/// Writes a snapshot into `directory`, which is created or must be empty (`Conflict`
/// otherwise), as files that `psql` and `pg_restore` read.
///
/// An error leaves what was written so far, to be thrown away.
pub async fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    tools: &ToolPaths,
    directory: &Path,
    options: &ExportOptions,
) -> Result<ExportReport> {
    options.observer.on_event(&Event::RunStarted {
        verb: "export",
        source: Some(snapshot.source.clone()),
        expected_bytes: Some(snapshot.read_bytes),
    });
    let parts = repository.reader(snapshot).await?;
    logical::export(snapshot, &parts, directory, tools, options).await
}
