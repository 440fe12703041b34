//! Where the servers of a keyspace stand.

use backup_core::Result;

use super::Shards;
use crate::{Client, error_code, quote_name};

/// Returns the transactions that each shard has seen, in words, by shard; nothing where Vitess does
/// not say so of every one.
pub(super) async fn positions(client: &mut Client, shards: &Shards) -> Result<Option<Vec<String>>> {
    let keyspace = shards.connect.database();
    let sql = format!("SHOW GLOBAL GTID_EXECUTED FROM {}", quote_name(keyspace));
    let rows = match client.query(&sql).await {
        Ok(rows) => rows,
        Err(error) if error_code(&error).is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut positions: Vec<String> = rows
        .iter()
        .filter(|row| !row.text(1).trim().is_empty())
        .map(|row| format!("{}: {}", row.text(2), row.text(1).replace(['\n', ' '], "")))
        .collect();
    positions.sort();
    Ok((positions.len() == shards.count()).then_some(positions))
}
