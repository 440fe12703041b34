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
    /// The engine's word, as in the identity of a source.
    pub engine: String,
    /// Who made the server, where an engine has several: `MariaDB`, `MySQL`.
    pub product: String,
    /// The server's version, as it prints it.
    pub server_version: String,
    /// The server's major version.
    pub major: u32,
    /// What follows it, where versions with the same major one understand different things.
    pub minor: u32,
    /// How the engine's own client is pointed at the server, as words of a shell without the
    /// password; empty where it takes the URL.
    pub client: String,
    /// What the database is; nothing when there is none of that name.
    pub content: Option<DatabaseContent>,
    /// Roles of the server.
    pub roles: BTreeSet<String>,
    /// Whether the connecting role does not see the others.
    pub roles_hidden: bool,
    /// Whether snapshots hold the roles, so that others can be created like them.
    pub keeps_roles: bool,
    /// What the server can do that a database may need: `engine InnoDB`, `collation latin1_bin`.
    pub features: BTreeSet<String>,
    /// Settings of the server that change what a database means, by their names.
    pub settings: BTreeMap<String, String>,
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
    /// What its server can do and it uses, in the words of [`Survey::features`].
    pub needs: BTreeSet<String>,
    /// Jobs that the server runs by itself.
    pub events: Vec<String>,
    /// Tables whose history is not copied.
    pub versioned: Vec<String>,
    /// Tables whose rows are kept elsewhere.
    pub elsewhere: Vec<String>,
}
