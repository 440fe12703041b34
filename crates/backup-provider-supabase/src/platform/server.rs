//! When the project's server was started: what tells that a restore has happened.

use async_trait::async_trait;
use backup_core::{Error, ErrorKind, Result};
use backup_postgres::ConnectOptions;

/// Tells when a server was started, in its own words. A project that was put back to a moment has
/// a server that was started since.
#[async_trait]
pub trait Restarts: Send + Sync + std::fmt::Debug {
    /// Returns a text that changes with every start.
    async fn started(&self) -> Result<String>;
}

/// Asks the server itself.
#[derive(Clone, Debug)]
pub struct ServerClock {
    connect: ConnectOptions,
}

impl ServerClock {
    /// Takes where it is; connects to nothing.
    #[must_use]
    pub fn new(connect: ConnectOptions) -> Self {
        Self { connect }
    }
}

#[async_trait]
impl Restarts for ServerClock {
    async fn started(&self) -> Result<String> {
        let mut client = backup_postgres::Client::connect(&self.connect).await?;
        let sql =
            "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::pg_catalog.text";
        let rows = client.query(sql).await?;
        client.close().await;
        rows.first()
            .and_then(|row| row.get(0))
            .map(str::to_owned)
            .ok_or_else(|| Error::new(ErrorKind::Failed, "ask when the server was started"))
    }
}
