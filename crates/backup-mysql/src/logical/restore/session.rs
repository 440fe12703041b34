//! Sessions that write.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::{Client, ConnectOptions};

/// A mode in which whatever does not fit is an error, and every value that the source could hold
/// fits.
pub(super) const STRICT: &str =
    "NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION";

/// Opens a session for making objects and loading rows: nothing is checked that the source has
/// checked already; foreign keys are asked about at the end.
pub(super) async fn writing(
    connect: &ConnectOptions,
    facts: &BTreeMap<String, String>,
) -> Result<Client> {
    let mut client = Client::connect(connect).await?;
    client
        .execute(&format!(
            "SET SESSION sql_mode = '{STRICT}', foreign_key_checks = 0, unique_checks = 0"
        ))
        .await?;
    // Who loads the first rows of a table holds it alone: the others wait for as long as it takes.
    client.try_set("innodb_lock_wait_timeout", "86400").await?;
    // What was complained of is looked at, one by one.
    client.execute("SET SESSION max_error_count = 65535").await?;
    // Rows that the source holds against a constraint are restored as they are.
    client.try_set("check_constraint_checks", "0").await?;
    if let Some(explicit) = facts.get("explicit_defaults_for_timestamp") {
        let on = if explicit == "OFF" || explicit == "0" { "0" } else { "1" };
        client.try_set("explicit_defaults_for_timestamp", on).await?;
    }
    Ok(client)
}
