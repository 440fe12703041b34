//! Operations under way, written down before anybody waits for them.

use async_trait::async_trait;

use super::Handle;
use crate::{Result, SourceName};

/// Which handles are meant.
pub type Wanted = fn(&Handle) -> bool;

/// The book of what was begun at a vendor and has not ended.
///
/// Contract: what [`HandleBook::keep`] returned for is there after a crash of this process and
/// of the machine. A handle belongs to the process that keeps it; when that has died, the handle
/// is *abandoned*, and the next process that asks for such takes it over, once. What was not asked
/// for is left to others.
#[async_trait]
pub trait HandleBook: Send + Sync + std::fmt::Debug {
    /// Writes a handle down under a key of its own, in place of an earlier one of that key.
    async fn keep(&self, source: &SourceName, key: &str, handle: &Handle) -> Result<()>;

    /// Strikes a handle out; one that is not there is struck out already.
    async fn strike(&self, source: &SourceName, key: &str) -> Result<()>;

    /// Takes over what dead processes left behind of a source, as far as it is `wanted`: keys and
    /// handles, oldest first.
    async fn abandoned(&self, source: &SourceName, wanted: Wanted)
    -> Result<Vec<(String, Handle)>>;

    /// Remembers that a provider snapshot is pinned, or no more; to say so again changes nothing. It is
    /// there for every process, until somebody lets go of it: vendors need not tell what they lock.
    async fn pin(&self, source: &SourceName, id: &str, pinned: bool) -> Result<()>;

    /// Returns the ids of a source's provider snapshots that are pinned, in the order of their letters.
    async fn pins(&self, source: &SourceName) -> Result<Vec<String>>;
}
