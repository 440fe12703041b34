//! Arguments of everything else.

use std::path::PathBuf;

use backup_core::SourceName;
use clap::{Args, Subcommand};
use clap_complete::Shell;

/// `repair`.
#[derive(Debug, Subcommand)]
pub(crate) enum RepairCommand {
    /// Rebuild the index from what the packs say about themselves
    Index,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only these sources (default: all)
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<SourceName>,

    /// The directory of the daemon that remembers runs (default: where backupd keeps it, if it
    /// ran on this machine)
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also write, read back and delete a small object, and compare clocks
    #[arg(long)]
    pub(crate) live: bool,
}

/// `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Also ask the repository whether every source's newest snapshot is fresh and verified
    #[arg(long)]
    pub(crate) repository: bool,

    /// Also connect to every source
    #[arg(long)]
    pub(crate) sources: bool,
}

/// `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys that open the repository
    List,
    /// Add a passphrase (BACKUP_NEW_PASSPHRASE, or asked for), or make a key file
    Add {
        /// What to call it
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// Make a random key and write it to FILE, readable only by you
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// Let its holder back up, and read nothing
        #[arg(long)]
        write_only: bool,
    },
    /// Remove a key; the last one stays
    Remove {
        /// First digits of its id
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Replace a key by a new passphrase, or begin a new data epoch
    Rotate {
        /// First digits of the id of the key to replace (default: the only passphrase)
        #[arg(value_name = "KEY", conflicts_with = "data")]
        key: Option<String>,
        /// What to call the new one
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// Seal what is written from now on to new keys; nothing stored moves
        #[arg(long)]
        data: bool,
    },
    /// Add a recovery key and print the sheet to keep on paper
    Sheet {
        /// Write the sheet to FILE, readable only by you
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `notify`.
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a test alert to every channel
    Test {
        /// Only to this channel; again for more
        #[arg(long, value_name = "NAME")]
        channel: Vec<String>,
    },
}

/// `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where PostgreSQL's programs are (default: looked for)
    #[arg(long, value_name = "DIR")]
    pub(crate) pg_bin: Option<PathBuf>,

    /// Rows of the largest table
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub(crate) rows: u64,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page per verb into DIR (default: the main page to standard output)
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Print the schema of this JSON document instead, such as `snapshots`; `list` names them
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}
