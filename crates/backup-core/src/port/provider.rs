//! What is backed up, and what is restored into.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Observer, PartSink, PartSource, RecoverySettings, Replay, Restored, Survey};
use crate::{Error, ErrorKind, Evidence, Finding, Result, Snapshot, SnapshotKind, SourceIdentity};

/// A platform that hosts databases: a server you run, or a vendor.
///
/// Contract: what [`Provider::capabilities`] declares works; what it does not declare fails with
/// `Unsupported` at once, without side effects. `discover` changes nothing. Everything opened
/// here ends its server-side sessions when dropped.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Returns the provider's word in configuration: `postgres`, `neon` …
    fn name(&self) -> &'static str;

    /// Returns what this provider can do.
    fn capabilities(&self) -> &'static [Capability];

    /// Looks at the database without changing anything: what it is, and what can and cannot be
    /// protected.
    async fn discover(&self) -> Result<Discovery>;

    /// Opens the database for one backup.
    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>>;

    /// Opens a place to restore into; writes nothing yet.
    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        let _ = options;
        Err(Error::new(ErrorKind::Unsupported, "open restore target").with("provider", self.name()))
    }

    /// Looks at the database and its server without changing anything, whether there is such a
    /// database or not.
    async fn survey(&self) -> Result<Survey> {
        Err(Error::new(ErrorKind::Unsupported, "survey database").with("provider", self.name()))
    }

    /// Asks the database that `snapshot` was restored into, with these options, for its own
    /// evidence, and compares its schema with the one stored in `parts`. Changes nothing.
    async fn examine(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        options: &RestoreOptions,
    ) -> Result<Restored> {
        let _ = (snapshot, parts, options);
        Err(Error::new(ErrorKind::Unsupported, "examine database").with("provider", self.name()))
    }
}

/// Something a provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Logical backups.
    LogicalBackup,
    /// Restore of logical backups into a new database.
    LogicalRestore,
    /// Physical backups.
    PhysicalBackup,
    /// Restore of physical backups into a directory.
    PhysicalRestore,
    /// Point-in-time recovery.
    PointInTimeRecovery,
    /// Backups of a tree of files, or of a bucket.
    FilesBackup,
    /// Restore of files into a directory, or a bucket.
    FilesRestore,
}

/// What was found at the other end.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Facts about the database.
    pub facts: SourceFacts,
    /// Each check made: what was asked, and what was found.
    pub findings: Vec<Finding>,
}

/// Facts read before anything is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFacts {
    /// Which database this is.
    pub identity: SourceIdentity,
    /// Its name on the server.
    pub database: String,
    /// The server's version, as it prints it.
    pub server_version: String,
    /// How many bytes the copy may take, roughly.
    pub estimated_bytes: u64,
    /// Where it is, for people, without secrets.
    pub location: String,
}

/// How to read a source.
#[derive(Clone)]
pub struct SourceOptions {
    /// Which kind of snapshot.
    pub kind: SnapshotKind,
    /// Parallel readers.
    pub jobs: NonZeroUsize,
    /// Ceiling in bytes per second over all readers.
    pub max_rate: Option<u64>,
    /// How the files of a cluster are read, for physical snapshots.
    pub physical: PhysicalOptions,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// How the files of a cluster are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhysicalOptions {
    /// Where from.
    pub from: PhysicalAccess,
    /// Read everything, even where the server knows what changed since the last snapshot.
    pub full_read: bool,
}

/// Where the files of a cluster are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhysicalAccess {
    /// Out of the data directory where the server runs here and the directory can be read, else
    /// over the replication protocol.
    #[default]
    Auto,
    /// Out of the data directory, or not at all.
    Local,
    /// Over the replication protocol.
    Remote,
}

/// A database opened for one backup: one consistent instant.
#[async_trait]
pub trait Source: Send {
    /// Returns what was read on opening.
    fn facts(&self) -> &SourceFacts;

    /// Returns the instant that the data is from, where that is not the run's: of a copy that was
    /// made earlier.
    fn instant(&self) -> Option<Timestamp> {
        None
    }

    /// Copies every part into `sink` and returns what the server stated. An error means that
    /// nothing may be committed.
    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence>;
}

/// How to restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Parallel writers.
    pub jobs: NonZeroUsize,
    /// Only these tables, as `schema.table` or `table` (empty: all).
    pub tables: Vec<String>,
    /// Only these schemas (empty: all).
    pub schemas: Vec<String>,
    /// Leave ownership to the connecting role.
    pub no_owner: bool,
    /// Leave privileges (GRANT, REVOKE) out.
    pub no_privileges: bool,
    /// Create roles that the snapshot needs and the server lacks (without passwords, unable to
    /// log in).
    pub create_roles: bool,
    /// Restore `OLD` roles' objects and grants as `NEW`'s: pairs of names.
    pub role_map: Vec<(String, String)>,
    /// Leave these extensions out, with the rows of their own tables.
    pub without_extensions: Vec<String>,
    /// Write rows in their original order (slower).
    pub ordered: bool,
    /// How a physical snapshot recovers once it is started.
    pub recovery: RecoverySettings,
    /// Turn the cluster that is in the target directory into the snapshot's, writing only what
    /// differs.
    pub delta: bool,
    /// Put tablespaces elsewhere: pairs of their old and new directories.
    pub tablespaces: Vec<(String, String)>,
    /// What of a tree of files is restored, and how.
    pub files: FileOptions,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// What of a tree of files is restored, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// Only what these paths or patterns name, with everything below (empty: all).
    pub paths: Vec<String>,
    /// With `delta`: remove what the snapshot does not have.
    pub delete: bool,
}

/// A place to restore one snapshot into.
#[async_trait]
pub trait Target: Send {
    /// Returns where it is, for people, without secrets.
    fn location(&self) -> String;

    /// Checks that the restore can work and says what it would do; changes nothing. A target
    /// that is not empty is `Conflict`; missing roles or extensions are named.
    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan>;

    /// Looks closer than `plan`, where only what is stored tells what would be written; changes
    /// nothing. Nothing more to tell, by default.
    async fn preview(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<Option<RestorePlan>> {
        let _ = (snapshot, parts);
        Ok(None)
    }

    /// Carries it out, after `plan`. Any error inside makes the whole restore an error.
    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport>;
}

/// What a restore would do.
#[derive(Clone, Debug, Default)]
pub struct RestorePlan {
    /// Steps in order.
    pub steps: Vec<RestoreStep>,
    /// What to know first.
    pub findings: Vec<Finding>,
    /// Bytes of rows, or of files, that would be written.
    pub bytes: u64,
    /// Tables that would be written.
    pub tables: u64,
    /// Files that would be written.
    pub files: u64,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct RestoreStep {
    /// What: "create database", "load rows".
    pub action: String,
    /// Of what, and why.
    pub detail: String,
}

/// What a restore did.
#[derive(Clone, Debug, Default)]
pub struct RestoreReport {
    /// Tables written.
    pub tables: u64,
    /// Rows written, counted by the server.
    pub rows: u64,
    /// Files written, of a physical snapshot.
    pub files: u64,
    /// Bytes of rows, or of files, written.
    pub bytes: u64,
    /// Seconds by phase, in order.
    pub phases: Vec<(String, f64)>,
    /// How far WAL was replayed, where a server did that.
    pub replay: Option<Replay>,
    /// What to know.
    pub findings: Vec<Finding>,
}
