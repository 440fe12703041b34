//! The database itself.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::{Client, quote_text};

/// What a database is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Database {
    pub(crate) charset: String,
    pub(crate) collation: String,
    /// Bytes of rows and indexes, as the server estimates them.
    pub(crate) bytes: u64,
}

impl Database {
    /// Reads it; nothing where there is none of that name, or none that this user sees.
    pub(crate) async fn read(client: &mut Client, name: &str) -> Result<Option<Self>> {
        let name = quote_text(name);
        let sql = format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}"
        );
        let Some(row) = client.first(&sql).await? else { return Ok(None) };
        let sql = format!(
            "SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {name}"
        );
        let size = client.first(&sql).await?;
        Ok(Some(Self {
            charset: row.text(0),
            collation: row.text(1),
            bytes: size.and_then(|row| row.number(0)).unwrap_or(0),
        }))
    }

    /// Writes what a restored database is compared with.
    pub(crate) fn to_facts(&self, facts: &mut BTreeMap<String, String>) {
        facts.insert("encoding".to_owned(), self.charset.clone());
        facts.insert("collate".to_owned(), self.collation.clone());
    }
}
