//! What the provider is told.

use backup_core::{Result, Secret};
use backup_postgres::tools::ToolPaths;

use crate::address::Address;

/// Where a service's database is, and where PostgreSQL's client programs are.
#[derive(Clone, Debug)]
pub struct RailwayConfig {
    /// How to connect; shows no password.
    pub address: Address,
    /// Where to look for `pg_dump` and `pg_restore`.
    pub tools: ToolPaths,
}

impl RailwayConfig {
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

/// Which service of which environment is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RailwayPlace {
    /// The project's id; a project token tells it.
    pub project: Option<String>,
    /// The environment's id; a project token tells it.
    pub environment: Option<String>,
    /// The service's name or id; the only one that runs PostgreSQL needs no naming.
    pub service: Option<String>,
    /// Whether this process runs in that environment, so that its private network is at hand.
    pub inside: bool,
}
