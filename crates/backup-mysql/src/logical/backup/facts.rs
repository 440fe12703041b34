//! Facts recorded with a snapshot.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::catalog::database::Database;
use crate::catalog::server::{Flavor, Server};
use crate::logical::fingerprint::CONSTRUCTION;
use crate::{Client, error_code, quote_text};

/// Reads where the server's binary log stands, from a session whose transaction has just begun,
/// and what time it is. MariaDB tells the position of the transaction itself; MySQL tells where
/// the log is now, which is left out unless `held` says that nobody can commit meanwhile. So is
/// what the user may not see.
pub(super) async fn position(
    reader: &mut Client,
    server: &Server,
    held: bool,
) -> Result<BTreeMap<String, String>> {
    let mut facts = BTreeMap::new();
    let now = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')";
    if let Some(row) = reader.first(now).await? {
        facts.insert("instant".to_owned(), row.text(0));
    }
    match server.flavor {
        Flavor::MariaDb => {
            // The transaction's own position, without any right and without any lock.
            for row in reader.query("SHOW STATUS LIKE 'binlog_snapshot_%'").await? {
                let name = match row.text(0).to_ascii_lowercase().as_str() {
                    "binlog_snapshot_file" => "binlog_file",
                    "binlog_snapshot_position" => "binlog_position",
                    _ => continue,
                };
                put(&mut facts, name, row.text(1));
            }
            if let (Some(file), Some(position)) =
                (facts.get("binlog_file"), facts.get("binlog_position"))
            {
                let sql = format!("SELECT BINLOG_GTID_POS({}, {position})", quote_text(file));
                let gtid = optional(reader.query(&sql).await)?;
                put(&mut facts, "gtid", gtid.first().map(|row| row.text(0)).unwrap_or_default());
            }
        }
        Flavor::MySql if !held => {}
        Flavor::MySql => {
            let gtid = optional(reader.query("SELECT @@GLOBAL.gtid_executed").await)?;
            put(&mut facts, "gtid", gtid.first().map(|row| row.text(0)).unwrap_or_default());
            let statement = if server.number >= (8, 4) {
                "SHOW BINARY LOG STATUS"
            } else {
                "SHOW MASTER STATUS"
            };
            let rows = optional(reader.query(statement).await)?;
            if let Some(row) = rows.first() {
                put(&mut facts, "binlog_file", row.text(0));
                put(&mut facts, "binlog_position", row.text(1));
            }
        }
    }
    Ok(facts)
}

fn put(facts: &mut BTreeMap<String, String>, name: &str, value: String) {
    let none = value.is_empty() || (name == "binlog_position" && value == "0");
    if !none {
        facts.insert(name.to_owned(), value);
    }
}

/// Any answer of the server that refuses is none.
fn optional<T: Default>(found: Result<T>) -> Result<T> {
    match found {
        Err(error) if error_code(&error).is_some() => Ok(T::default()),
        found => found,
    }
}

/// Returns what is known of server and database.
pub(super) fn of(server: &Server, database: &Database, name: &str) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    database.to_facts(&mut facts);
    let mut put = |name: &str, value: &str| facts.insert(name.to_owned(), value.to_owned());
    put("database", name);
    put("database_bytes", &database.bytes.to_string());
    put("flavor", server.flavor.as_str());
    put("identity_from", server.identity_from);
    put("row_fingerprint", CONSTRUCTION);
    for name in [
        "sql_mode",
        "explicit_defaults_for_timestamp",
        "lower_case_table_names",
        "max_allowed_packet",
        "log_bin",
        "binlog_format",
    ] {
        put(name, server.variable(name));
    }
    facts
}
