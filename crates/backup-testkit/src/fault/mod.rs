//! A store that breaks on demand.

mod rule;
mod store;
#[cfg(test)]
mod tests;

pub use rule::{Fault, Operation};
pub use store::{Call, FaultStore};
