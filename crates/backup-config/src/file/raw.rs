//! The file as it is written. The comments here are the reference in
//! `docs/configuration.md` and the descriptions in the JSON Schema.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use backup_core::port::PhysicalAccess;
use backup_core::{ByteSize, Severity, SnapshotKind, SourceName, VerifyLevel};
use backup_retention::{Period, Policy};
use backup_schedule::Blackout;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::group::RawGroup;
use super::text::{Hidden, Patience, Text};
use crate::{Cron, DeltaMode, DrillEvery, DrillPoint, HookMoment, NotifyKind, ProviderKind};

/// Settings of backupctl and backupd.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "backup.toml")]
pub(crate) struct RawFile {
    /// Where days begin, for retention and schedules; default `UTC`.
    pub(crate) zone: Option<Text<TimeZone>>,
    /// Where snapshots are kept.
    pub(crate) repository: RawRepository,
    /// How sources are read, unless a source says otherwise.
    pub(crate) backup: RawBackup,
    /// What is kept, unless a source says otherwise.
    pub(crate) retention: RawRetention,
    /// When a source counts as protected, unless a source says otherwise.
    pub(crate) protection: RawProtection,
    /// When things run, unless a source says otherwise.
    pub(crate) schedule: RawSchedule,
    /// How restores behave, unless a source says otherwise.
    pub(crate) restore: RawRestore,
    /// How drills are held, unless a source says otherwise.
    pub(crate) drill: RawDrill,
    /// How write-ahead log is received, unless a source says otherwise.
    pub(crate) wal: RawWal,
    /// How space is reclaimed.
    pub(crate) prune: RawPrune,
    /// What is backed up; one table each.
    pub(crate) source: Vec<RawSource>,
    /// Sources that are one recovery set; one table each.
    pub(crate) group: Vec<RawGroup>,
    /// Who is told; one table each.
    pub(crate) notify: Vec<RawNotify>,
    /// What is called before and after backups; one table each.
    pub(crate) hook: Vec<RawHook>,
    /// How backupd runs.
    pub(crate) daemon: RawDaemon,
}

/// The repository.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRepository {
    /// `file:///path`, `s3://bucket/prefix?endpoint=…&region=…`, `azure://container/prefix?account=…`,
    /// `gs://bucket/prefix` or `sftp://user@host/path`, without keys.
    pub(crate) url: Option<String>,
    /// The passphrase that opens the repository.
    pub(crate) passphrase: Option<Hidden>,
    /// The key file that opens the repository, as a rule `file:/path`.
    pub(crate) key: Option<Hidden>,
    /// Whether changed chunks are stored as deltas: `auto`, `on` or `off`; default `auto`.
    pub(crate) delta: Option<Text<DeltaMode>>,
    /// A request that makes no progress for so long is repeated.
    pub(crate) timeout: Option<Text<Period>>,
    /// Attempts in all for one request.
    pub(crate) attempts: Option<u32>,
    /// Requests at the same time.
    pub(crate) max_requests: Option<NonZeroUsize>,
    /// Bytes per second written, such as `50MiB`; default unlimited.
    pub(crate) upload_rate: Option<Text<ByteSize>>,
    /// Bytes per second read; default unlimited.
    pub(crate) download_rate: Option<Text<ByteSize>>,
    /// Whether reads are cheap and fast; guessed by default.
    pub(crate) near: Option<bool>,
    /// Region, where the URL names none.
    pub(crate) region: Option<String>,
    /// Endpoint, where the URL names none.
    pub(crate) endpoint: Option<String>,
    /// PEM file of certificate authorities to trust besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Access key id; without keys the AWS chain is used.
    pub(crate) access_key_id: Option<String>,
    /// Secret access key.
    pub(crate) secret_access_key: Option<Hidden>,
    /// Session token of temporary keys.
    pub(crate) session_token: Option<Hidden>,
    /// Azure's storage account, where the URL names none.
    pub(crate) azure_account: Option<String>,
    /// Its key; without key or signature Azure's chain is used.
    pub(crate) azure_key: Option<Hidden>,
    /// A shared access signature; beats the key.
    pub(crate) azure_sas_token: Option<Hidden>,
}

