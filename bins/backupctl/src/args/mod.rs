//! What was typed, exactly; nothing is opened, read or resolved here.

mod data;
mod drill;
mod keep;
mod look;
mod migrate;
mod more;
mod recovery;
mod report;
mod wal;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(crate) use data::{
    BackupArgs, ExportArgs, FilesFrom, InitArgs, ListArgs, LsArgs, Mode, ProofArg, ReadData,
    RestoreArgs, ShowArgs, VerifyArgs,
};
pub(crate) use drill::DrillArgs;
pub(crate) use keep::{CopyArgs, ForgetArgs, PinArgs, PruneArgs};
pub(crate) use look::{DiffArgs, DumpArgs, FindArgs};
pub(crate) use migrate::MigrateArgs;
pub(crate) use more::{
    CompletionsArgs, DemoArgs, DoctorArgs, KeyCommand, ManArgs, NotifyCommand, RepairCommand,
    SchemaArgs, StatusArgs, ValidateArgs,
};
pub(crate) use recovery::{RecoveryArgs, Timeline};
pub(crate) use report::{ReportArgs, ReportCommand, ReportFormat};
pub(crate) use wal::{WalCommand, WalFetchArgs, WalPushArgs, WalStatusArgs, WalStreamArgs};

/// Encrypted, deduplicated, verified database backups.
#[derive(Debug, Parser)]
#[command(
    name = "backupctl",
    version,
    after_help = crate::exit::HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every verb takes, before or after it.
#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Read settings from FILE (default: ./backup.toml if it is there)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print one JSON document on standard output (docs/cli.md)
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub(crate) color: Color,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    // On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a repository; with a database URL also write a commented backup.toml
    Init(InitArgs),
    /// Take a snapshot of each source, or of those named
    Backup(BackupArgs),
    /// List snapshots
    #[command(visible_alias = "list")]
    Snapshots(ListArgs),
    /// Show one snapshot: its tables, its proof, what was noticed
    Show(ShowArgs),
    /// List the streams that a snapshot is made of, or the files in it
    Ls(LsArgs),
    /// Show what changed from one snapshot to another
    Diff(DiffArgs),
    /// Find the snapshots that have a table, another stream, or a file
    Find(FindArgs),
    /// Write one stream, or one file, of a snapshot to standard output
    Dump(DumpArgs),
    /// Restore a snapshot into a new database
    Restore(RestoreArgs),
    /// Prove that what is stored can be read back
    Verify(VerifyArgs),
    /// Restore a snapshot somewhere disposable, question it, keep the receipt
    Drill(DrillArgs),
    /// Take a source to another server, version or vendor, and prove that it arrived
    Migrate(MigrateArgs),
    /// Drop snapshots by retention policy, or those named
    Forget(ForgetArgs),
    /// Reclaim what no snapshot needs
    Prune(PruneArgs),
    /// Copy snapshots and WAL to a second place, as the same repository
    Copy(CopyArgs),
    /// Keep snapshots whatever the retention policy says
    Pin(PinArgs),
    /// Let the retention policy decide again
    Unpin(PinArgs),
    /// Rebuild what can be rebuilt
    #[command(subcommand)]
    Repair(RepairCommand),
    /// Say which sources are protected, and why the others are not
    Status(StatusArgs),
    /// Check everything that a backup and a restore need
    Doctor(DoctorArgs),
    /// Check the configuration without touching anything
    Validate(ValidateArgs),
    /// Archive write-ahead log and give it back: for PostgreSQL's archive_command and restore_command
    #[command(subcommand)]
    Wal(WalCommand),
    /// Manage the keys that open the repository
    #[command(subcommand)]
    Key(KeyCommand),
    /// Write a snapshot in formats that psql and pg_restore read
    Export(ExportArgs),
    /// Write signed evidence of what was backed up, proved and drilled, or check such a report
    Report(ReportArgs),
    /// Try the alert channels
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Lose a table and get it back, on a throw-away server
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Print the JSON Schema of backup.toml, or of a JSON document
    Schema(SchemaArgs),
}
