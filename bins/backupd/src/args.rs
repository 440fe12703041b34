//! What was typed.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

/// Runs backups on schedule, verifies them, and tells when something is wrong.
#[derive(Debug, Parser)]
#[command(
    name = "backupd",
    version,
    max_term_width = 100,
    after_help = "\
Without a file the environment of backupctl is enough, plus:
  BACKUP_CRON      when the source is backed up, such as \"0 2 * * *\"
  BACKUPD_LISTEN   where it serves HTTP (default 127.0.0.1:8420)
  BACKUPD_STATE    where it keeps what it remembers and its socket
SIGHUP reads the configuration again; SIGTERM stops cleanly."
)]
pub(crate) struct Args {
    /// Read settings from FILE (default: ./backup.toml if it is there)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Log more; twice for even more
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// What to do instead of running
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What can be done besides running.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make, list and revoke the tokens of the HTTP server, whether it runs or not
    #[command(subcommand)]
    Token(TokenVerb),
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, this once
    Add {
        /// What to call it
        name: String,
        /// What it allows: viewer, operator or admin
        #[arg(long, default_value = "viewer")]
        role: String,
        /// When it ends by itself, such as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List the tokens
    List,
    /// Revoke a token, from now on
    Revoke {
        /// Its id: the middle part
        id: String,
    },
}