/// How a source is read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawBackup {
    /// `logical` (rows), `physical` (files and WAL) or `files`; default `logical`.
    pub(crate) mode: Option<Text<SnapshotKind>>,
    /// Parallel readers; default by the machine.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Bytes per second read from the source, such as `20MiB`; default unlimited.
    pub(crate) max_rate: Option<Text<ByteSize>>,
    /// Where the files of a cluster are read: `local` (out of the data directory, or not at all),
    /// `remote` (over the replication protocol) or `auto` (local where that is possible); default
    /// `auto`.
    pub(crate) physical_from: Option<Text<PhysicalAccess>>,
    /// Whether a cluster is always read whole, even where the server knows what changed since the
    /// last snapshot; default `false`.
    pub(crate) full_read: Option<bool>,
    /// Whether snapshots of MySQL and MariaDB hold the server's accounts and grants too; default
    /// `false`.
    pub(crate) users: Option<bool>,
}

/// What is kept; see `docs/retention.md`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRetention {
    /// The whole policy in words: `7 daily, 4 weekly, 12 monthly`, `standard`, `extended` or
    /// `everything`; default `everything`. The keys below change single rules of it.
    pub(crate) policy: Option<Text<Policy>>,
    /// The newest so many.
    pub(crate) keep_last: Option<u32>,
    /// One for each of so many hours.
    pub(crate) keep_hourly: Option<u32>,
    /// One for each of so many days.
    pub(crate) keep_daily: Option<u32>,
    /// One for each of so many ISO weeks.
    pub(crate) keep_weekly: Option<u32>,
    /// One for each of so many months.
    pub(crate) keep_monthly: Option<u32>,
    /// One for each of so many years.
    pub(crate) keep_yearly: Option<u32>,
    /// All of this length of time before the newest, such as `14d`.
    pub(crate) keep_within: Option<Text<Period>>,
    /// How far back any moment stays within reach, where WAL is stored: `prune` deletes WAL that
    /// neither this nor a kept snapshot needs. Default `7d`.
    pub(crate) wal_window: Option<Text<Period>>,
}

/// When a source counts as protected.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawProtection {
    /// How old the newest snapshot may be; default `26h`.
    pub(crate) rpo: Option<Text<Period>>,
    /// How far it must be proved: `none`, `exists`, `read` or `drilled`; default `read`.
    pub(crate) level: Option<Text<VerifyLevel>>,
    /// How long ago the last drill may be, such as `30d`; default no drill needed.
    pub(crate) drill_interval: Option<Text<Period>>,
}

/// When things run: cron expressions of five fields.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSchedule {
    /// Backups, such as `0 2 * * *`.
    pub(crate) backup: Option<Text<Cron>>,
    /// Verification.
    pub(crate) verify: Option<Text<Cron>>,
    /// Drills of the newest snapshot; a source whose scheduled drills do not pass is at risk.
    pub(crate) drill: Option<Text<Cron>>,
    /// Drills of a cluster at the point that `drill.point` names, by a physical snapshot and
    /// stored WAL.
    pub(crate) point_drill: Option<Text<Cron>>,
    /// Drills from nothing but the repository and the recovery key in `drill.sheet`.
    pub(crate) disaster_drill: Option<Text<Cron>>,
    /// Forgetting by the retention policy; by default after each good backup.
    pub(crate) forget: Option<Text<Cron>>,
    /// Each job of a source starts later by a share of this that is always the same; default
    /// `0s`.
    pub(crate) jitter: Option<Text<Period>>,
    /// When nothing starts by itself, such as `["mon-fri 08:00-18:00"]`.
    pub(crate) blackout: Option<Vec<Text<Blackout>>>,
    /// Whether what was missed while backupd was down is made up for, by one run; default `true`.
    pub(crate) catch_up: Option<bool>,
}

