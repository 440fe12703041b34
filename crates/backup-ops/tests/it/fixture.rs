//! A database in memory, behind the real port, and a repository in memory.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{
    Capability, Clock, Discovery, NoObserver, Observer, PartSink, PartSource, Provider,
    RestoreOptions, RestorePlan, RestoreReport, Source, SourceFacts, SourceOptions, Store, Target,
};
use backup_core::{
    Error, ErrorKind, Evidence, Layout, PartName, Result, Secret, Snapshot, SnapshotKind,
    SourceIdentity, TableEvidence,
};
use backup_crypto::KeySecret;
use backup_ops::{BackupReceipt, BackupRequest, Depth, Interrupt, Plausibility};
use backup_repository::{NewKey, Repository, Settings};
use backup_testkit::{FakeClock, MemoryStore};
use futures::TryStreamExt;

/// Rows by table.
pub(crate) type Tables = BTreeMap<String, Vec<String>>;

/// A server with one database.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) tables: Arc<Mutex<Tables>>,
    pub(crate) system: String,
    /// After so many tables the connection is lost.
    pub(crate) breaks_after: Option<usize>,
    /// After so many tables nothing comes any more.
    pub(crate) hangs_after: Option<usize>,
}

impl Server {
    pub(crate) fn new(tables: Tables) -> Self {
        Self {
            tables: Arc::new(Mutex::new(tables)),
            system: "7301".into(),
            breaks_after: None,
            hangs_after: None,
        }
    }

    pub(crate) fn tables(&self) -> Tables {
        self.tables.lock().unwrap().clone()
    }

    fn facts(&self) -> SourceFacts {
        SourceFacts {
            identity: SourceIdentity {
                engine: "memory".into(),
                system: self.system.clone(),
                database: "5".into(),
            },
            database: "shop".into(),
            server_version: "1.0".into(),
            estimated_bytes: 1000,
            location: "memory".into(),
        }
    }
}

#[async_trait]
impl Provider for Server {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup, Capability::LogicalRestore]
    }

    async fn discover(&self) -> Result<Discovery> {
        Ok(Discovery { facts: self.facts(), findings: Vec::new() })
    }

    async fn open_source(&self, _options: &SourceOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(Opened { server: self.clone(), facts: self.facts() }))
    }

    async fn open_target(&self, _options: &RestoreOptions) -> Result<Box<dyn Target>> {
        Ok(Box::new(Place(self.clone())))
    }
}

struct Opened {
    server: Server,
    facts: SourceFacts,
}

#[async_trait]
impl Source for Opened {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let mut evidence = Evidence::default();
        for (position, (name, rows)) in self.server.tables().iter().enumerate() {
            if self.server.breaks_after == Some(position) {
                return Err(Error::new(ErrorKind::SourceUnavailable, "read rows")
                    .hint("Look at the server's log."));
            }
            if self.server.hangs_after == Some(position) {
                std::future::pending::<()>().await;
            }
            let part = PartName::new(format!("table/public.{name}"));
            sink.begin_part(&part, Layout::Segments).await?;
            let mut bytes = 0;
            for (address, rows) in rows.chunks(50).enumerate() {
                let mut segment = sink.segment(&part, address as u64).await?;
                for row in rows {
                    segment.write(format!("{row}\n").as_bytes()).await?;
                    bytes += row.len() as u64 + 1;
                }
                segment.finish().await?;
            }
            sink.finish_part(&part, BTreeMap::new()).await?;
            evidence.tables.push(TableEvidence {
                schema: "public".into(),
                name: name.clone(),
                rows: rows.len() as u64,
                bytes,
                ..TableEvidence::default()
            });
        }
        Ok(evidence)
    }
}

struct Place(Server);

#[async_trait]
impl Target for Place {
    fn location(&self) -> String {
        "memory".into()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        if !self.0.tables().is_empty() {
            return Err(Error::new(ErrorKind::Conflict, "open restore target"));
        }
        Ok(RestorePlan { tables: snapshot.parts.len() as u64, ..RestorePlan::default() })
    }

