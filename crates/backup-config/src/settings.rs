//! The configuration, resolved: what the program goes by.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use backup_core::port::PhysicalOptions;
use backup_core::{ByteSize, Error, ErrorKind, Result, SnapshotKind, SourceName, VerifyLevel};
use backup_retention::{Period, Policy};
use backup_schedule::{Blackouts, Retry};
use jiff::tz::TimeZone;

use crate::group::GroupSettings;
use crate::nearest::nearest;
use crate::{
    Cron, DeltaMode, DrillEvery, DrillPoint, HookMoment, NotifySettings, ProviderKind, SecretRef,
};

/// Everything that was configured, from flags, environment and file. Secrets are references;
/// `Debug` shows none.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The repository, if one was named.
    pub repository: Option<RepositorySettings>,
    /// The sources, by name in the order of the file.
    pub sources: Vec<SourceSettings>,
    /// Sources that are one recovery set, in the order of the file.
    pub groups: Vec<GroupSettings>,
    /// Who is told.
    pub notify: Vec<NotifySettings>,
    /// Where days begin.
    pub zone: TimeZone,
    /// How space is reclaimed.
    pub prune: PruneSettings,
    /// What is called before and after backups.
    pub hooks: Vec<HookSettings>,
    /// How the daemon runs.
    pub daemon: DaemonSettings,
    /// What a person should know about the configuration, a sentence each; no secrets.
    pub notes: Vec<String>,
}

/// The repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySettings {
    /// Where it is; holds no keys.
    pub url: String,
    /// What opens it, in order of preference.
    pub keys: Vec<KeyRef>,
    /// Whether changed chunks are stored as deltas.
    pub delta: DeltaMode,
    /// A request that makes no progress for so long is repeated; absent: the store's default.
    pub timeout: Option<Period>,
    /// Attempts for one request.
    pub attempts: Option<u32>,
    /// Requests at the same time.
    pub max_requests: Option<NonZeroUsize>,
    /// Bytes per second written.
    pub upload_rate: Option<ByteSize>,
    /// Bytes per second read.
    pub download_rate: Option<ByteSize>,
    /// Whether reads are cheap and fast.
    pub near: Option<bool>,
    /// Region where the URL names none.
    pub region: Option<String>,
    /// Endpoint where the URL names none.
    pub endpoint: Option<String>,
    /// Certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Keys of the object store; absent: the AWS chain.
    pub credentials: Option<CredentialSettings>,
    /// What opens Azure Blob; absent: Azure's chain.
    pub azure: AzureSettings,
}

/// What opens a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// The text of a key file.
    KeyFile(SecretRef),
    /// A passphrase.
    Passphrase(SecretRef),
}

impl KeyRef {
    /// Returns the secret's reference.
    #[must_use]
    pub fn secret(&self) -> &SecretRef {
        match self {
            Self::KeyFile(secret) | Self::Passphrase(secret) => secret,
        }
    }
}

/// Keys of the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSettings {
    /// The access key id; not secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretRef,
    /// The session token of temporary keys.
    pub session_token: Option<SecretRef>,
}

/// What opens Azure Blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzureSettings {
    /// The storage account, where the URL names none.
    pub account: Option<String>,
    /// The account's key.
    pub key: Option<SecretRef>,
    /// A shared access signature; beats the key.
    pub sas_token: Option<SecretRef>,
}

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSettings {
    /// Its name in the repository.
    pub name: SourceName,
    /// Who hosts it: as stated, else by the URL's scheme; `postgres` where the URL cannot be read
    /// yet (an unset variable, a command).
    pub provider: ProviderKind,
    /// Its connection URL.
    pub url: SecretRef,
    /// How it is copied.
    pub mode: SnapshotKind,
    /// Parallel readers; absent: by the machine.
    pub jobs: Option<NonZeroUsize>,
    /// Bytes per second read from it.
    pub max_rate: Option<ByteSize>,
    /// Where the files of a cluster are read, and how much of them.
    pub physical: PhysicalOptions,
    /// Whether the accounts and grants of a MySQL server are kept too.
    pub users: bool,
    /// What is kept.
    pub retention: Policy,
    /// How far back any moment stays within reach, where WAL is stored.
    pub wal_window: Period,
    /// When it counts as protected.
    pub protection: Protection,
    /// When things run.
    pub schedule: Schedule,
    /// How restores of it behave.
    pub restore: RestorePreferences,
    /// How its drills are held.
    pub drill: DrillSettings,
    /// How its write-ahead log is received by the daemon; absent: not at all.
    pub wal: Option<WalSettings>,
    /// Its project at Neon.
    pub neon: Option<NeonSettings>,
    /// Its database at PlanetScale.
    pub planetscale: Option<PlanetscaleSettings>,
    /// Its project at Supabase.
    pub supabase: Option<SupabaseSettings>,
    /// Its service at Railway.
    pub railway: Option<RailwaySettings>,
    /// What of a tree of files is read; absent for databases.
    pub files: Option<FilesSettings>,
    /// What its provider's control plane is used for.
    pub native: NativeSettings,
}

