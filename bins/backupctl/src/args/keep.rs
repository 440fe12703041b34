//! Arguments of the verbs that decide what is kept.

use backup::ops::Selector;
use backup::retention::{Period, Policy};
use backup_core::SourceName;
use clap::Args;

/// `forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Drop exactly these, instead of by policy
    #[arg(value_name = "SNAPSHOT", conflicts_with_all = ["source", "keep"])]
    pub(crate) snapshots: Vec<Selector>,

    /// Apply the policy to this source only; may be repeated
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Vec<SourceName>,

    #[command(flatten)]
    pub(crate) keep: KeepArgs,

    /// Apply `native.retention` to the snapshots that the sources' providers keep instead
    #[arg(long, conflicts_with_all = ["snapshots", "keep", "prune"])]
    pub(crate) native: bool,

    /// Print the plan with its reasons, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Drop what is named even if it is a source's newest verified snapshot
    #[arg(long, requires = "snapshots")]
    pub(crate) force: bool,

    /// Prune afterwards
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) prune: bool,
}

/// A retention policy on the command line; replaces the configured one.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "keep", multiple = true)]
pub(crate) struct KeepArgs {
    /// Keep the last N
    #[arg(long, value_name = "N")]
    pub(crate) keep_last: Option<u32>,

    /// Keep the last of each of the last N hours
    #[arg(long, value_name = "N")]
    pub(crate) keep_hourly: Option<u32>,

    /// Keep the last of each of the last N days
    #[arg(long, value_name = "N")]
    pub(crate) keep_daily: Option<u32>,

    /// Keep the last of each of the last N weeks
    #[arg(long, value_name = "N")]
    pub(crate) keep_weekly: Option<u32>,

    /// Keep the last of each of the last N months
    #[arg(long, value_name = "N")]
    pub(crate) keep_monthly: Option<u32>,

    /// Keep the last of each of the last N years
    #[arg(long, value_name = "N")]
    pub(crate) keep_yearly: Option<u32>,

    /// Keep everything younger than AGE, such as 36h, 14d, 8w
    #[arg(long, value_name = "AGE")]
    pub(crate) keep_within: Option<Period>,
}

impl KeepArgs {
    /// Returns the policy typed, if any was.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let policy = Policy {
            last: self.keep_last.unwrap_or_default(),
            hourly: self.keep_hourly.unwrap_or_default(),
            daily: self.keep_daily.unwrap_or_default(),
            weekly: self.keep_weekly.unwrap_or_default(),
            monthly: self.keep_monthly.unwrap_or_default(),
            yearly: self.keep_yearly.unwrap_or_default(),
            within: self.keep_within,
        };
        (!policy.is_empty()).then_some(policy)
    }
}

/// `prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Print the plan with its reasons, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// How long what is unneeded stays before it is deleted; longer than any backup takes
    /// (default: 24h)
    #[arg(long, value_name = "AGE")]
    pub(crate) grace: Option<Period>,

    /// Keep WAL for any moment of so long ago (default: `retention.wal_window` of each source, 7d)
    #[arg(long, value_name = "AGE")]
    pub(crate) wal_window: Option<Period>,
}

/// `pin`, `unpin`.
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// First digits of an id, `latest`, or SOURCE@latest
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub(crate) snapshots: Vec<Selector>,

    /// These are snapshots that the sources' providers keep, by id or name: protect them against
    /// deletion there
    #[arg(long)]
    pub(crate) native: bool,

    /// Confirm a protection that nobody can take back
    #[arg(long, requires = "native")]
    pub(crate) yes: bool,
}

/// `copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Copy these (default: of each source those newer than the newest one there)
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshots: Vec<Selector>,

    /// The second place: a store's URL, empty or an earlier copy
    #[arg(long, value_name = "URL", env = "BACKUP_COPY_TO")]
    pub(crate) to: String,

    /// Begin the copy where nothing is yet; without it a place with nothing in it is an error, as
    /// one that is not mounted is
    #[arg(long)]
    pub(crate) begin: bool,

    /// Copy every snapshot that is not there, also those that were forgotten there
    #[arg(long, conflicts_with = "snapshots")]
    pub(crate) all: bool,

    /// Say what would be copied, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}
