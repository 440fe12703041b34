//! A backup and a restore in one call each.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::port::{
    NoObserver, PartSource, RestoreOptions, RestoreReport, Source, SourceOptions, Target,
};
use backup_core::{Result, Snapshot, SnapshotId, SnapshotKind, SourceName, WriterId};
use backup_postgres::ConnectOptions;
use backup_postgres::logical::{LogicalSource, LogicalTarget};
use backup_postgres::tools::ToolPaths;
pub(crate) use backup_testkit::MemoryParts;
use backup_testkit::postgres::Cluster;

pub(crate) use crate::compare::{assert_same, dump, dump_contents};

/// A committed snapshot.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) parts: Arc<MemoryParts>,
}

impl Taken {
    pub(crate) fn findings(&self) -> String {
        let findings = self.snapshot.evidence.findings.iter();
        findings.map(|f| format!("{:?}: {}\n", f.kind, f.message)).collect()
    }
}

pub(crate) fn connect(url: &str) -> ConnectOptions {
    ConnectOptions::parse(url).unwrap()
}

/// The programs of these servers, and no others.
pub(crate) fn tools(clusters: &[&Cluster]) -> ToolPaths {
    let folders: Vec<PathBuf> =
        clusters.iter().map(|c| c.bin("pg_dump").parent().unwrap().to_path_buf()).collect();
    ToolPaths::only(folders)
}

pub(crate) fn source_options(jobs: usize) -> SourceOptions {
    SourceOptions {
        kind: SnapshotKind::Logical,
        jobs: NonZeroUsize::new(jobs).unwrap(),
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

pub(crate) fn restore_options(jobs: usize) -> RestoreOptions {
    RestoreOptions {
        jobs: NonZeroUsize::new(jobs).unwrap(),
        tables: Vec::new(),
        schemas: Vec::new(),
        no_owner: false,
        no_privileges: false,
        create_roles: false,
        role_map: Vec::new(),
        without_extensions: Vec::new(),
        ordered: false,
        recovery: <_>::default(),
        delta: false,
        tablespaces: Vec::new(),
        files: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

pub(crate) async fn back_up(url: &str, tools: &ToolPaths, parts: MemoryParts) -> Result<Taken> {
    let mut source = LogicalSource::open(connect(url), tools, &source_options(3)).await?;
    finish(&mut source, parts).await
}

pub(crate) async fn finish(source: &mut LogicalSource, parts: MemoryParts) -> Result<Taken> {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let evidence = source.copy_to(&parts).await?;
    let parts = parts.commit()?;
    let snapshot = Snapshot {
        id: SnapshotId([7; 16]),
        source: SourceName::from_database("test"),
        identity: source.facts().identity.clone(),
        kind: SnapshotKind::Logical,
        sequence: 1,
        previous: None,
        set: None,
        started_at: now,
        finished_at: now,
        writer: WriterId([0; 16]),
        program: "test".to_owned(),
        read_bytes: 0,
        added_bytes: 0,
        stored_bytes: 0,
        parts: parts.list().to_vec(),
        evidence,
    };
    Ok(Taken { snapshot, parts: Arc::new(parts) })
}

pub(crate) async fn restore(
    taken: &Taken,
    url: &str,
    tools: &ToolPaths,
    options: RestoreOptions,
) -> Result<RestoreReport> {
    let mut target = LogicalTarget::new(connect(url), tools.clone(), options);
    target.plan(&taken.snapshot).await?;
    let parts: Arc<dyn PartSource> = Arc::clone(&taken.parts) as Arc<dyn PartSource>;
    target.restore(&taken.snapshot, parts).await
}