/// What of a tree of files is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSettings {
    /// Only what these patterns name; empty: all.
    pub include: Vec<String>,
    /// What these patterns name is left out.
    pub exclude: Vec<String>,
    /// Names of files that keep the contents of their directory out.
    pub markers: Vec<String>,
    /// Whether other file systems are left out.
    pub one_file_system: bool,
    /// What names the machine; absent: its host name.
    pub host: Option<String>,
    /// Whether a snapshot counts although files could not be read.
    pub allow_unreadable: bool,
    /// Whether a snapshot counts although files changed each time they were read, or many entries
    /// went meanwhile.
    pub allow_changing: bool,
    /// How a bucket is reached, where the source is one.
    pub bucket: BucketSettings,
}

/// How a bucket of files is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Its keys; absent: the AWS chain.
    pub credentials: Option<CredentialSettings>,
    /// What opens it at Azure.
    pub azure: AzureSettings,
    /// Region, where the URL names none.
    pub region: Option<String>,
    /// Endpoint, where the URL names none.
    pub endpoint: Option<String>,
    /// PEM file of authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Requests at the same time.
    pub max_requests: Option<NonZeroUsize>,
}

/// When a source counts as protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// How old its newest snapshot may be.
    pub rpo: Period,
    /// How far that must be proved.
    pub level: VerifyLevel,
    /// How long ago the last drill may be; absent: no drill needed.
    pub drill_interval: Option<Period>,
    /// Nobody stated that interval, it follows from the schedule: until the first drill a source
    /// waits for it and is not late.
    pub drill_awaited: bool,
}

impl Default for Protection {
    /// Read back within 26 hours: a nightly backup with two hours to spare.
    fn default() -> Self {
        Self {
            rpo: Period::from_hours(26),
            level: VerifyLevel::Read,
            drill_interval: None,
            drill_awaited: false,
        }
    }
}

/// When things run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Backups.
    pub backup: Option<Cron>,
    /// Verification.
    pub verify: Option<Cron>,
    /// Drills.
    pub drill: Option<Cron>,
    /// Drills of a cluster at a point in time; none where it is not copied physically.
    pub point_drill: Option<Cron>,
    /// Drills from nothing but the repository and a recovery key.
    pub disaster_drill: Option<Cron>,
    /// Forgetting by the retention policy; absent: after each good backup.
    pub forget: Option<Cron>,
    /// Each job starts later by a share of this.
    pub jitter: Period,
    /// When nothing starts by itself.
    pub blackouts: Blackouts,
    /// Whether what was missed is not made up for.
    pub no_catch_up: bool,
}

/// How the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Where it serves HTTP.
    pub listen: String,
    /// Its directory; absent: where the system keeps such things.
    pub state: Option<PathBuf>,
    /// Jobs at the same time.
    pub concurrency: NonZeroUsize,
    /// A run in which nothing moves for so long is ended.
    pub stall_timeout: Period,
    /// How long runs have to stop.
    pub stop_timeout: Period,
    /// How failed jobs are tried again.
    pub retry: Retry,
    /// How long runs are remembered.
    pub keep_runs: Period,
    /// What encrypts HTTP; absent: nothing.
    pub tls: Option<TlsPaths>,
    /// Names by which browsers may call it.
    pub hosts: Vec<String>,
    /// Whether runs are started and cancelled without a token on loopback.
    pub open_writes: bool,
}

