//! Writing: from an engine's segments to packs, indexes and one manifest.
//!
//! Order of durability, which everything else relies on: packs, then indexes, then the
//! manifest. Until the manifest exists nothing happened; what was stored is found again by the
//! next run, which is all there is to resuming.

mod chunk;
mod commit;
mod ledger;
mod packer;
mod parts;
mod previous;
mod segment;
mod shared;
mod writer;

pub(crate) use chunk::{ChunkStore, Tally};
pub(crate) use commit::MARK_TRUST;
pub(crate) use ledger::store_index;
pub(crate) use packer::Packer;
pub use writer::{SnapshotDraft, SnapshotWriter};
