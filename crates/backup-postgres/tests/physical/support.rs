//! What the tests share.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use backup_core::port::{
    NoObserver, RecoverySettings, RestoreOptions, Source, SourceOptions, Target,
};
use backup_core::{Evidence, Result, Snapshot, SnapshotId, SnapshotKind, SourceIdentity, WriterId};
use backup_postgres::ConnectOptions;
use backup_postgres::physical::{Access, DirectoryTarget, PhysicalSource};
use backup_testkit::postgres::Cluster;

use backup_testkit::MemoryParts;

/// The majors that differ in what a base backup is (old form, new form, manifest version 2), and one
/// more; 17 is read by changes in tests of its own.
pub(crate) fn majors() -> Vec<u32> {
    let here = Cluster::majors();
    let mut wanted = vec![14, 15, 16, 18];
    wanted.retain(|major| here.contains(major));
    if wanted.is_empty() { vec![15] } else { wanted }
}

/// One of them.
pub(crate) fn one() -> u32 {
    majors().last().copied().unwrap_or(15)
}

pub(crate) fn source_options() -> SourceOptions {
    SourceOptions {
        kind: SnapshotKind::Physical,
        jobs: NonZeroUsize::new(2).unwrap(),
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

/// A snapshot in memory.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) parts: Arc<MemoryParts>,
}

pub(crate) async fn take(url: &str) -> Result<Taken> {
    take_by(url, Access::Remote).await
}

pub(crate) async fn take_by(url: &str, access: Access) -> Result<Taken> {
    take_into(url, access, MemoryParts::default()).await
}

/// Takes a snapshot that may take over what an earlier one has.
pub(crate) async fn take_on(url: &str, access: Access, base: &Taken) -> Result<Taken> {
    take_into(url, access, MemoryParts::on(&base.snapshot, &base.parts)).await
}

async fn take_into(url: &str, access: Access, parts: MemoryParts) -> Result<Taken> {
    let connect = ConnectOptions::parse(url)?;
    let source = PhysicalSource::open(connect, &source_options()).await?;
    let mut source = source.with_access(access);
    let evidence = source.copy_to(&parts).await?;
    let identity = source.facts().identity.clone();
    let parts = parts.commit()?;
    Ok(Taken { snapshot: snapshot(identity, evidence, &parts), parts: Arc::new(parts) })
}

fn snapshot(identity: SourceIdentity, evidence: Evidence, parts: &MemoryParts) -> Snapshot {
    Snapshot {
        id: SnapshotId([7; 16]),
        source: "cluster".parse().unwrap(),
        identity,
        kind: SnapshotKind::Physical,
        sequence: 1,
        previous: None,
        set: None,
        started_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        finished_at: "2026-01-01T00:00:01Z".parse().unwrap(),
        writer: WriterId([1; 16]),
        program: "test".to_owned(),
        read_bytes: parts.list().iter().map(|part| part.bytes).sum(),
        added_bytes: 0,
        stored_bytes: 0,
        parts: parts.list().to_vec(),
        evidence,
    }
}

pub(crate) fn restore_options() -> RestoreOptions {
    RestoreOptions {
        jobs: NonZeroUsize::new(2).unwrap(),
        tables: Vec::new(),
        schemas: Vec::new(),
        no_owner: false,
        no_privileges: false,
        create_roles: false,
        role_map: Vec::new(),
        without_extensions: Vec::new(),
        ordered: false,
        recovery: RecoverySettings::default(),
        delta: false,
        tablespaces: Vec::new(),
        files: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

pub(crate) async fn restore(
    taken: &Taken,
    directory: &Path,
    options: RestoreOptions,
) -> Result<backup_core::port::RestoreReport> {
    let mut target = DirectoryTarget::new(directory, options);
    target.plan(&taken.snapshot).await?;
    target.restore(&taken.snapshot, taken.parts.clone()).await
}

/// Runs one of PostgreSQL's programs on a directory; returns what it printed.
#[track_caller]
pub(crate) fn program(cluster: &Cluster, name: &str, words: &[&str]) -> String {
    let output = cluster.command(name).args(words).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{name} {words:?}: {text}");
    text
}

/// Starts a server on a copy of a restored directory.
pub(crate) fn start(major: u32, restored: &Path) -> io::Result<Cluster> {
    Cluster::builder(major).try_start_from(|data| {
        let mut copy = Command::new("cp");
        assert!(copy.arg("-a").arg(restored).arg(data).status()?.success());
        Ok(())
    })
}

/// Writes without pause until it is dropped.
pub(crate) struct Load(Child);

impl Load {
    pub(crate) fn begin(cluster: &Cluster, database: &str) -> Self {
        program(cluster, "pgbench", &["-i", "-s", "2", "-q", database]);
        let mut pgbench = cluster.command("pgbench");
        pgbench.args(["-n", "-c", "2", "-T", "600", database]);
        Self(pgbench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn dump(cluster: &Cluster, database: &str) -> String {
    let text = program(cluster, "pg_dump", &["--no-sync", database]);
    // A key against injection, new at every run of recent minors.
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .fold(String::new(), |text, line| text + line + "\n")
}
