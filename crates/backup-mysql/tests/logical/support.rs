//! One backup and one restore, in memory.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{
    NoObserver, PartSource, RestoreOptions, RestoreReport, Source, SourceOptions, Target,
};
use backup_core::{Evidence, Result, Snapshot, SnapshotId, SnapshotKind, SourceIdentity, WriterId};
use backup_mysql::ConnectOptions;
use backup_mysql::logical::{LogicalSource, LogicalTarget};
use backup_testkit::MemoryParts;
use backup_testkit::mariadb::MariaDb;

pub(crate) const FIXTURE: &str = include_str!("fixture.sql");

/// A database `shop` with the fixture.
pub(crate) fn shop(server: &MariaDb) {
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    server.sql("shop", FIXTURE);
}

pub(crate) fn connect(server: &MariaDb, database: &str) -> ConnectOptions {
    ConnectOptions::parse(&server.url(database)).unwrap()
}

pub(crate) fn source_options() -> SourceOptions {
    SourceOptions {
        kind: SnapshotKind::Logical,
        jobs: NonZeroUsize::new(3).unwrap(),
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

pub(crate) fn restore_options() -> RestoreOptions {
    RestoreOptions {
        jobs: NonZeroUsize::new(3).unwrap(),
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

/// A snapshot that was taken, and what it holds.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) parts: Arc<MemoryParts>,
}

pub(crate) async fn back_up(connect: &ConnectOptions) -> Result<Taken> {
    let source = LogicalSource::open(connect.clone(), &source_options()).await?;
    take(source, MemoryParts::default()).await
}

pub(crate) async fn take(mut source: LogicalSource, sink: MemoryParts) -> Result<Taken> {
    let identity = source.facts().identity.clone();
    let evidence = source.copy_to(&sink).await?;
    let parts = Arc::new(sink.commit()?);
    Ok(Taken { snapshot: snapshot(identity, evidence, &parts), parts })
}

fn snapshot(identity: SourceIdentity, evidence: Evidence, parts: &MemoryParts) -> Snapshot {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    Snapshot {
        id: SnapshotId([7; 16]),
        source: "shop".parse().unwrap(),
        identity,
        kind: SnapshotKind::Logical,
        sequence: 1,
        previous: None,
        set: None,
        started_at: now,
        finished_at: now,
        writer: WriterId([1; 16]),
        program: "test".into(),
        read_bytes: 0,
        added_bytes: 0,
        stored_bytes: 0,
        parts: parts.list().to_vec(),
        evidence,
    }
}

pub(crate) async fn restore(taken: &Taken, to: &ConnectOptions) -> Result<RestoreReport> {
    restore_with(taken, to, restore_options()).await
}

pub(crate) async fn restore_with(
    taken: &Taken,
    to: &ConnectOptions,
    options: RestoreOptions,
) -> Result<RestoreReport> {
    let mut target = LogicalTarget::new(to.clone(), options);
    target.plan(&taken.snapshot).await?;
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    target.restore(&taken.snapshot, parts).await
}

/// Two databases are the same by the word of a tool that shares no code with ours.
pub(crate) fn same_dump(server: &MariaDb, one: &str, other: &str) {
    // Defaults that take from a sequence name their database.
    let is =
        server.dump(other).replace(&format!("nextval(`{other}`."), &format!("nextval(`{one}`."));
    let was = server.dump(one);
    for (one, other) in was.lines().zip(is.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(was.len(), is.len());
}

/// A sink that does something once, when a part begins.
pub(crate) struct Hooked {
    inner: MemoryParts,
    part: &'static str,
    hook: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Hooked {
    pub(crate) fn new(
        inner: MemoryParts,
        part: &'static str,
        hook: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self { inner, part, hook: std::sync::Mutex::new(Some(Box::new(hook))) }
    }
}

#[async_trait::async_trait]
impl backup_core::port::PartSink for Hooked {
    fn previous(&self, name: &backup_core::PartName) -> Option<backup_core::Part> {
        self.inner.previous(name)
    }

    async fn begin_part(
        &self,
        name: &backup_core::PartName,
        layout: backup_core::Layout,
    ) -> Result<()> {
        if name.as_str() == self.part
            && let Some(hook) = self.hook.lock().unwrap().take()
        {
            hook();
        }
        self.inner.begin_part(name, layout).await
    }

    async fn segment(
        &self,
        part: &backup_core::PartName,
        address: u64,
    ) -> Result<Box<dyn backup_core::port::SegmentSink>> {
        self.inner.segment(part, address).await
    }

    async fn finish_part(
        &self,
        name: &backup_core::PartName,
        attributes: std::collections::BTreeMap<String, String>,
    ) -> Result<()> {
        self.inner.finish_part(name, attributes).await
    }

    async fn start_over(&self) -> Result<()> {
        self.inner.start_over().await
    }
}

pub(crate) async fn take_hooked(mut source: LogicalSource, sink: Hooked) -> Result<Taken> {
    let identity = source.facts().identity.clone();
    let evidence = source.copy_to(&sink).await?;
    let parts = Arc::new(sink.inner.commit()?);
    Ok(Taken { snapshot: snapshot(identity, evidence, &parts), parts })
}