/// How backupd runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawDaemon {
    /// Where it serves HTTP; default `127.0.0.1:8420`.
    pub(crate) listen: Option<String>,
    /// Its directory, for what it remembers and its socket; default `$STATE_DIRECTORY`, else
    /// `backupd` in `$XDG_STATE_HOME` or `~/.local/state`.
    pub(crate) state: Option<PathBuf>,
    /// Jobs at the same time; default 2.
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// A run in which nothing moves for so long is ended; default `30m`.
    pub(crate) stall_timeout: Option<Text<Period>>,
    /// How long runs have to stop when it stops; default `60s`.
    pub(crate) stop_timeout: Option<Text<Period>>,
    /// Attempts for one due time; default 5.
    pub(crate) attempts: Option<u32>,
    /// The wait after the first failure, doubled after each further one; default `1m`.
    pub(crate) retry_first: Option<Text<Period>>,
    /// The longest wait between attempts; default `30m`.
    pub(crate) retry_most: Option<Text<Period>>,
    /// How long runs are remembered; default `400d`.
    pub(crate) keep_runs: Option<Text<Period>>,
    /// Its certificate, a PEM file: HTTP is then encrypted. Read at the start.
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file.
    pub(crate) tls_key: Option<PathBuf>,
    /// Names by which browsers may call it.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// Whether runs are started and cancelled without a token on loopback; default `false`.
    pub(crate) open_writes: Option<bool>,
}

/// What is called before and after backups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHook {
    /// `before`, `after` (a good backup) or `failure`.
    pub(crate) on: Text<HookMoment>,
    /// Only for these sources; default all.
    #[serde(default)]
    pub(crate) sources: Vec<Text<SourceName>>,
    /// A program and its arguments; no shell reads them.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// A URL that is posted to instead; a secret.
    #[serde(default)]
    pub(crate) url: Option<Hidden>,
    /// Secret that signs those requests.
    #[serde(default)]
    pub(crate) secret: Option<Hidden>,
    /// How long it may take; default `1m`.
    #[serde(default)]
    pub(crate) timeout: Option<Text<Period>>,
    /// Whether a backup does not start when its `before` fails; default `true`.
    #[serde(default)]
    pub(crate) required: Option<bool>,
}

/// How restores behave.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRestore {
    /// Parallel writers; default by the machine.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Leave ownership to the connecting role; default `false`.
    pub(crate) no_owner: Option<bool>,
    /// Leave privileges out; default `false`.
    pub(crate) no_privileges: Option<bool>,
    /// Create roles that are missing, unable to log in; of MySQL the snapshot's accounts as they
    /// were; default `false`.
    pub(crate) create_roles: Option<bool>,
    /// Roles of the snapshot and what they are called in the target: `old = "new"`.
    pub(crate) role_map: BTreeMap<String, String>,
}

/// How drills are held; see `docs/drills.md`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawDrill {
    /// How often: `snapshot` (every one), `daily`, `weekly`, `monthly`, `quarterly`, `yearly`, or
    /// a length of time such as `10d`; a source whose drill is overdue is at risk. Default never.
    pub(crate) every: Option<Text<DrillEvery>>,
    /// How often from nothing but the repository and a recovery key, in the same words; default
    /// never.
    pub(crate) disaster: Option<Text<DrillEvery>>,
    /// To which point `schedule.point_drill` brings a cluster: `latest`, the end of stored WAL, or
    /// so long before the drill begins, such as `6h`; default `latest`.
    pub(crate) point: Option<Text<DrillPoint>>,
    /// The recovery sheet, or the recovery key alone, for `schedule.disaster_drill`: as a rule
    /// `file:PATH` or `command:LINE`; read when such a drill begins.
    pub(crate) sheet: Option<Hidden>,
    /// How long a restore may take until the database answers, such as `30m`; a source whose
    /// newest drill took longer is at risk.
    pub(crate) rto: Option<Text<Period>>,
    /// URL of a server to restore to, in a database made for it and dropped again, or `provider`
    /// for a throw-away branch at the source's provider; default a throw-away server started on
    /// this machine.
    pub(crate) to: Option<Hidden>,
    /// A command that tries the restored database, whose URL it finds in `DATABASE_URL`; it must
    /// end with 0.
    pub(crate) smoke: Option<String>,
    /// How long that command may take; default `5m`.
    pub(crate) smoke_timeout: Option<Text<Period>>,
    /// How long one question may take; default `5m`.
    pub(crate) question_timeout: Option<Text<Period>>,
    /// Questions of one's own; one table each.
    pub(crate) assert: Vec<RawAssert>,
}

