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

    /// Be the helper that fetches ahead; segments have so many bytes
    #[arg(long, value_name = "BYTES", hide = true)]
    pub(crate) ahead_of: Option<u64>,
}
