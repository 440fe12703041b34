//! Databases at a vendor's endpoint.

use std::sync::Arc;

use backup_config::ProviderKind;
use backup_core::port::{DataPlane, DrillTarget, Endpoint, Provider};
use backup_core::{Error, ErrorKind, Result, Secret};
use backup_mysql::VitessReading;
use backup_postgres::scratch::GivenServer;
use backup_postgres::tools::ToolPaths;

use backup_provider_mysql::MysqlProvider;

use crate::provider::{connect_options, hosted, mysql_options};

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

/// Speaks MySQL to endpoints behind Vitess.
#[derive(Clone, Debug)]
pub(super) struct VitessPlane;

impl VitessPlane {
    fn at(endpoint: &Endpoint, reading: VitessReading) -> Result<Arc<dyn Provider>> {
        let connect = mysql_options(endpoint.url.expose(), None)?;
        // Who asked for a live database asked for it in its URL.
        let fuzzy = connect.vitess() == VitessReading::Fuzzy && reading != VitessReading::Frozen;
        let connect = if fuzzy { connect } else { connect.with_vitess(reading) };
        Ok(Arc::new(MysqlProvider::from_options(connect)))
    }
}

impl DataPlane for VitessPlane {
    fn database(&self, endpoint: &Endpoint) -> Result<Arc<dyn Provider>> {
        Self::at(endpoint, VitessReading::ByCopy)
    }

    fn frozen(&self, endpoint: &Endpoint) -> Result<Arc<dyn Provider>> {
        Self::at(endpoint, VitessReading::Frozen)
    }

    fn drills(&self, _: &Endpoint) -> Result<Arc<dyn DrillTarget>> {
        Err(no_drills_there())
    }
}

/// No statement makes a database there that a drill could fill.
pub(super) fn no_drills_there() -> Error {
    Error::new(ErrorKind::Unsupported, "drill on a copy at the provider")
        .because("behind Vitess no statement makes a database that a drill could fill")
        .hint("Drill on this machine, or name a MySQL or MariaDB server with --to.")
}
