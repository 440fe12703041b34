//! `migrate`.

use std::num::NonZeroUsize;

use backup_core::SourceName;
use clap::Args;

use super::data::parse_mapping;

/// `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Which source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: SourceName,

    /// Where to: postgres://user@host/new_database, created when missing, refused unless empty
    /// (the password comes from PGPASSWORD or MIGRATE_URL)
    #[arg(long, value_name = "TARGET", env = "MIGRATE_URL", hide_env_values = true)]
    pub(crate) to: String,

    /// Print what fits, what does not, and the cut-over checklist, and stop
    #[arg(long)]
    pub(crate) preview: bool,

    /// Go to an older major version all the same
    #[arg(long)]
    pub(crate) allow_downgrade: bool,

    /// Leave this extension out; may be repeated
    #[arg(long = "without-extension", value_name = "NAME")]
    pub(crate) without_extensions: Vec<String>,

    /// Parallel readers and writers
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Leave ownership to the connecting role
    #[arg(long)]
    pub(crate) no_owner: bool,

    /// Leave privileges (GRANT, REVOKE) out
    #[arg(long)]
    pub(crate) no_privileges: bool,

    /// Create roles that the server lacks, without passwords and unable to log in; of MySQL the
    /// source's accounts as they are (with `backup.users`)
    #[arg(long)]
    pub(crate) create_roles: bool,

    /// Give what belongs to role OLD to NEW; may be repeated
    #[arg(long = "map-role", value_name = "OLD=NEW", value_parser = parse_mapping)]
    pub(crate) map_roles: Vec<(String, String)>,
}
