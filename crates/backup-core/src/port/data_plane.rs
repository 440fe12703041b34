//! From an endpoint to something that speaks SQL to it.

use std::sync::Arc;

use super::{DrillTarget, Endpoint, Provider};
use crate::Result;

/// Opens databases by their endpoints: where control plane and engine meet.
///
/// Contract: connects to nothing. A vendor's rules about its data (what a dump leaves out, what a
/// restore may not touch) live in the providers and drill targets that it returns.
pub trait DataPlane: Send + Sync + std::fmt::Debug {
    /// Returns the database at an endpoint as a source and a target.
    fn database(&self, endpoint: &Endpoint) -> Result<Arc<dyn Provider>>;

    /// Returns a copy at an endpoint that nobody writes to, as a source.
    fn frozen(&self, endpoint: &Endpoint) -> Result<Arc<dyn Provider>> {
        self.database(endpoint)
    }

    /// Returns the server at an endpoint as a place for drills: throw-away databases on it.
    fn drills(&self, endpoint: &Endpoint) -> Result<Arc<dyn DrillTarget>>;
}
