//! `drill`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

/// `drill`.
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// Sources (their newest snapshots) or snapshots; default: every source
    #[arg(value_name = "SOURCE|SNAPSHOT")]
    pub(crate) what: Vec<String>,

    /// Restore into a database made for it on this server, and drop it again; default: a
    /// throw-away server started on this machine [env: BACKUP_DRILL_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,

    /// A command that tries the restored database; it finds the URL in DATABASE_URL
    #[arg(long, value_name = "COMMAND")]
    pub(crate) smoke: Option<String>,

    /// Parallel writers and readers
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

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
    #[arg(long, conflicts_with_all = ["disaster", "to", "smoke", "jobs"])]
    pub(crate) history: bool,

    /// Let the running backupd drill the sources, as it is configured there, and wait
    #[arg(long, conflicts_with_all = ["disaster", "to", "smoke", "jobs", "history"])]
    pub(crate) via_daemon: bool,

    /// How many receipts to show
    #[arg(long, value_name = "N", default_value = "20", requires = "history")]
    pub(crate) limit: usize,
}
