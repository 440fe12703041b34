//! What was typed.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// Runs backups on schedule, verifies them, and tells when something is wrong.
#[derive(Debug, Parser)]
#[command(
    name = "backupd",
    version,
    max_term_width = 100,
    after_help = "\
Without a file the environment of backupctl is enough, plus:
  BACKUP_CRON      when the source is backed up, such as \"0 2 * * *\"
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
}