/// Where certificate and key are, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPaths {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8420".into(),
            state: None,
            concurrency: NonZeroUsize::MIN.saturating_add(1),
            stall_timeout: Period::from_secs(30 * 60),
            stop_timeout: Period::from_secs(60),
            retry: Retry::default(),
            keep_runs: Period::from_days(400),
            tls: None,
            hosts: Vec::new(),
            open_writes: false,
        }
    }
}

/// What is called before and after backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// When.
    pub moment: HookMoment,
    /// Only for these sources; empty: all.
    pub sources: Vec<SourceName>,
    /// What.
    pub action: HookAction,
    /// How long it may take.
    pub timeout: Period,
    /// Whether a backup does not start when it fails before.
    pub required: bool,
}

/// What a hook calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAction {
    /// A program with its arguments.
    Command(Vec<String>),
    /// A URL, with the secret that signs.
    Post {
        /// Where to.
        url: SecretRef,
        /// What signs.
        secret: Option<SecretRef>,
    },
}

/// How restores behave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorePreferences {
    /// Parallel writers; absent: by the machine.
    pub jobs: Option<NonZeroUsize>,
    /// Leave ownership to the connecting role.
    pub no_owner: bool,
    /// Leave privileges out.
    pub no_privileges: bool,
    /// Create missing roles.
    pub create_roles: bool,
    /// Roles of the snapshot and their names in the target.
    pub role_map: Vec<(String, String)>,
}

/// How drills are held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrillSettings {
    /// How often; absent: nobody asked for drills.
    pub every: Option<DrillEvery>,
    /// How often from nothing but the repository and a recovery key.
    pub disaster: Option<DrillEvery>,
    /// Where drills to a point in time lead.
    pub point: DrillPoint,
    /// The recovery sheet or key of drills from nothing else; absent where none are held.
    pub sheet: Option<SecretRef>,
    /// How long a restore may take until the database answers.
    pub rto: Option<Period>,
    /// The server to restore to; absent: one started on this machine.
    pub to: Option<SecretRef>,
    /// A command that tries the restored database.
    pub smoke: Option<String>,
    /// How long it may take.
    pub smoke_timeout: Option<Period>,
    /// How long one question may take.
    pub question_timeout: Option<Period>,
    /// Questions of one's own.
    pub asserts: Vec<AssertSettings>,
}

/// A question of one's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssertSettings {
    /// What it is about.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// The value, as a server prints it.
    pub equals: Option<String>,
    /// How far a number may be from it.
    pub tolerance: f64,
    /// The least number.
    pub at_least: Option<f64>,
    /// The greatest number.
    pub at_most: Option<f64>,
    /// How long before the snapshot the time that is returned may lie.
    pub younger_than: Option<Period>,
}

/// How write-ahead log is received as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalSettings {
    /// The replication slot; absent: named after the source.
    pub slot: Option<String>,
    /// How often a segment that grows is stored.
    pub flush: Period,
    /// How far behind receiving may be.
    pub max_lag: Period,
}

/// What a provider's control plane is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeSettings {
    /// Whether a frozen copy is dumped instead of the database itself, where the provider can.
    pub freeze: bool,
    /// How old a provider snapshot may be that is read instead of a new one; absent: a new one is
    /// taken.
    pub reuse: Option<Period>,
    /// When the daemon has the provider take a snapshot.
    pub schedule: Option<Cron>,
    /// Which provider snapshots of ours are kept; absent: all, until they expire.
    pub retention: Option<Policy>,
    /// How long the provider keeps a snapshot of ours, where it heeds an expiry.
    pub keep_for: Period,
    /// How old the newest snapshot may be, those that the provider keeps counted in.
    pub rpo: Option<Period>,
}

impl Default for NativeSettings {
    /// Frozen copies; provider snapshots of a week.
    fn default() -> Self {
        Self {
            freeze: true,
            reuse: None,
            schedule: None,
            retention: None,
            keep_for: Period::from_days(7),
            rpo: None,
        }
    }
}

