//! What the provider is told.

use backup_core::{Result, Secret};
use backup_postgres::tools::ToolPaths;

use crate::address::Address;

/// Where a project's database is, and where PostgreSQL's client programs are.
#[derive(Clone, Debug)]
pub struct SupabaseConfig {
    /// How to connect; shows no password.
    pub address: Address,
    /// Where to look for `pg_dump` and `pg_restore`.
    pub tools: ToolPaths,
}

impl SupabaseConfig {
    /// Parses a database URL; `ConfigInvalid` says what is wrong with it, without its password.
    pub fn parse(url: &str, tools: ToolPaths) -> Result<Self> {
        Ok(Self { address: Address::parse(url)?, tools })
    }

    /// Uses this password where the URL has none.
    #[must_use]
    pub fn or_password(mut self, password: Option<Secret>) -> Self {
        if let Some(password) = password.filter(|_| !self.address.connect.has_password()) {
            self.address.connect = self.address.connect.with_password(password);
        }
        self
    }
}
