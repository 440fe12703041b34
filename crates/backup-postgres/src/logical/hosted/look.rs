//! Looking at a hosted database to decide what of it is copied.

use backup_core::Result;

use super::scope::Owned;
use super::{Hosted, Scope};
use crate::logical::catalog::database::Database;
use crate::logical::catalog::{sequences, tables};
use crate::{Client, ConnectOptions, Row};

/// Looks, in a session of its own: nothing is locked yet.
pub(crate) async fn look(
    connect: &ConnectOptions,
    database: &Database,
    hosted: &Hosted,
) -> Result<Scope> {
    let mut client = Client::connect(connect).await?;
    let schemas = first(&client.query("SELECT nspname FROM pg_catalog.pg_namespace").await?);
    let extensions = first(&client.query("SELECT extname FROM pg_catalog.pg_extension").await?);
    let owned = Owned {
        roles: pairs(&client.query(ROLES).await?),
        children: pairs(&client.query(CHILDREN).await?),
    };
    let hypertables = match extensions.iter().any(|name| name == "timescaledb") {
        true => pairs(&client.query(HYPERTABLES).await?),
        false => Vec::new(),
    };
    let tables = tables::read(&mut client, database).await?;
    let sequences = sequences::list(&mut client).await?;
    client.close().await;
    let mut scope = Scope::resolve(hosted, &schemas, &owned, &extensions, &tables);
    scope.hypertables = hypertables;
    scope.note_optional(&tables, &sequences);
    Ok(scope)
}

fn first(rows: &[Row]) -> Vec<String> {
    rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect()
}

fn pairs(rows: &[Row]) -> Vec<(String, String)> {
    let pair = |row: &Row| Some((row.get(0)?.to_owned(), row.get(1)?.to_owned()));
    rows.iter().filter_map(pair).collect()
}

/// Which roles own a schema, or a table in it; what comes with an extension is nobody's.
const ROLES: &str = "\
SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n \
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = n.oid AND d.deptype = 'e' \
  AND d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass) \
UNION SELECT n.nspname, pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't' \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e' \
  AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)";

/// In which schemas tables are children of tables of other schemas.
const CHILDREN: &str = "\
SELECT DISTINCT n.nspname, pn.nspname FROM pg_catalog.pg_inherits i \
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent \
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace \
WHERE c.relkind IN ('r', 'p', 'f') AND n.oid <> pn.oid";

const HYPERTABLES: &str = "\
SELECT schema_name, table_name FROM _timescaledb_catalog.hypertable ORDER BY 1, 2";
