//! Arguments of `wal`.

use std::path::PathBuf;

use backup_core::{SourceName, WalFile};
use clap::{Args, Subcommand};

/// `wal`.
#[derive(Debug, Subcommand)]
pub(crate) enum WalCommand {
    /// Store a WAL file, for archive_command: exits 0 only when it is durable
    Push(WalPushArgs),
    /// Fetch a WAL file, for restore_command: exits 1 only when it is not there, 126 if anything
    /// went wrong
    Fetch(WalFetchArgs),
    /// Receive WAL as it is written, until stopped; the server keeps what is not stored yet
    Stream(WalStreamArgs),
    /// Say how far the stored WAL reaches, what can be recovered, and where it has holes
    Status(WalStatusArgs),
}

/// `wal push`.
#[derive(Debug, Args)]
pub(crate) struct WalPushArgs {
    /// The file: %p of archive_command
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// The source that the server is (default: the configured one, BACKUP_SOURCE)
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<SourceName>,

    /// The cluster's system identifier, where no data directory is near to read it from
    #[arg(long, value_name = "NUMBER")]
    pub(crate) system: Option<u64>,

    /// The source's name now means another cluster, on purpose
    #[arg(long)]
    pub(crate) accept_new_identity: bool,

    /// Store it here, even where a daemon of this repository runs
    #[arg(long)]
    pub(crate) no_daemon: bool,
}

/// `wal fetch`.
#[derive(Debug, Args)]
pub(crate) struct WalFetchArgs {
    /// The file's name: %f of restore_command
    #[arg(value_name = "NAME")]
    pub(crate) file: WalFile,

    /// Where to write it: %p of restore_command
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// Whose WAL (default: the configured source, else the only one in the repository)
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<SourceName>,

    /// The cluster's system identifier (default: that of the data directory around PATH)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) system: Option<u64>,

    /// Do not fetch the segments that follow before they are asked for
    #[arg(long)]
    pub(crate) no_ahead: bool,

    /// Be the helper that fetches ahead
    #[arg(long, hide = true)]
    pub(crate) helper: bool,
}

/// `wal stream`.
#[derive(Debug, Args)]
pub(crate) struct WalStreamArgs {
    /// The source (default: the only one configured)
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<SourceName>,

    /// The replication slot that keeps WAL on the server (default: backupctl_SOURCE)
    #[arg(long, value_name = "NAME")]
    pub(crate) slot: Option<String>,

    /// Store a segment that grows every so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) flush: u64,

    /// Say every so many seconds how much is at risk
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) report: u64,

    /// The source's name now means another cluster, on purpose
    #[arg(long)]
    pub(crate) accept_new_identity: bool,
}

/// `wal status`.
#[derive(Debug, Args)]
pub(crate) struct WalStatusArgs {
    /// Only of this source (default: all)
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<SourceName>,
}
