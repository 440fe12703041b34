//! Walking tables and indexes with amcheck, where the server has it.

use backup_core::port::IndexCheck;
use backup_core::{Error, Result};

use crate::{Client, quote_ident, sqlstate};

/// Where amcheck goes in a restored database that does not have it.
const SCHEMA: &str = "backup_drill_amcheck";

/// What there is to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The indexes of people, which were built from the rows just now: order within and between
    /// their pages.
    Rebuilt,
    /// Everything, catalogs too, since every page was copied: pages of tables and their large
    /// values as well, and every row is looked for in its indexes.
    Copied,
}

/// Checks the connected database. Installs amcheck first where it is not there, which the schema
/// must have been compared before.
pub(super) async fn check(client: &mut Client, scope: Scope) -> Result<IndexCheck> {
    let schema = match install(client).await {
        Ok(schema) => schema,
        // The catalogs that it goes into are damaged.
        Err(error) if is_damage(&error) => {
            let problems = vec![format!("amcheck cannot be installed there: {error}")];
            return Ok(IndexCheck { problems, ..IndexCheck::default() });
        }
        Err(error) => {
            let unavailable = Some(format!("amcheck cannot be installed there: {error}"));
            return Ok(IndexCheck { unavailable, ..IndexCheck::default() });
        }
    };
    let mut found = IndexCheck::default();
    let schema = quote_ident(&schema);
    if scope == Scope::Copied && client.parameter("server_version").is_some_and(has_heap_check) {
        walk_tables(client, &schema, &mut found).await?;
    }
    let (filter, rows) = match scope {
        Scope::Rebuilt => (OF_PEOPLE, "false"),
        Scope::Copied => ("", "true"),
    };
    for row in client.query(&format!("{INDEXES} {filter} ORDER BY c.oid")).await? {
        let (Some(oid), Some(name)) = (row.by_name("oid"), row.by_name("name")) else { continue };
        let sql = format!("SELECT {schema}.bt_index_check({oid}::pg_catalog.regclass, {rows})");
        match client.query(&sql).await {
            Ok(_) => found.checked += 1,
            Err(error) if is_damage(&error) => found.problems.push(format!("{name}: {error}")),
            Err(error) => return Err(error.with("index", name)),
        }
    }
    Ok(found)
}

async fn walk_tables(client: &mut Client, schema: &str, found: &mut IndexCheck) -> Result<()> {
    for row in client.query(TABLES).await? {
        let (Some(oid), Some(name)) = (row.by_name("oid"), row.by_name("name")) else { continue };
        let sql = format!(
            "SELECT blkno, msg FROM {schema}.verify_heapam({oid}::pg_catalog.regclass, \
             on_error_stop := true, check_toast := true) LIMIT 1"
        );
        match client.query(&sql).await {
            Ok(rows) => match rows.first() {
                None => found.tables += 1,
                Some(wrong) => {
                    let (block, what) = (wrong.get(0), wrong.get(1));
                    let (block, what) = (block.unwrap_or("?"), what.unwrap_or_default());
                    found.problems.push(format!("{name}, block {block}: {what}"));
                }
            },
            Err(error) if is_damage(&error) => found.problems.push(format!("{name}: {error}")),
            Err(error) => return Err(error.with("table", name)),
        }
    }
    Ok(())
}

/// `verify_heapam` came with PostgreSQL 14.
fn has_heap_check(version: &str) -> bool {
    let major = version.split(|c: char| !c.is_ascii_digit()).next();
    major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 14)
}

async fn install(client: &mut Client) -> Result<String> {
    let sql = "SELECT n.nspname FROM pg_catalog.pg_extension e \
         JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";
    let rows = client.query(sql).await?;
    if let Some(schema) = rows.first().and_then(|row| row.get(0)) {
        return Ok(schema.to_owned());
    }
    client.execute(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    client.execute(&format!("CREATE EXTENSION amcheck SCHEMA {SCHEMA}")).await?;
    Ok(SCHEMA.to_owned())
}

/// `index_corrupted`, `data_corrupted`.
fn is_damage(error: &Error) -> bool {
    matches!(sqlstate(error), Some("XX002" | "XX001"))
}

const INDEXES: &str = "\
SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
JOIN pg_catalog.pg_am a ON a.oid = c.relam JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p' \
AND i.indisready AND i.indisvalid";

const OF_PEOPLE: &str = "AND n.nspname <> 'pg_catalog' AND n.nspname <> 'pg_toast'";

const TABLES: &str = "\
SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm') AND c.relpersistence = 'p' ORDER BY c.oid";
