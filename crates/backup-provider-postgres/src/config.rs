//! What the provider is told.

use backup_core::{Result, Secret};
use backup_postgres::ConnectOptions;
use backup_postgres::tools::ToolPaths;

use crate::error::unusable_url;

/// Where a database is, and where PostgreSQL's client programs are.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// How to connect; shows no password.
    pub connect: ConnectOptions,
    /// Where to look for `pg_dump` and `pg_restore`.
    pub tools: ToolPaths,
}

impl PostgresConfig {
    /// Parses a `postgres://` URL; `ConfigInvalid` says what is wrong with it, without its
    /// password.
    pub fn parse(url: &str, tools: ToolPaths) -> Result<Self> {
        let connect = ConnectOptions::parse(url).map_err(unusable_url)?;
        Ok(Self { connect, tools })
    }

    /// As [`PostgresConfig::parse`], for a URL that is kept secret as a whole.
    pub fn parse_secret(url: &Secret, tools: ToolPaths) -> Result<Self> {
        Self::parse(url.expose(), tools)
    }
}
