//! Backups from inside another program.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{Clock, NoObserver, Observer, RestoreOptions};
use backup_core::{ErrorKind, Result, Secret, SnapshotKind, SnapshotRecord, SourceName};
use backup_crypto::KeySecret;
use backup_ops::restore::{self, RestoreReceipt};
use backup_ops::verify::{self, Depth, Report, Request};
use backup_ops::{BackupReceipt, BackupRequest, Interrupt, Plausibility, Selector, select};
use backup_postgres::tools::ToolPaths;
use backup_repository::{NewKey, Repository, Settings};
use backup_storage::{CreateIfAbsent, StoreOptions, SystemClock};

use crate::provider::{database_name, provider};
use crate::store::open_store;

/// A repository, open, with everything a backup and a restore need.
///
/// Cheap to clone. Dropping a future that it returned stops the work: sessions on the server
/// end, and nothing half done is committed.
#[derive(Clone)]
pub struct Backup {
    repository: Repository,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    interrupt: Interrupt,
    jobs: NonZeroUsize,
    tools: ToolPaths,
}

impl Backup {
    /// Opens the repository at a store URL; see [`backup_storage::open`] for URLs. Fails with
    /// `StoreUnavailable` when none is there and `WrongKey` when the passphrase opens none of
    /// its keys.
    pub async fn open(repository_url: &str, passphrase: Secret) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let known = CreateIfAbsent::Known(true);
        let options = StoreOptions { create_if_absent: known, ..StoreOptions::default() };
        let store = open_store(repository_url, &options).await?;
        let secret = KeySecret::Passphrase(passphrase);
        let repository =
            Repository::open(store, Arc::clone(&clock), &secret, Settings::default()).await?;
        Ok(Self::with(repository, clock))
    }

    /// Creates a repository at a store URL; opens it if it is there already.
    pub async fn open_or_create(repository_url: &str, passphrase: Secret) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = open_store(repository_url, &StoreOptions::default()).await?;
        let secret = KeySecret::Passphrase(passphrase.clone());
        let key = NewKey { secret, label: "passphrase".into() };
        match Repository::init(store, Arc::clone(&clock), vec![key], Settings::default()).await {
            Ok(repository) => Ok(Self::with(repository, clock)),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                Self::open(repository_url, passphrase).await
            }
            Err(error) => Err(error),
        }
    }

    /// Works on a repository that was opened by other means.
    #[must_use]
    pub fn with(repository: Repository, clock: Arc<dyn Clock>) -> Self {
        Self {
            repository,
            clock,
            observer: Arc::new(NoObserver),
            interrupt: Interrupt::never(),
            jobs: NonZeroUsize::MIN.saturating_add(1),
            tools: ToolPaths::system(),
        }
    }

    /// Tells `observer` what happens from now on.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Stops in an orderly way when `interrupt` is asked to.
    #[must_use]
    pub fn interrupted_by(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Reads and writes with so many connections; two by default.
    #[must_use]
    pub fn jobs(mut self, jobs: NonZeroUsize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Looks for PostgreSQL's client programs there; by default where systems put them.
    #[must_use]
    pub fn with_tools(mut self, tools: ToolPaths) -> Self {
        self.tools = tools;
        self
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Backs up the database at `url` as the source named after it; see [`Self::backup_as`].
    pub async fn backup(&self, url: &str) -> Result<BackupReceipt> {
        self.backup_as(SourceName::from_database(&database_name(url)?), url).await
    }

    /// Backs up the database at `url` as `source`, and checks that what was written is there.
    ///
    /// An error means that nothing was committed. A snapshot that cannot be trusted is
    /// committed as suspect: look at `receipt.record.snapshot.is_suspect()`.
    pub async fn backup_as(&self, source: SourceName, url: &str) -> Result<BackupReceipt> {
        let request = BackupRequest {
            source,
            kind: SnapshotKind::Logical,
            jobs: self.jobs,
            max_rate: None,
            physical: <_>::default(),
            accept_new_identity: false,
            plausibility: Plausibility::default(),
            verify: Depth::Exists,
            set: None,
        };
        let provider = provider(url, &self.tools)?;
        backup_ops::backup(
            &self.repository,
            provider.as_ref(),
            &request,
            &self.clock,
            &self.observer,
            &self.interrupt,
        )
        .await
    }

    /// Returns every snapshot, by source and sequence.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        self.repository.snapshots().await
    }

    /// Restores a snapshot (`latest`, `SOURCE@latest`, or the first digits of an id) into the
    /// database at `target_url`, which is created when missing and refused unless empty.
    pub async fn restore(&self, snapshot: &str, target_url: &str) -> Result<RestoreReceipt> {
        let selector: Selector = snapshot.parse()?;
        let records = self.snapshots().await?;
        let snapshot = &select(&records, &selector)?.snapshot;
        let options = RestoreOptions {
            jobs: self.jobs,
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
            observer: Arc::clone(&self.observer),
        };
        let provider = provider(target_url, &self.tools)?;
        let planned = restore::plan(provider.as_ref(), snapshot, &options, &self.interrupt).await?;
        planned.execute(&self.repository, &self.clock, &self.observer, &self.interrupt).await
    }

    /// Verifies every snapshot to a depth and records what was proved. Damage is in the report.
    pub async fn verify(&self, depth: Depth) -> Result<Report> {
        let request = Request { snapshots: Vec::new(), depth };
        verify::verify(&self.repository, &request, &self.clock, &self.observer, &self.interrupt)
            .await
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("repository", &self.repository).finish_non_exhaustive()
    }
}
