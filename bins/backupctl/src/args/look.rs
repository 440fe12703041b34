//! Words of the verbs that look into snapshots.

use backup::ops::Selector;
use backup_core::SourceName;
use clap::Args;

/// `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The earlier one: first digits of an id, `latest`, or SOURCE@latest
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) before: Selector,

    /// The later one
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) after: Selector,
}

/// `find`.
#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// Part of a name, or a pattern: `*.orders`, `table/**`, `base/1*/2*`, `invoices/*.pdf`
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: String,

    /// Look at snapshots of this source only
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<SourceName>,
}

/// `dump`.
#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// First digits of an id, `latest`, or SOURCE@latest
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: Selector,

    /// The stream's name, or the path of a file, as `ls` shows it
    #[arg(value_name = "PART")]
    pub(crate) part: String,
}
