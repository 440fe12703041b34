//! What a database has, and what its server offers: enough to tell whether one can move to the
//! other.

use std::collections::{BTreeMap, BTreeSet};

use crate::SourceIdentity;

/// Facts of one database and its server. What could not be read is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Where it is, for people, without secrets.
    pub location: String,
    /// The database's name.
    pub database: String,
    /// The server's version, as it prints it.
    pub server_version: String,
    /// The server's major version.
    pub major: u32,
    /// What the database is; nothing when there is none of that name.
    pub content: Option<DatabaseContent>,
    /// Roles of the server.
    pub roles: BTreeSet<String>,
    /// Extensions that can be installed, with the version that would be.
    pub available: BTreeMap<String, String>,
    /// Tablespaces of the server.
    pub tablespaces: BTreeSet<String>,
    /// Whether the connecting role may create roles.
    pub may_create_roles: bool,
    /// Whether the connecting role may create databases.
    pub may_create_databases: bool,
}

/// What one database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseContent {
    /// Which database this is.
    pub identity: Option<SourceIdentity>,
    /// A few of the objects that somebody made, none if it is empty.
    pub objects: Vec<String>,
    /// Its size.
    pub bytes: u64,
    /// Encoding, collation, character type, provider and locale, by the names of evidence.
    pub locale: BTreeMap<String, String>,
    /// Installed extensions, with their versions.
    pub extensions: BTreeMap<String, String>,
    /// Columns whose type an extension brings, by extension.
    pub extension_columns: BTreeMap<String, Vec<String>>,
    /// Roles that own something.
    pub owners: BTreeSet<String>,
    /// Roles that were granted something.
    pub grantees: BTreeSet<String>,
    /// Tablespaces, other than the default, that something lies in.
    pub tablespaces: BTreeSet<String>,
    /// Large objects.
    pub large_objects: u64,
    /// Publications.
    pub publications: Vec<String>,
    /// Subscriptions.
    pub subscriptions: Vec<String>,
    /// Logical replication slots.
    pub slots: Vec<String>,
    /// Foreign servers.
    pub foreign_servers: Vec<String>,
    /// Transactions that were prepared and not ended.
    pub prepared: u64,
}
