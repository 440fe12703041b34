//! Arguments of the verbs that move data.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use backup::ops::Selector;
use backup_core::{ByteSize, SourceName};
use clap::{Args, ValueEnum};

use super::RecoveryArgs;

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A database to discover: writes backup.toml (prefer DATABASE_URL: others can read argv)
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Write the recovery sheet to FILE, readable only by you
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,

    /// What to call the first key
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) label: String,
}

/// `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Only these sources (default: all)
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<SourceName>,

    /// How to take it (default: logical)
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,

    /// Read a cluster's files only there (default: local where that is possible)
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) physical_from: Option<FilesFrom>,

    /// Read a whole cluster, or every file of a tree, even what is known not to have changed
    #[arg(long)]
    pub(crate) full_read: bool,

    /// Parallel readers
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Read at most RATE bytes per second, such as 50MiB
    #[arg(long, value_name = "RATE")]
    pub(crate) max_rate: Option<ByteSize>,

    /// Prove the new snapshot before returning: its objects exist, or every byte reads back
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "exists")]
    pub(crate) verify: ProofArg,

    /// The source's name now means another database, on purpose
    #[arg(long)]
    pub(crate) accept_new_identity: bool,

    /// The data really did shrink: do not call the snapshot suspect
    #[arg(long)]
    pub(crate) accept_shrink: bool,

    /// Take a snapshot at the source's provider instead, and apply `native.retention`; it dies
    /// with the account
    #[arg(
        long,
        conflicts_with_all = [
            "mode", "physical_from", "full_read", "jobs", "max_rate", "verify",
            "accept_new_identity", "accept_shrink"
        ]
    )]
    pub(crate) native: bool,

    /// Let the running backupd take it, as it is configured there, and wait
    #[arg(
        long,
        conflicts_with_all = [
            "mode", "physical_from", "full_read", "jobs", "max_rate", "accept_new_identity",
            "accept_shrink"
        ]
    )]
    pub(crate) via_daemon: bool,
}

/// How to take a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Logical,
    Physical,
}

/// Where the files of a cluster are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FilesFrom {
    // Out of the data directory.
    Local,
    // Over the replication protocol.
    Remote,
}

/// How far to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProofArg {
    Exists,
    Read,
}

/// `snapshots`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<SourceName>,

    /// List what the sources' providers keep instead
    #[arg(long)]
    pub(crate) native: bool,
}

/// `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// First digits of an id, `latest`, or SOURCE@latest
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: Selector,

    /// Of a snapshot of files: only what these paths or patterns name, with what is below
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
}

/// `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// First digits of an id, `latest`, or SOURCE@latest
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: Selector,
}

/// `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// First digits of an id, `latest`, or SOURCE@latest; of a group GROUP, GROUP@latest, GROUP@ID or
    /// GROUP@TIME, all members of one recovery set
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: Selector,

    /// Where to: postgres://user@host/new_database, created when missing, refused unless
    /// empty (the password comes from PGPASSWORD or RESTORE_URL); for a physical snapshot,
    /// or one of files, a directory; branch:NAME, service:NAME or in-place restore at the source's provider, from
    /// its own snapshots or history. Of a recovery set MEMBER=TARGET for each member, repeated
    #[arg(
        long,
        value_name = "TARGET",
        required = true,
        env = "RESTORE_URL",
        hide_env_values = true
    )]
    pub(crate) to: Vec<String>,

    /// Of a recovery set that is not complete: restore what there is of it
    #[arg(long)]
    pub(crate) incomplete: bool,

    /// Take this database out of a physical snapshot, at a point in time; TARGET is then another
    /// database, or a directory for files that psql reads
    #[arg(long, value_name = "NAME", conflicts_with_all = ["delta", "start", "tablespaces"])]
    pub(crate) database: Option<String>,

    /// Restore the cluster into a throw-away folder below DIR for that (default: $TMPDIR)
    #[arg(long, value_name = "DIR", requires = "database")]
    pub(crate) scratch: Option<PathBuf>,

    /// Only this table, as SCHEMA.TABLE or TABLE; may be repeated
    #[arg(long = "table", value_name = "S.T")]
    pub(crate) tables: Vec<String>,

    /// Only this schema; may be repeated
    #[arg(long = "schema", value_name = "S")]
    pub(crate) schemas: Vec<String>,

    /// Only files and directories that this path, or pattern, names; may be repeated
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<String>,

    /// Turn the stopped cluster, or the tree of files, in the target directory into the
    /// snapshot's, writing only what differs
    #[arg(long)]
    pub(crate) delta: bool,

    /// With --delta, of a tree of files: remove what the snapshot does not have
    #[arg(long, requires = "delta")]
    pub(crate) delete: bool,

    /// Put the tablespace that was at OLD to NEW; may be repeated
    #[arg(long = "tablespace", value_name = "OLD=NEW", value_parser = parse_mapping)]
    pub(crate) tablespaces: Vec<(String, String)>,

    /// Print what would be done, and stop
    #[arg(long)]
    pub(crate) preview: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Put the database back in its place although the repository has no snapshot of the last hour,
    /// and the provider keeps nothing of the state before
    #[arg(long)]
    pub(crate) without_backup: bool,

    /// Write rows in their original order (slower)
    #[arg(long)]
    pub(crate) ordered: bool,

    /// Parallel writers
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Leave ownership to the connecting role
    #[arg(long)]
    pub(crate) no_owner: bool,

    /// Leave privileges (GRANT, REVOKE) out
    #[arg(long)]
    pub(crate) no_privileges: bool,

    /// Create roles that the server lacks, without passwords and unable to log in; of MySQL the
    /// snapshot's accounts as they were, passwords and grants included
    #[arg(long)]
    pub(crate) create_roles: bool,

    /// Restore what belongs to role OLD as NEW's; may be repeated
    #[arg(long = "map-role", value_name = "OLD=NEW", value_parser = parse_mapping)]
    pub(crate) map_roles: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) recovery: RecoveryArgs,
}

pub(super) fn parse_mapping(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err("write OLD=NEW".into()),
    }
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only these snapshots (default: all)
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshots: Vec<Selector>,

    /// All snapshots
    #[arg(long, conflicts_with = "snapshots")]
    pub(crate) all: bool,

    /// Read every byte back, or a part that moves on from run to run
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "100%"
    )]
    pub(crate) read_data: Option<ReadData>,
}

/// How much to read back: 1 to 100 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadData(pub(crate) u8);

impl FromStr for ReadData {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        match digits.parse() {
            Ok(percent @ 1..=100) => Ok(Self(percent)),
            _ => Err("write a percentage from 1% to 100%".into()),
        }
    }
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// First digits of an id, `latest`, or SOURCE@latest
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: Selector,

    /// A new or empty directory to write into
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Only this table, as SCHEMA.TABLE or TABLE; may be repeated
    #[arg(long = "table", value_name = "S.T")]
    pub(crate) tables: Vec<String>,

    /// Only this schema; may be repeated
    #[arg(long = "schema", value_name = "S")]
    pub(crate) schemas: Vec<String>,

    /// Write one file per table, included by database.sql, instead of one big file
    #[arg(long)]
    pub(crate) file_per_table: bool,
}