/// A question of one's own: a statement that only reads, and what its first value must be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAssert {
    /// What it is about; default the statement.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The statement.
    pub(crate) sql: String,
    /// The value.
    #[serde(default)]
    pub(crate) equals: Option<RawScalar>,
    /// How far a number may be from `equals`; default 0.
    #[serde(default)]
    pub(crate) tolerance: Option<f64>,
    /// The least number.
    #[serde(default)]
    pub(crate) at_least: Option<f64>,
    /// The greatest number.
    #[serde(default)]
    pub(crate) at_most: Option<f64>,
    /// How long before the snapshot the time that is returned may lie, such as `1h`.
    #[serde(default)]
    pub(crate) younger_than: Option<Text<Period>>,
}

/// A value as TOML writes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawScalar {
    /// A truth value.
    Truth(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

impl RawScalar {
    /// Returns the value as a server prints it.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Truth(value) => if *value { "t" } else { "f" }.to_owned(),
            Self::Whole(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }
}

/// How write-ahead log is received; see `docs/wal.md`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawWal {
    /// Whether backupd receives the write-ahead log of sources that are copied physically, as it
    /// is written; default `false`.
    pub(crate) stream: Option<bool>,
    /// How often a segment that grows is stored; default `10s`.
    pub(crate) flush: Option<Text<Period>>,
    /// How far behind receiving may be; a source further behind is at risk. Default `5m`, at least
    /// `10s` longer than `flush`.
    pub(crate) max_lag: Option<Text<Period>>,
}

/// How the write-ahead log of a source is received.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSourceWal {
    /// Whether backupd receives its write-ahead log as it is written; default `false`. The source
    /// must be copied physically.
    pub(crate) stream: Option<bool>,
    /// The replication slot that keeps on the server what is not stored yet; default
    /// `backupctl_` and the source's name.
    pub(crate) slot: Option<String>,
    /// How often a segment that grows is stored; default `10s`.
    pub(crate) flush: Option<Text<Period>>,
    /// How far behind receiving may be; a source further behind is at risk. Default `5m`, at least
    /// `10s` longer than `flush`.
    pub(crate) max_lag: Option<Text<Period>>,
}

/// How space is reclaimed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawPrune {
    /// How long packs stay marked before they are deleted; longer than any backup runs. Default
    /// `24h`.
    pub(crate) grace: Option<Text<Period>>,
    /// When pruning runs, as a cron expression.
    pub(crate) schedule: Option<Text<Cron>>,
}

/// A source.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSource {
    /// Its name in the repository; default the database's name.
    pub(crate) name: Option<Text<SourceName>>,
    /// Who hosts it: `postgres`, `neon`, `supabase`, `railway`, `planetscale`, `mysql` or
    /// `files`; by default what the URL's scheme says.
    pub(crate) provider: Option<Text<ProviderKind>>,
    /// Its connection URL, as a rule `env:NAME`; of a bucket of files `s3://bucket/prefix?endpoint=…`,
    /// `azure://container/prefix?account=…` or `gs://bucket/prefix`.
    pub(crate) url: Option<Hidden>,
    /// The directory that is backed up, instead of a URL: the source is a tree of files.
    pub(crate) path: Option<PathBuf>,
    /// How it is read.
    pub(crate) backup: RawBackup,
    /// What is kept of it.
    pub(crate) retention: RawRetention,
    /// When it counts as protected.
    pub(crate) protection: RawProtection,
    /// When things run.
    pub(crate) schedule: RawSchedule,
    /// How restores of it behave.
    pub(crate) restore: RawRestore,
    /// How its drills are held.
    pub(crate) drill: RawDrill,
    /// How its write-ahead log is received.
    pub(crate) wal: RawSourceWal,
    /// Its project at Neon.
    pub(crate) neon: RawNeon,
    /// Its database at PlanetScale.
    pub(crate) planetscale: RawPlanetscale,
    /// Its project at Supabase.
    pub(crate) supabase: RawSupabase,
    /// Its service at Railway.
    pub(crate) railway: RawRailway,
    /// What of a tree of files, or of a bucket, is read.
    pub(crate) files: RawFiles,
    /// How the bucket is reached that its URL names.
    pub(crate) bucket: RawBucket,
    /// What its provider's control plane is used for.
    pub(crate) native: RawNative,
}

