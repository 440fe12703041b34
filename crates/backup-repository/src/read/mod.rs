//! Reading: from chunk ids back to bytes.

mod chunk;
mod rate;
mod reader;

pub(crate) use chunk::{ChunkReader, chain, missing_is_damage};
pub(crate) use rate::BaseRate;
pub(crate) use reader::{SnapshotReader, load_map};
