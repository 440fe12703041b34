//! Putting sequences where they were.

use std::collections::BTreeSet;

use backup_core::Result;
use backup_core::port::PartSource;

use super::read_part;
use super::stream::json_lines;
use crate::Client;
use crate::logical::catalog::sequences::Sequence;
use crate::logical::names::SEQUENCES;

/// Sequences set by one round trip.
const BATCH: usize = 200;

/// Reads the recorded values, of these sequences only where a choice is given.
pub(crate) async fn read(
    parts: &dyn PartSource,
    chosen: Option<&BTreeSet<(String, String)>>,
) -> Result<Vec<Sequence>> {
    let Some(bytes) = read_part(parts, SEQUENCES).await? else { return Ok(Vec::new()) };
    let mut sequences: Vec<Sequence> = json_lines(&bytes, SEQUENCES)?;
    if let Some(chosen) = chosen {
        sequences.retain(|one| chosen.contains(&(one.schema.clone(), one.name.clone())));
    }
    Ok(sequences)
}

/// Sets them; returns how many.
pub(super) async fn set(client: &mut Client, sequences: &[Sequence]) -> Result<usize> {
    for batch in sequences.chunks(BATCH) {
        let sql: Vec<String> = batch.iter().map(Sequence::setval).collect();
        client.execute(&sql.join("; ")).await?;
    }
    Ok(sequences.len())
}