/// A database at PlanetScale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanetscaleSettings {
    /// The service token's id.
    pub token_id: Option<String>,
    /// The service token.
    pub token: Option<SecretRef>,
    /// The organization.
    pub organization: Option<String>,
    /// The database, as PlanetScale calls it.
    pub database: Option<String>,
    /// The branch; absent: the default one.
    pub branch: Option<String>,
    /// The size of clusters that restores make; absent: the source's own.
    pub cluster_size: Option<String>,
    /// The API's address; absent: PlanetScale's own.
    pub api_url: Option<String>,
}

/// A project at Supabase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupabaseSettings {
    /// Access token.
    pub access_token: Option<SecretRef>,
    /// The project's ref; absent: as the database's URL says it.
    pub project_ref: Option<String>,
    /// The API's address; absent: Supabase's own.
    pub api_url: Option<String>,
}

/// A service at Railway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RailwaySettings {
    /// Token of an account or a workspace.
    pub api_token: Option<SecretRef>,
    /// Token of one environment of one project.
    pub project_token: Option<SecretRef>,
    /// Project id; a project token tells it.
    pub project_id: Option<String>,
    /// Environment id; a project token tells it.
    pub environment_id: Option<String>,
    /// Name or id of the database's service; absent: the only one that runs PostgreSQL.
    pub service: Option<String>,
    /// Where the service's image archives its WAL, as a store's URL.
    pub wal_archive: Option<String>,
    /// The API's address; absent: Railway's own.
    pub api_url: Option<String>,
    /// Whether this process runs at Railway.
    pub inside: bool,
}

/// A project at Neon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeonSettings {
    /// API key.
    pub api_key: Option<SecretRef>,
    /// Project id.
    pub project_id: Option<String>,
    /// The API's address; absent: Neon's own.
    pub api_url: Option<String>,
}

/// How space is reclaimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneSettings {
    /// How long packs stay marked before they are deleted.
    pub grace: Period,
    /// When pruning runs.
    pub schedule: Option<Cron>,
}

impl Default for PruneSettings {
    /// A day of grace, no schedule.
    fn default() -> Self {
        Self { grace: Period::from_hours(24), schedule: None }
    }
}

impl Settings {
    /// Returns the repository; without one the error says how to name it.
    pub fn repository(&self) -> Result<&RepositorySettings> {
        self.repository.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "find repository")
                .because("none is configured")
                .hint(
                    "Set BACKUP_REPOSITORY to file:///path or s3://bucket/prefix, or write \
                     repository.url into backup.toml.",
                )
        })
    }

    /// Returns the sources of these names, in their order; all when none is named. An unknown
    /// name is `NotFound` and suggests the nearest; no source at all is `ConfigInvalid`.
    pub fn select(&self, names: &[String]) -> Result<Vec<&SourceSettings>> {
        if self.sources.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "find sources")
                .because("none is configured")
                .hint("Set DATABASE_URL, or write a [[source]] into backup.toml."));
        }
        if names.is_empty() {
            return Ok(self.sources.iter().collect());
        }
        names.iter().map(|name| self.source(name)).collect()
    }

    /// Returns the source of that name; an unknown one is `NotFound` and suggests the nearest.
    pub fn source(&self, name: &str) -> Result<&SourceSettings> {
        self.sources.iter().find(|source| source.name.as_str() == name).ok_or_else(|| {
            let known: Vec<&str> = self.sources.iter().map(|s| s.name.as_str()).collect();
            unknown_source(ErrorKind::NotFound, name, &known)
        })
    }
}

impl RepositorySettings {
    /// Returns the preferred key; without one the error says how to give it.
    pub fn key(&self) -> Result<&KeyRef> {
        self.keys.first().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "find key of repository")
                .because("neither passphrase nor key file is configured")
                .hint(
                    "Set BACKUP_PASSPHRASE, BACKUP_PASSPHRASE_FILE, BACKUP_PASSPHRASE_COMMAND or \
                     BACKUP_KEY_FILE.",
                )
        })
    }
}

pub(crate) fn unknown_source(kind: ErrorKind, name: &str, known: &[&str]) -> Error {
    let meant = nearest(name, known.iter().copied())
        .map(|name| format!("Did you mean '{name}'? "))
        .unwrap_or_default();
    Error::new(kind, "find source")
        .with("source", name.escape_debug())
        .hint(format!("{meant}Configured are {}.", known.join(", ")))
}