    async fn restore(
        &mut self,
        _snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let mut report = RestoreReport::default();
        for part in parts.parts() {
            let mut bytes = Vec::new();
            for position in 0..parts.segments(&part.name).await?.len() {
                let mut stream = parts.read(&part.name, position).await?;
                while let Some(piece) = stream.try_next().await? {
                    bytes.extend_from_slice(&piece);
                }
            }
            let text = String::from_utf8(bytes).unwrap();
            let rows: Vec<String> = text.lines().map(str::to_owned).collect();
            report.rows += rows.len() as u64;
            let name = part.name.as_str().trim_start_matches("table/public.").to_owned();
            self.0.tables.lock().unwrap().insert(name, rows);
        }
        report.tables = parts.parts().len() as u64;
        Ok(report)
    }
}

/// Three tables; `day` changes some rows and adds others.
pub(crate) fn tables(day: usize) -> Tables {
    let rows = |name: &str, count: usize| {
        (0..count + day)
            .map(|row| {
                let touched = if row % 40 == day { day } else { 0 };
                format!("{row}\t{name}\tversion {touched}\t{}", "x".repeat(row % 60))
            })
            .collect::<Vec<_>>()
    };
    ["orders", "people", "stock"]
        .iter()
        .enumerate()
        .map(|(size, name)| ((*name).to_owned(), rows(name, 60 + size * 90)))
        .collect()
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(FakeClock::new("2026-03-01T02:00:00Z".parse().unwrap()))
}

pub(crate) fn observer() -> Arc<dyn Observer> {
    Arc::new(NoObserver)
}

pub(crate) fn secret() -> KeySecret {
    static SECRET: std::sync::OnceLock<Secret> = std::sync::OnceLock::new();
    KeySecret::KeyFile(SECRET.get_or_init(|| backup_crypto::generate_key_file().unwrap()).clone())
}

/// Small packs, so that a small database makes many calls.
pub(crate) fn settings() -> Settings {
    Settings { pack_bytes: 4 << 10, workers: NonZeroUsize::MIN, ..Settings::default() }
}

/// A store with an empty repository in it.
pub(crate) async fn initialized() -> MemoryStore {
    let store = MemoryStore::new().near();
    let key = NewKey { secret: secret(), label: "test".into() };
    Repository::init(Arc::new(store.clone()), clock(), vec![key], settings()).await.unwrap();
    store
}

pub(crate) async fn open(store: impl Store + 'static) -> Result<Repository> {
    open_in(Arc::new(store)).await
}

pub(crate) async fn open_in(store: Arc<dyn Store>) -> Result<Repository> {
    Repository::open(store, clock(), &secret(), settings()).await
}

pub(crate) fn request() -> BackupRequest {
    BackupRequest {
        source: "shop".parse().unwrap(),
        kind: SnapshotKind::Logical,
        jobs: NonZeroUsize::MIN,
        max_rate: None,
        physical: <_>::default(),
        accept_new_identity: false,
        plausibility: Plausibility { many_rows: 50, ..Plausibility::default() },
        verify: Depth::Exists,
        set: None,
    }
}

pub(crate) async fn back_up(
    repository: &Repository,
    server: &Server,
    request: &BackupRequest,
) -> Result<BackupReceipt> {
    backup_ops::backup(repository, server, request, &clock(), &observer(), &Interrupt::never())
        .await
}

/// Restores a snapshot into an empty server and returns what is there then.
pub(crate) async fn restored(repository: &Repository, snapshot: &Snapshot) -> Result<Tables> {
    let mut target = Server::new(Tables::new());
    target.system = "another".into();
    let options = RestoreOptions {
        jobs: NonZeroUsize::MIN,
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
        observer: observer(),
    };
    let never = Interrupt::never();
    backup_ops::restore::plan(&target, snapshot, &options, &never)
        .await?
        .execute(repository, &clock(), &observer(), &never)
        .await?;
    Ok(target.tables())
}
