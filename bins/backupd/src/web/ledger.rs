//! Tokens and the audit record.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backup::daemon::AUDIT;
use backup_api::audit::Entry;
use backup_api::port::{Ledger, TokenRecord};
use backup_core::port::Catalog;
use backup_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tokens::TokenFile;

/// What the server needs remembered: tokens in a file of their own, the audit record in the
/// catalog.
#[derive(Debug)]
pub(crate) struct StateLedger {
    tokens: TokenFile,
    catalog: Arc<dyn Catalog>,
}

impl StateLedger {
    /// Returns the ledger of a daemon's directory.
    pub(crate) fn new(directory: &Path, catalog: Arc<dyn Catalog>) -> Self {
        Self { tokens: TokenFile::new(directory), catalog }
    }
}

#[async_trait]
impl Ledger for StateLedger {
    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.tokens.load()
    }

    async fn keep_token(&self, token: &TokenRecord) -> Result<()> {
        self.tokens.change(|tokens| {
            if tokens.iter().any(|known| known.id == token.id) {
                return Err(Error::new(ErrorKind::Conflict, "keep token").with("token", &token.id));
            }
            tokens.push(token.clone());
            Ok(())
        })
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> Result<()> {
        self.tokens.change(|tokens| {
            let token = tokens.iter_mut().find(|token| token.id == id).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "find token").with("token", id.escape_debug())
            })?;
            token.revoked_at.get_or_insert(at);
            Ok(())
        })
    }

    async fn append_audit(&self, entry: &Entry) -> Result<()> {
        self.catalog.append(AUDIT, entry.sequence, &write(entry)?).await
    }

    async fn newest_audit(&self) -> Result<Option<Entry>> {
        let newest = self.catalog.newest(AUDIT).await?;
        newest.map(|(_, text)| read(&text)).transpose()
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let entries = self.catalog.log(AUDIT, after, limit).await?;
        entries.iter().map(|(_, text)| read(text)).collect()
    }
}

pub(super) fn write<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Failed, "write to the catalog").because(error))
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::Failed, "read from the catalog").because(error))
}
