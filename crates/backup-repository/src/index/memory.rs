//! All indexes of a repository, merged in memory.

use std::collections::hash_map::Entry;
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
    /// Further places of the few chunks that were stored more than once.
    copies: HashMap<ChunkId, Vec<Location>>,
    by_pack: HashMap<PackId, u32>,
}

impl Index {
    /// Merges index objects, leaving out those that another one supersedes.
    ///
    /// A pack named twice is one pack; it counts as marked only if every live index that names
    /// it says so, and then since the latest of them. Every place of a chunk is kept:
    /// [`Index::chain`] chooses.
    pub(crate) fn merge(objects: &[(IndexId, Arc<IndexObject>)]) -> Self {
        let dead: HashSet<IndexId> =
            objects.iter().flat_map(|(_, object)| object.supersedes.iter().copied()).collect();
        let mut index = Self::default();
        let live: Vec<&PackEntries> = objects
            .iter()
            .filter(|(id, _)| !dead.contains(id))
            .flat_map(|(_, object)| &object.packs)
            .collect();
        for pack in live {
            index.insert(pack);
        }
        index
    }

    /// Adds a pack; of one that is known already, only the mark counts.
    pub(crate) fn insert(&mut self, pack: &PackEntries) {
        let known = self.by_pack.get(&pack.id).and_then(|at| self.packs.get_mut(*at as usize));
        if let Some(known) = known {
            known.marked_at = known.marked_at.zip(pack.marked_at).map(|(a, b)| a.max(b));
            return;
        }
        let number = self.packs.len() as u32;
        self.by_pack.insert(pack.id, number);
        self.packs.push(PackInfo { id: pack.id, size: pack.size, marked_at: pack.marked_at });
        for (ordinal, offset, entry) in pack.placed() {
            let location = Location {
                pack: number,
                ordinal,
                offset,
                sealed: entry.sealed,
                raw: entry.raw,
                encoding: entry.encoding,
                depth: entry.depth,
                base: entry.base,
            };
            match self.chunks.entry(entry.id) {
                Entry::Vacant(free) => {
                    free.insert(location);
                }
                Entry::Occupied(_) => self.copies.entry(entry.id).or_default().push(location),
            }
        }
    }

    /// Returns every place of a chunk.
    pub(crate) fn places(&self, id: &ChunkId) -> impl Iterator<Item = &Location> {
        let copies = self.copies.get(id).into_iter().flatten();
        self.chunks.get(id).into_iter().chain(copies)
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
