//! PostgreSQL at a vendor's endpoint.

use std::sync::Arc;

use backup_config::ProviderKind;
use backup_core::port::{DataPlane, DrillTarget, Endpoint, Provider};
use backup_core::{Result, Secret};
use backup_postgres::scratch::GivenServer;
use backup_postgres::tools::ToolPaths;

use crate::provider::{connect_options, hosted};

/// Speaks to endpoints as to any PostgreSQL server, by the rules of who hosts it.
#[derive(Clone, Debug)]
pub(super) struct PostgresPlane {
    pub(super) provider: ProviderKind,
    pub(super) tools: ToolPaths,
    /// For URLs without one.
    pub(super) password: Option<Secret>,
}

impl DataPlane for PostgresPlane {
    fn database(&self, endpoint: &Endpoint) -> Result<Arc<dyn Provider>> {
        hosted(self.provider, endpoint.url.expose(), self.password.clone(), &self.tools)
    }

    fn drills(&self, endpoint: &Endpoint) -> Result<Arc<dyn DrillTarget>> {
        let connect = connect_options(endpoint.url.expose(), self.password.clone())?;
        let server = GivenServer::new(endpoint.url.clone(), connect, self.tools.clone());
        // Roles of the vendor's own may neither be made nor given objects by anybody.
        Ok(Arc::new(server.with_ownership(false, false)))
    }
}
