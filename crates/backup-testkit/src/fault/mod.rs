//! A store that breaks on demand.

mod rule;
mod store;

pub use rule::{Fault, Operation};
pub use store::{Call, FaultStore};
