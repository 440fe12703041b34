//! From damaged packs and chunks to the parts and snapshots they affect: pure.

use std::collections::{BTreeMap, HashMap};

use backup_core::{ChunkId, PackId};
use backup_repository::{Contents, PartReferences};

/// What is known to be wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    /// Packs that are gone or have another size.
    pub(crate) packs: BTreeMap<PackId, String>,
    /// Chunks that cannot be reconstructed.
    pub(crate) chunks: HashMap<ChunkId, String>,
    /// Packs with damaged bytes, whether or not a needed chunk is hit.
    pub(crate) flawed: BTreeMap<PackId, String>,
}

impl Damage {
    /// Compares a pack with the store's listing.
    pub(crate) fn compare(&mut self, contents: &Contents, pack: PackId) {
        let (expected, stored) = (contents.indexed.get(&pack), contents.stored.get(&pack));
        let message = match (expected, stored) {
            (_, None) => "is not in the store".to_owned(),
            (Some(expected), Some(stored)) if expected != stored => {
                format!("has {stored} bytes instead of {expected}")
            }
            _ => return,
        };
        self.packs.insert(pack, message);
    }

    /// Returns whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.chunks.is_empty() && self.flawed.is_empty()
    }

    /// Looks again, after everything was read: a pack that no index names any more was pruned
    /// meanwhile, and one that was too new for the first listing may be there.
    pub(crate) fn settle(&mut self, contents: &Contents) {
        self.packs.retain(|pack, _| {
            let expected = contents.indexed.get(pack);
            expected.is_some() && expected != contents.stored.get(pack)
        });
        self.flawed.retain(|pack, _| contents.indexed.contains_key(pack));
    }

    /// Returns what of it affects a part: at most one message a pack, and a few for chunks.
    pub(crate) fn of_part(&self, part: &PartReferences) -> Vec<String> {
        let mut messages: Vec<String> = part
            .packs
            .iter()
            .filter_map(|pack| Some(format!("pack {pack} {}", self.packs.get(pack)?)))
            .collect();
        let mut chunks: Vec<&String> =
            part.chunks.iter().filter_map(|chunk| self.chunks.get(chunk)).collect();
        chunks.dedup();
        let hit = chunks.len();
        messages.extend(chunks.into_iter().take(SHOWN).cloned());
        if hit > SHOWN {
            messages.push(format!("and {} more chunks", hit - SHOWN));
        }
        messages
    }
}

const SHOWN: usize = 3;
