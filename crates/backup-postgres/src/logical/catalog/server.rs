//! What a target server offers.

use std::collections::BTreeSet;

use backup_core::Result;

use super::{flag, optional, text};
use crate::{Client, quote_literal};

/// What a restore may rely on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    pub(crate) version_num: u32,
    pub(crate) server_version: String,
    pub(crate) user: String,
    pub(crate) is_superuser: bool,
    pub(crate) can_create_roles: bool,
    pub(crate) can_create_databases: bool,
    pub(crate) roles: BTreeSet<String>,
    /// Roles whose objects we may create or hand over.
    pub(crate) memberships: BTreeSet<String>,
    pub(crate) extensions: BTreeSet<String>,
    pub(crate) tablespaces: BTreeSet<String>,
}

impl Offer {
    /// Returns the server's major version.
    pub(crate) fn major(&self) -> u32 {
        self.version_num / 10_000
    }
}

/// Reads it; changes nothing.
pub(crate) async fn read(client: &mut Client) -> Result<Offer> {
    let version_num = client.server_version_num();
    let rows = client.query(ME).await?;
    let me = rows.first();
    let is = |name: &str| me.is_some_and(|row| flag(row, name));
    // Since 16 a member may hand objects over only with the SET option.
    let privilege = if version_num >= 160_000 { "SET" } else { "MEMBER" };
    let memberships = format!(
        "SELECT rolname AS name FROM pg_catalog.pg_roles \
         WHERE pg_catalog.pg_has_role(oid, '{privilege}')"
    );
    Ok(Offer {
        version_num,
        server_version: client.parameter("server_version").unwrap_or_default().to_owned(),
        user: me.map(|row| text(row, "rolname")).transpose()?.unwrap_or_default(),
        is_superuser: is("rolsuper"),
        can_create_roles: is("rolcreaterole") || is("rolsuper"),
        can_create_databases: is("rolcreatedb") || is("rolsuper"),
        roles: names(client, "SELECT rolname AS name FROM pg_catalog.pg_roles").await?,
        memberships: names(client, &memberships).await?,
        extensions: names(client, "SELECT name FROM pg_catalog.pg_available_extensions").await?,
        tablespaces: names(client, "SELECT spcname AS name FROM pg_catalog.pg_tablespace").await?,
    })
}

/// Returns the comment on a database, if there is one.
pub(crate) async fn comment_on(client: &mut Client, database: &str) -> Result<Option<String>> {
    let sql = format!(
        "SELECT pg_catalog.shobj_description(oid, 'pg_database') AS comment \
         FROM pg_catalog.pg_database WHERE datname = {}",
        quote_literal(database)
    );
    Ok(client.query(&sql).await?.first().and_then(|row| optional(row, "comment")))
}

async fn names(client: &mut Client, sql: &str) -> Result<BTreeSet<String>> {
    client.query(sql).await?.iter().map(|row| text(row, "name")).collect()
}

const ME: &str = "\
SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_catalog.pg_roles \
WHERE rolname = current_user";
