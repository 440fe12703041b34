//! Prune: reclaims packs that no snapshot needs, in two phases.
//!
//! Mark (in a new index), wait out the grace period, delete. Everything is decided by a pure
//! planner from facts; the executor carries a plan out under a lease.

mod execute;
mod facts;
mod plan;

pub use execute::PruneReport;
pub use plan::{PruneAction, PruneOptions, PrunePlan, PruneStep};
