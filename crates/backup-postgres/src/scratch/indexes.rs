//! Walking indexes with amcheck, where the server has it.

use backup_core::port::IndexCheck;
use backup_core::{Error, Result};

use crate::{Client, quote_ident, sqlstate};

/// Where amcheck goes in a restored database that does not have it.
const SCHEMA: &str = "backup_drill_amcheck";

/// Checks every B-tree of the connected database: order within and between its pages. Installs
/// amcheck first where it is not there, which the schema must have been compared before.
pub(super) async fn check(client: &mut Client) -> Result<IndexCheck> {
    let schema = match install(client).await {
        Ok(schema) => schema,
        Err(error) => {
            let unavailable = Some(format!("amcheck cannot be installed there: {error}"));
            return Ok(IndexCheck { unavailable, ..IndexCheck::default() });
        }
    };
    let mut found = IndexCheck::default();
    let function = format!("{}.bt_index_check", quote_ident(&schema));
    for row in client.query(INDEXES).await? {
        let (Some(oid), Some(name)) = (row.by_name("oid"), row.by_name("name")) else { continue };
        match client.query(&format!("SELECT {function}({oid}::pg_catalog.regclass)")).await {
            Ok(_) => found.checked += 1,
            Err(error) if is_damage(&error) => found.problems.push(format!("{name}: {error}")),
            Err(error) => return Err(error.with("index", name)),
        }
    }
    Ok(found)
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
AND i.indisready AND i.indisvalid AND n.nspname <> 'pg_catalog' AND n.nspname <> 'pg_toast' \
ORDER BY c.oid";
