//! What changed since an earlier snapshot: the server's WAL summaries say it (17 and newer), and
//! only that is read. The new snapshot is complete all the same: what did not change is taken
//! over from the earlier one.
//!
//! Nothing is taken over without proof: the earlier snapshot is whole, of the same cluster and
//! not suspect; the summaries reach without a gap from its start to the start of this one; and
//! every few snapshots everything is read again.

mod base;
mod blocks;
mod increment;
mod summary;

pub(crate) use base::{Base, BaseFile, BaseGroup, NoBase};
pub(crate) use blocks::{Change, ChangedBlocks, Pages};
pub(crate) use increment::{Increment, real_path, whole_label};
pub(crate) use summary::read;

/// The first version with WAL summaries.
pub(crate) const FIRST_VERSION: u32 = 170_000;
