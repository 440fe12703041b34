//! Facts recorded with a snapshot.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::Client;
use crate::logical::catalog::database::Database;
use crate::logical::catalog::usage;
use crate::logical::fingerprint::CONSTRUCTION;

/// The first server that knows the version of a database's collation.
const COLLATION_VERSIONS: u32 = 150_000;

/// Reads everything about the instant that a restore, or a question to it, may need.
pub(super) async fn read(
    holder: &mut Client,
    database: &Database,
) -> Result<BTreeMap<String, String>> {
    let mut facts = BTreeMap::new();
    database.locale.to_facts(&mut facts);
    usage::read(holder, &mut facts).await?;
    let mut put = |name: &str, value: String| facts.insert(name.to_owned(), value);
    put("database", database.name.clone());
    put("server_version_num", database.version_num.to_string());
    put("block_size", database.block_size.to_string());
    put("timezone", database.timezone.clone());
    put("database_bytes", database.bytes.to_string());
    put("standby", database.in_recovery.to_string());
    let kind = if database.system_is_stand_in { "location" } else { "system identifier" };
    put("identity_from", kind.to_owned());
    let position = if database.in_recovery {
        "pg_catalog.pg_last_wal_replay_lsn()"
    } else {
        "pg_catalog.pg_current_wal_insert_lsn()"
    };
    let sql = format!(
        "SELECT {position} AS lsn, \
         pg_catalog.to_char(pg_catalog.transaction_timestamp() AT TIME ZONE 'UTC', \
         'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS instant"
    );
    let rows = holder.query(&sql).await?;
    if let Some(row) = rows.first() {
        put("wal_lsn", row.by_name("lsn").unwrap_or_default().to_owned());
        put("instant", row.by_name("instant").unwrap_or_default().to_owned());
    }
    if database.version_num >= COLLATION_VERSIONS {
        let sql = "SELECT pg_catalog.pg_database_collation_actual_version(oid) AS version \
             FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()";
        let rows = holder.query(sql).await?;
        if let Some(version) = rows.first().and_then(|row| row.by_name("version")) {
            facts.insert("collation_version".to_owned(), version.to_owned());
        }
    }
    let rows = holder.query("SHOW lc_monetary").await?;
    let money = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
    facts.insert("lc_monetary".to_owned(), money.to_owned());
    facts.insert("row_fingerprint".to_owned(), CONSTRUCTION.to_owned());
    Ok(facts)
}
