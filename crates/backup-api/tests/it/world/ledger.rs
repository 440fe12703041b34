//! What it remembers for the server.

use async_trait::async_trait;
use backup_api::audit::Entry;
use backup_api::port::{Ledger, TokenRecord};
use backup_core::{Error, ErrorKind, Result};
use jiff::Timestamp;

use super::{World, missing};

#[async_trait]
impl Ledger for World {
    async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        Ok(self.lock().tokens.clone())
    }

    async fn keep_token(&self, token: &TokenRecord) -> Result<()> {
        let mut state = self.lock();
        if state.tokens.iter().any(|known| known.id == token.id) {
            return Err(Error::new(ErrorKind::Conflict, "keep token").with("token", &token.id));
        }
        state.tokens.push(token.clone());
        Ok(())
    }

    async fn revoke_token(&self, id: &str, at: Timestamp) -> Result<()> {
        let mut state = self.lock();
        let token = state.tokens.iter_mut().find(|token| token.id == id);
        let token = token.ok_or_else(|| missing("token", id))?;
        token.revoked_at.get_or_insert(at);
        Ok(())
    }

    async fn append_audit(&self, entry: &Entry) -> Result<()> {
        let mut state = self.lock();
        let next = state.audit.last().map_or(1, |newest| newest.sequence + 1);
        if entry.sequence != next {
            return Err(Error::new(ErrorKind::Conflict, "append audit entry")
                .with("sequence", entry.sequence)
                .with("next", next));
        }
        state.audit.push(entry.clone());
        Ok(())
    }

    async fn newest_audit(&self) -> Result<Option<Entry>> {
        Ok(self.lock().audit.last().cloned())
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>> {
        let state = self.lock();
        Ok(state.audit.iter().filter(|e| e.sequence > after).take(limit).cloned().collect())
    }
}
