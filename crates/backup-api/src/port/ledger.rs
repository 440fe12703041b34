//! What must be remembered for the server itself: tokens and the audit record.

use async_trait::async_trait;
use backup_core::Result;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Entry;

/// A durable place for tokens and for the audit record.
///
/// Contract: what returned `Ok` survives kill -9.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Returns every token, revoked ones included.
    async fn tokens(&self) -> Result<Vec<TokenRecord>>;

    /// Keeps a new token; `Conflict` when its id is taken.
    async fn keep_token(&self, token: &TokenRecord) -> Result<()>;

    /// Marks a token as revoked from now on; `NotFound` when there is none. Revoking twice
    /// keeps the first instant.
    async fn revoke_token(&self, id: &str, at: Timestamp) -> Result<()>;

    /// Appends one entry; `Conflict` unless its sequence is one more than the newest. Entries
    /// are never changed or removed.
    async fn append_audit(&self, entry: &Entry) -> Result<()>;

    /// Returns the newest entry.
    async fn newest_audit(&self) -> Result<Option<Entry>>;

    /// Returns at most `limit` entries with a sequence above `after`, oldest first.
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>>;
}

/// What a token allows; each role may do what the one before may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read everything but tokens.
    Viewer,
    /// Also start and cancel runs.
    Operator,
    /// Also make and revoke tokens.
    Admin,
}

impl Role {
    /// Returns the stable word used in JSON and configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Returns the role of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

/// A token as it is kept: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public half, by which it is found.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// SHA-256 of the whole token, in hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
