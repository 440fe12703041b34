//! What the system catalogs say, read with plain queries.

pub(crate) mod database;
pub(crate) mod emptiness;
pub(crate) mod large_objects;
pub(crate) mod objects;
pub(crate) mod sequences;
pub(crate) mod server;
pub(crate) mod tables;
pub(crate) mod usage;

use std::str::FromStr;

use backup_core::{Error, ErrorKind, Result};

use crate::Row;

/// Returns a column that is never NULL.
fn text(row: &Row, name: &str) -> Result<String> {
    optional(row, name).ok_or_else(|| unexpected(name))
}

/// Returns a column that may be NULL.
fn optional(row: &Row, name: &str) -> Option<String> {
    row.by_name(name).map(str::to_owned)
}

/// Returns a numeric column that is never NULL.
fn number<N: FromStr>(row: &Row, name: &str) -> Result<N> {
    row.by_name(name).and_then(|text| text.parse().ok()).ok_or_else(|| unexpected(name))
}

/// Returns a boolean column; NULL is false.
fn flag(row: &Row, name: &str) -> bool {
    row.by_name(name) == Some("t")
}

/// Returns a column that holds a JSON array of texts; NULL is empty.
fn list(row: &Row, name: &str) -> Result<Vec<String>> {
    let Some(text) = row.by_name(name) else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|error| unexpected(name).because(error))
}

fn unexpected(column: &str) -> Error {
    Error::new(ErrorKind::Failed, "read system catalog")
        .with("column", column)
        .hint("The server answered in a way this version does not know; report it.")
}
