//! Indexes: which chunk is in which pack.

mod chain;
mod memory;
mod object;

pub(crate) use chain::Chain;
pub(crate) use memory::{Index, Location};
pub(crate) use object::IndexObject;
