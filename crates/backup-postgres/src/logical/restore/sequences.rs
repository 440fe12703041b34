//! Putting sequences where they were.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::Result;
use backup_core::port::PartSource;

use super::read_part;
use super::stream::json_lines;
use crate::logical::catalog::sequences::Sequence;
use crate::logical::hosted::Scope;
use crate::logical::names::SEQUENCES;
use crate::{Client, quote_literal};

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

/// Drops the values of sequences that come with an optional extension and are not there.
pub(super) async fn drop_optional(
    client: &mut Client,
    facts: &BTreeMap<String, String>,
    values: &mut Vec<Sequence>,
) -> Result<()> {
    let optional = Scope::optional_relations(facts);
    for name in values
        .iter()
        .map(Sequence::label)
        .filter(|name| optional.contains(name))
        .collect::<Vec<_>>()
    {
        let Some(one) = values.iter().find(|one| one.label() == name) else { continue };
        let sql =
            format!("SELECT pg_catalog.to_regclass({}) AS found", quote_literal(&one.sql_name()));
        let rows = client.query(&sql).await?;
        if rows.first().is_none_or(|row| row.by_name("found").is_none()) {
            values.retain(|one| one.label() != name);
        }
    }
    Ok(())
}

/// Sets them; returns how many.
pub(super) async fn set(client: &mut Client, sequences: &[Sequence]) -> Result<usize> {
    for batch in sequences.chunks(BATCH) {
        let sql: Vec<String> = batch.iter().map(Sequence::setval).collect();
        client.execute(&sql.join("; ")).await?;
    }
    Ok(sequences.len())
}
