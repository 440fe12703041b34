//! One database, or tables of it, out of a physical snapshot at a point in time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use backup_core::port::{RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target};
use backup_core::{ByteSize, Error, ErrorKind, Finding, Result, Snapshot};
use backup_ops::wal::RecoveryPlan;
use backup_postgres::logical::{self, ExportOptions, LogicalTarget};
use backup_postgres::scratch::{Extraction, ScratchCluster};
use backup_postgres::tools::ToolPaths;
use backup_repository::Repository;

use crate::Composer;
use crate::provider::{connect_options, directory, refuse_other_engines};
use crate::scratch::scratch_cluster;

/// Where what is taken out goes.
pub struct ExtractTarget {
    kind: Kind,
    /// Where that is, for people, without secrets.
    pub location: String,
}

enum Kind {
    Database(Box<backup_postgres::ConnectOptions>),
    Directory(PathBuf),
}

impl Composer {
    /// Returns a place for what is taken out of a physical snapshot: a database, or a directory
    /// for files that `psql` reads. Connects to nothing.
    pub fn extract_target(&self, to: &str) -> Result<ExtractTarget> {
        if let Some(directory) = directory(to) {
            let location = directory.display().to_string();
            return Ok(ExtractTarget { kind: Kind::Directory(directory.to_owned()), location });
        }
        refuse_other_engines(to)?;
        let connect = connect_options(to, self.password()?)?;
        let location = connect.location();
        Ok(ExtractTarget { kind: Kind::Database(Box::new(connect)), location })
    }
}

/// Refuses a target that is not empty, and a machine without the programs or the room, before
/// anything that takes time.
pub async fn check_extract(
    tools: &ToolPaths,
    snapshot: &Snapshot,
    target: &ExtractTarget,
    options: &RestoreOptions,
) -> Result<()> {
    // Finds the server's programs; its folder goes at once.
    let cluster = ScratchCluster::prepare(tools, &tools.temporary(), snapshot).await?;
    cluster.remove().await?;
    room(tools, snapshot)?;
    match &target.kind {
        Kind::Database(connect) => {
            LogicalTarget::new((**connect).clone(), tools.clone(), options.clone())
                .check_place(snapshot)
                .await
        }
        Kind::Directory(directory) => {
            let mut entries = std::fs::read_dir(directory).into_iter().flatten();
            match entries.next() {
                None => Ok(()),
                Some(_) => Err(Error::new(ErrorKind::Conflict, "export into folder")
                    .with("folder", directory.display())
                    .because("it is not empty")
                    .hint("Name a new or an empty folder.")),
            }
        }
    }
}

/// The whole cluster is restored first: without the other databases' files the log cannot be
/// replayed.
fn room(tools: &ToolPaths, snapshot: &Snapshot) -> Result<()> {
    let folder = tools.temporary();
    let Ok(disk) = rustix::fs::statvfs(&folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free > snapshot.read_bytes {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "restore cluster to scratch")
        .with("folder", folder.display())
        .with("free", ByteSize(free))
        .with("needed, and some more", ByteSize(snapshot.read_bytes))
        .hint("Name a folder with more room: --scratch DIR."))
}

/// Restores a cluster into a throw-away folder, replays WAL to the point of `plan` (without one:
/// to the end of the snapshot), and restores a database, or tables of it, from there into
/// `target`. The folder is removed whatever happens.
///
/// Fails with `NotFound` when the database or a table was not there at that point, and as a
/// restore of a logical snapshot does.
pub async fn extract(
    repository: &Repository,
    tools: &ToolPaths,
    (snapshot, plan): (&Snapshot, Option<&RecoveryPlan>),
    database: &str,
    target: &ExtractTarget,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    check_extract(tools, snapshot, target, options).await?;
    let (jobs, observer) = (options.jobs, &options.observer);
    let made = scratch_cluster(repository, tools, snapshot, plan, jobs, observer).await;
    let (cluster, whole) = made?;
    let begun = Instant::now();
    let loaded = load(&cluster, snapshot, database, target, options).await;
    let removed = cluster.remove().await;
    let point = match plan {
        Some(plan) => plan.goal.to_string(),
        None => "the end of the snapshot".to_owned(),
    };
    let mut report = loaded.map_err(|error| error.with("at", point))?;
    removed?;
    let mut phases = whole.phases;
    phases.push(("extract".to_owned(), begun.elapsed().as_secs_f64() - seconds(&report.phases)));
    phases.append(&mut report.phases);
    report.phases = phases;
    report.replay = whole.replay;
    Ok(report)
}

fn seconds(phases: &[(String, f64)]) -> f64 {
    phases.iter().map(|(_, seconds)| seconds).sum()
}

async fn load(
    cluster: &ScratchCluster,
    snapshot: &Snapshot,
    database: &str,
    target: &ExtractTarget,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let wanted = Extraction {
        database: database.to_owned(),
        tables: options.tables.clone(),
        schemas: options.schemas.clone(),
        jobs: options.jobs,
        observer: Arc::clone(&options.observer),
    };
    let extracted = cluster.extract(snapshot, &wanted).await?;
    let mut report = match &target.kind {
        Kind::Database(connect) => {
            let tools = cluster.tools().clone();
            let mut target = LogicalTarget::new((**connect).clone(), tools, options.clone());
            target.restore(&extracted.snapshot, Arc::clone(&extracted.parts)).await?
        }
        Kind::Directory(directory) => {
            let export = ExportOptions {
                file_per_table: false,
                tables: options.tables.clone(),
                schemas: options.schemas.clone(),
                observer: Arc::clone(&options.observer),
            };
            let tools = cluster.tools();
            let parts = &extracted.parts;
            let report =
                logical::export(&extracted.snapshot, parts, directory, tools, &export).await?;
            let rows = extracted.snapshot.evidence.tables.iter().map(|table| table.rows).sum();
            RestoreReport {
                tables: report.tables,
                rows,
                files: report.files.len() as u64,
                bytes: report.bytes,
                ..RestoreReport::default()
            }
        }
    };
    report.findings.extend(extracted.findings);
    Ok(report)
}

/// Says what [`extract`] would do.
#[must_use]
pub fn describe_extract(
    snapshot: &Snapshot,
    plan: Option<&RecoveryPlan>,
    database: &str,
    target: &ExtractTarget,
    options: &RestoreOptions,
    scratch: &std::path::Path,
) -> RestorePlan {
    let step = |action: &str, detail: String| RestoreStep { action: action.to_owned(), detail };
    let bytes = ByteSize(snapshot.read_bytes);
    let mut what: Vec<String> = options.tables.iter().map(|name| format!("table {name}")).collect();
    what.extend(options.schemas.iter().map(|name| format!("schema {name}")));
    let what = if what.is_empty() { "everything".to_owned() } else { what.join(", ") };
    let replay = match plan {
        Some(plan) => format!("to {}, {} segments at most", plan.goal, plan.segments),
        None => "what the snapshot itself holds".to_owned(),
    };
    let last = match target.kind {
        Kind::Database(_) => "load",
        Kind::Directory(_) => "export",
    };
    RestorePlan {
        steps: vec![
            step("restore cluster", format!("{bytes} into a folder below {}", scratch.display())),
            step("replay WAL", replay),
            step("extract", format!("{what} of database {database}")),
            step(last, target.location.clone()),
            step("remove", "the restored cluster".to_owned()),
        ],
        findings: plan
            .map(|plan| plan.notes.iter().map(Finding::note).collect())
            .unwrap_or_default(),
        bytes: snapshot.read_bytes,
        ..RestorePlan::default()
    }
}