/// What of a tree of files is read; see `docs/files.md`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawFiles {
    /// Only files that one of these patterns names, such as `["*.jpg", "invoices/"]`; default all.
    pub(crate) include: Vec<String>,
    /// What one of these patterns names is left out, with all below it: `["*.tmp", "cache/"]`.
    pub(crate) exclude: Vec<String>,
    /// Of a directory that holds a file of such a name only that file is kept; default
    /// `[".nobackup"]`.
    pub(crate) markers: Option<Vec<String>>,
    /// Whether other file systems below the root are left out; default `false`.
    pub(crate) one_file_system: Option<bool>,
    /// What names the machine in snapshots; default its host name. Give one where that changes, as
    /// in containers.
    pub(crate) host: Option<String>,
    /// Whether a snapshot counts although files could not be read; default `false`: it is suspect.
    pub(crate) allow_unreadable: Option<bool>,
    /// Whether a snapshot counts although files changed each time they were read, or many entries
    /// went while the tree was; default `false`: it is suspect.
    pub(crate) allow_changing: Option<bool>,
}

/// How a bucket of files is reached; its keys may be others than the repository's.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawBucket {
    /// Access key id; default that of the environment, without one the AWS chain.
    pub(crate) access_key_id: Option<String>,
    /// Secret access key.
    pub(crate) secret_access_key: Option<Hidden>,
    /// Session token of temporary keys.
    pub(crate) session_token: Option<Hidden>,
    /// Azure's storage account, where the URL names none.
    pub(crate) azure_account: Option<String>,
    /// Its key; default that of the environment, without one Azure's chain.
    pub(crate) azure_key: Option<Hidden>,
    /// A shared access signature; beats the key.
    pub(crate) azure_sas_token: Option<Hidden>,
    /// Region, where the URL names none.
    pub(crate) region: Option<String>,
    /// PEM file of certificate authorities to trust besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Requests at the same time; default 16.
    pub(crate) max_requests: Option<NonZeroUsize>,
}

/// A database at PlanetScale.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawPlanetscale {
    /// The service token's id.
    pub(crate) token_id: Option<String>,
    /// The service token.
    pub(crate) token: Option<Hidden>,
    /// The organization.
    pub(crate) organization: Option<String>,
    /// The database, as PlanetScale calls it: a cluster with branches.
    pub(crate) database: Option<String>,
    /// The branch; default the database's default branch.
    pub(crate) branch: Option<String>,
    /// The size of clusters that restores make, such as `PS-10`; default the source's own, or of
    /// MySQL the smallest that fits.
    pub(crate) cluster_size: Option<String>,
    /// The API's address, where it is not PlanetScale's own.
    pub(crate) api_url: Option<String>,
}

/// What a provider's control plane is used for; see `docs/providers`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawNative {
    /// Whether a frozen copy is dumped instead of the database itself, where the provider can
    /// make one; default `true`.
    pub(crate) freeze: Option<bool>,
    /// How old a provider snapshot may be that is read instead of a new one, such as `6h`, where
    /// only copies of the database can be read; the snapshot is as old as that. Default a new one is
    /// taken.
    pub(crate) reuse: Option<Text<Period>>,
    /// When backupd has the provider take a snapshot, such as `0 * * * *`; `schedule.jitter`,
    /// `schedule.blackout` and `schedule.catch_up` hold for it too. Default never.
    pub(crate) schedule: Option<Text<Cron>>,
    /// Which provider snapshots that we took are kept, in the words of `retention.policy`; default
    /// all, until they expire.
    pub(crate) retention: Option<Text<Policy>>,
    /// How long the provider keeps a snapshot that we take, where it heeds an expiry; default
    /// `7d`.
    pub(crate) keep_for: Option<Text<Period>>,
    /// How old the newest snapshot may be, those that the provider keeps counted in, such as `2h`;
    /// `protection.rpo` still holds for those in the repository. Default only that.
    pub(crate) rpo: Option<Text<Period>>,
}

