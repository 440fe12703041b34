//! `drill`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use backup_core::Lsn;
use clap::Args;
use jiff::Timestamp;

use super::recovery::{RecoveryArgs, parse_time};

/// The point that a physical snapshot is brought to; all that is stored of its cluster's WAL may
/// be used.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PointArgs {
    /// Drill the source at TIME, with its zone: 2026-11-29T14:05:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time, group = "point")]
    pub(crate) at: Option<Timestamp>,

    /// Drill the source at a WAL position, such as 16/B374D848
    #[arg(long, value_name = "LSN", group = "point")]
    pub(crate) lsn: Option<Lsn>,

    /// Drill the source at the end of the stored WAL
    #[arg(long, group = "point")]
    pub(crate) latest: bool,
}

impl PointArgs {
    /// Returns the same in the words of `restore`.
    pub(crate) fn recovery(&self) -> RecoveryArgs {
        RecoveryArgs { at: self.at, lsn: self.lsn, latest: self.latest, ..<_>::default() }
    }

    /// Returns whether a point was named.
    pub(crate) fn is_named(&self) -> bool {
        self.at.is_some() || self.lsn.is_some() || self.latest
    }
}

/// `drill`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DrillArgs {
    /// Sources (their newest snapshots) or snapshots; default: every source
    #[arg(value_name = "SOURCE|SNAPSHOT")]
    pub(crate) what: Vec<String>,

    /// Restore into a database made for it on this server, and drop it again; a path puts the
    /// throw-away server's data below it; `provider` makes a throw-away branch at the source's
    /// provider; default: a throw-away server started on this machine
    /// [env: BACKUP_DRILL_URL]
    #[arg(long, value_name = "URL|PATH")]
    pub(crate) to: Option<String>,

    /// A command that tries the restored database; it finds the URL in DATABASE_URL
    #[arg(long, value_name = "COMMAND")]
    pub(crate) smoke: Option<String>,

    /// Parallel writers and readers
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) point: PointArgs,

    /// Start from nothing but the repository's URL and a recovery sheet: no configuration, no
    /// other environment than the store's credentials
    #[arg(long, requires = "sheet")]
    pub(crate) disaster: bool,

    /// The recovery sheet, or a file with the recovery key
    #[arg(long, value_name = "FILE", requires = "disaster")]
    pub(crate) sheet: Option<PathBuf>,

    /// The repository's URL; default: what the sheet says
    #[arg(long, value_name = "URL", requires = "disaster")]
    pub(crate) repository: Option<String>,

    /// Show receipts of earlier drills, and the trend, instead
    #[arg(long, conflicts_with_all = ["disaster", "to", "smoke", "jobs", "point"])]
    pub(crate) history: bool,

    /// Let the running backupd drill the sources, as it is configured there, and wait
    #[arg(long, conflicts_with_all = ["disaster", "to", "smoke", "jobs", "history", "point"])]
    pub(crate) via_daemon: bool,

    /// How many receipts to show
    #[arg(long, value_name = "N", default_value = "20", requires = "history")]
    pub(crate) limit: usize,
}
