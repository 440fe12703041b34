//! All indexes of a repository, merged in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backup_core::{ChunkId, IndexId, PackId};

use super::IndexObject;
use crate::codec::Encoding;
use crate::pack::PackEntries;

/// Where a chunk is and how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Position in [`Index::packs`].
    pub(crate) pack: u32,
    pub(crate) ordinal: u32,
    pub(crate) offset: u32,
    pub(crate) sealed: u32,
    pub(crate) raw: u32,
    pub(crate) encoding: Encoding,
    pub(crate) depth: u8,
    pub(crate) base: Option<ChunkId>,
}

/// What is known of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackInfo {
    pub(crate) id: PackId,
    pub(crate) size: u64,
    pub(crate) marked_at: Option<i64>,
}

/// Every live index object, merged: chunk → place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) packs: Vec<PackInfo>,
    chunks: HashMap<ChunkId, Location>,
    by_pack: HashMap<PackId, u32>,
}

impl Index {
    /// Merges index objects, leaving out those that another one supersedes.
    ///
    /// A pack named twice is one pack; it counts as marked only if every live index that names
    /// it says so. A chunk in several packs is taken from an unmarked one.
    pub(crate) fn merge(objects: &[(IndexId, Arc<IndexObject>)]) -> Self {
        let dead: HashSet<IndexId> =
            objects.iter().flat_map(|(_, object)| object.supersedes.iter().copied()).collect();
        let mut index = Self::default();
        let live: Vec<&PackEntries> = objects
            .iter()
            .filter(|(id, _)| !dead.contains(id))
            .flat_map(|(_, object)| &object.packs)
            .collect();
        // Unmarked packs first, so that their chunks win.
        let (unmarked, marked): (Vec<&PackEntries>, Vec<&PackEntries>) =
            live.into_iter().partition(|pack| pack.marked_at.is_none());
        for pack in unmarked.into_iter().chain(marked) {
            index.insert(pack);
        }
        index
    }

    /// Adds a pack; one that is known already changes nothing.
    pub(crate) fn insert(&mut self, pack: &PackEntries) {
        if self.by_pack.contains_key(&pack.id) {
            return;
        }
        let number = self.packs.len() as u32;
        self.by_pack.insert(pack.id, number);
        self.packs.push(PackInfo { id: pack.id, size: pack.size, marked_at: pack.marked_at });
        for (ordinal, offset, entry) in pack.placed() {
            self.chunks.entry(entry.id).or_insert(Location {
                pack: number,
                ordinal,
                offset,
                sealed: entry.sealed,
                raw: entry.raw,
                encoding: entry.encoding,
                depth: entry.depth,
                base: entry.base,
            });
        }
    }

    /// Returns where a chunk is.
    pub(crate) fn find(&self, id: &ChunkId) -> Option<&Location> {
        self.chunks.get(id)
    }

    /// Returns where a chunk is, unless its pack is marked for deletion.
    pub(crate) fn find_unmarked(&self, id: &ChunkId) -> Option<&Location> {
        self.find(id).filter(|at| self.pack(at).is_some_and(|pack| pack.marked_at.is_none()))
    }

    /// Returns the pack a location points into.
    pub(crate) fn pack(&self, location: &Location) -> Option<&PackInfo> {
        self.packs.get(location.pack as usize)
    }

    /// Returns a pack by id.
    pub(crate) fn pack_by_id(&self, id: &PackId) -> Option<&PackInfo> {
        self.packs.get(*self.by_pack.get(id)? as usize)
    }

    /// Returns how many chunks are known.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }
}