/// A project at Supabase.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSupabase {
    /// Access token (secret); without it Supabase's own backups are not watched.
    pub(crate) access_token: Option<Hidden>,
    /// The project's ref; default as the database's URL says it.
    pub(crate) project_ref: Option<String>,
    /// The API's address, where it is not Supabase's own.
    pub(crate) api_url: Option<String>,
}

/// A service at Railway.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRailway {
    /// Token of an account or a workspace (secret).
    pub(crate) api_token: Option<Hidden>,
    /// Token of one environment of one project (secret); enough, and less to lose.
    pub(crate) project_token: Option<Hidden>,
    /// Project id; a project token tells it.
    pub(crate) project_id: Option<String>,
    /// Environment id; a project token tells it.
    pub(crate) environment_id: Option<String>,
    /// Name or id of the database's service; default the only one that runs PostgreSQL.
    pub(crate) service: Option<String>,
    /// Where the service's image archives its WAL (`WAL_ARCHIVE_BUCKET` there), as
    /// `s3://bucket/path?endpoint=…`: `doctor` looks for gaps. Credentials as for the repository's
    /// `AWS_*`.
    pub(crate) wal_archive: Option<String>,
    /// The API's address, where it is not Railway's own.
    pub(crate) api_url: Option<String>,
}

/// A project at Neon.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawNeon {
    /// API key.
    pub(crate) api_key: Option<Hidden>,
    /// Project id.
    pub(crate) project_id: Option<String>,
    /// The API's address, where it is not Neon's own.
    pub(crate) api_url: Option<String>,
}

/// Who is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNotify {
    /// `slack`, `webhook`, `email`, `pagerduty`, `github`, `discord`, `teams` or `healthchecks`.
    pub(crate) kind: Text<NotifyKind>,
    /// What it is called; default its kind.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Where to: the webhook's URL, the ping URL, or for mail `smtps://user@host:465` or
    /// `smtp://user@host:587`; a secret. Without it, PagerDuty and GitHub are where they always
    /// are.
    #[serde(default)]
    pub(crate) url: Option<Hidden>,
    /// What authorises: the secret that signs a webhook's requests, PagerDuty's integration key,
    /// GitHub's token, the password of the mail server.
    #[serde(default)]
    pub(crate) secret: Option<Hidden>,
    /// For webhooks, bodies of another shape: JSON in whose strings `{{title}}` and the like are
    /// filled in; see `docs/alerts.md`.
    #[serde(default)]
    pub(crate) template: Option<String>,
    /// For GitHub, the repository whose issues are used: `owner/name`.
    #[serde(default)]
    pub(crate) repository: Option<String>,
    /// For mail, the sender.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// For mail, the receivers.
    #[serde(default)]
    pub(crate) to: Vec<String>,
    /// For mail, a PEM file of a certificate authority to trust besides the system's.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Problems at least so urgent are told: `warning` or `critical`; default `warning`.
    #[serde(default)]
    pub(crate) severity: Option<Text<Severity>>,
    /// Only about these sources, such as `["shop-*"]`; default about all.
    #[serde(default)]
    pub(crate) sources: Vec<String>,
    /// Only these events, such as `["backup.*"]`; default all, for healthchecks `["backup.*"]`.
    #[serde(default)]
    pub(crate) events: Vec<String>,
    /// Whether good news are told; default `true` for webhooks, else `false`.
    #[serde(default)]
    pub(crate) on_success: Option<bool>,
    /// Whether failures and warnings are told; default `true`.
    #[serde(default)]
    pub(crate) on_failure: Option<bool>,
    /// Whether those who were told of a problem are told that it is over; default `true`.
    #[serde(default)]
    pub(crate) on_recovery: Option<bool>,
    /// After how long backupd tells a problem again that is still there, or `never`; default
    /// `24h`.
    #[serde(default)]
    pub(crate) remind_after: Option<Text<Patience>>,
}
