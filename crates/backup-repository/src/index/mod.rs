//! Indexes: which chunk is in which pack.

mod memory;
mod object;

pub(crate) use memory::{Chain, Index, Location};
pub(crate) use object::IndexObject;
