//! From a chunk to the whole one behind it.

use backup_core::ChunkId;

use super::memory::{Index, Location};
use crate::MAX_DEPTH;

/// A chunk and the bases behind it, nearest first.
pub(crate) type Chain = Vec<(ChunkId, Location)>;

/// Places tried before a chunk counts as unreadable; only a forged index has more.
const TRIES: usize = 256;

impl Index {
    /// Returns the chunk and the bases behind it, nearest first: without a marked pack if there
    /// is such a way, then as short as possible.
    ///
    /// Each base is taken from a place of smaller depth than what needs it: such a place existed
    /// when the difference was made, and no circle can arise from chunks stored twice. `None`
    /// when the chunk, or what is behind it, is nowhere.
    pub(crate) fn chain(&self, id: &ChunkId) -> Option<Chain> {
        self.usable_chain(id).or_else(|| self.way(id, true))
    }

    /// Returns the chain of a chunk that a writer may rely on: no pack of it is marked.
    pub(crate) fn usable_chain(&self, id: &ChunkId) -> Option<Chain> {
        self.way(id, false)
    }

    fn way(&self, id: &ChunkId, marked: bool) -> Option<Chain> {
        let mut links = Vec::with_capacity(1);
        let mut tries = TRIES;
        self.walk(id, MAX_DEPTH + 1, marked, &mut tries, &mut links).then_some(links)
    }

    fn walk(
        &self,
        id: &ChunkId,
        below: u8,
        marked: bool,
        tries: &mut usize,
        links: &mut Chain,
    ) -> bool {
        let is_marked = |at: &Location| self.pack(at).is_none_or(|pack| pack.marked_at.is_some());
        let mut places: Vec<Location> = self
            .places(id)
            .filter(|at| at.depth < below && (marked || !is_marked(at)))
            .copied()
            .collect();
        places.sort_by_key(|at| (is_marked(at), at.depth));
        for at in places {
            let Some(left) = tries.checked_sub(1) else { return false };
            *tries = left;
            links.push((*id, at));
            let whole = match at.base {
                Some(base) => self.walk(&base, at.depth, marked, tries, links),
                None => true,
            };
            if whole {
                return true;
            }
            links.pop();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backup_core::{IndexId, PackId};

    use super::*;
    use crate::codec::Encoding;
    use crate::index::IndexObject;
    use crate::pack::{Entry, PackEntries};

    fn chunk(byte: u8, depth: u8, base: Option<u8>) -> Entry {
        let encoding = if base.is_some() { Encoding::Delta } else { Encoding::Zstd };
        let base = base.map(|byte| ChunkId([byte; 32]));
        Entry { id: ChunkId([byte; 32]), sealed: 100, raw: 1000, encoding, depth, base }
    }

    fn index(packs: &[(u8, Option<i64>, &[Entry])]) -> Index {
        let packs = packs.iter().map(|(id, marked_at, entries)| PackEntries {
            id: PackId([*id; 16]),
            size: 1000,
            marked_at: *marked_at,
            entries: entries.to_vec(),
        });
        let object = IndexObject { supersedes: Vec::new(), packs: packs.collect() };
        Index::merge(&[(IndexId([1; 16]), Arc::new(object))])
    }

    fn packs(index: &Index, chain: Option<Chain>) -> Option<Vec<u8>> {
        let pack = |(_, at): &(ChunkId, Location)| index.pack(at).map(|pack| pack.id.0[0]);
        chain?.iter().map(pack).collect()
    }

    const X: ChunkId = ChunkId([7; 32]);

    #[test]
    fn differences_to_each_other_are_read_through_the_whole_one() {
        // Two writers at once: each stored as a difference what the other stored whole.
        let (x, z) = ([chunk(7, 1, Some(9))], [chunk(9, 1, Some(7))]);
        let (whole_x, whole_z) = ([chunk(7, 0, None)], [chunk(9, 0, None)]);
        let all = index(&[(1, None, &x), (2, None, &z), (3, None, &whole_x), (4, None, &whole_z)]);
        assert_eq!(packs(&all, all.chain(&X)), Some(vec![3]));
        // The whole one is marked: the difference, to the whole other one, is taken instead.
        let all =
            index(&[(1, None, &x), (2, None, &z), (3, Some(5), &whole_x), (4, None, &whole_z)]);
        assert_eq!(packs(&all, all.usable_chain(&X)), Some(vec![1, 4]));
    }

    #[test]
    fn a_difference_whose_base_is_gone_does_not_hide_another_copy() {
        let (orphan, copy) = ([chunk(7, 1, Some(9))], [chunk(7, 2, Some(8))]);
        let rest = [chunk(8, 1, Some(6)), chunk(6, 0, None)];
        let all = index(&[(1, None, &orphan), (2, None, &copy), (3, None, &rest)]);
        assert_eq!(packs(&all, all.chain(&X)), Some(vec![2, 3, 3]));
        assert!(index(&[(1, None, &orphan)]).chain(&X).is_none());
    }

    #[test]
    fn a_writer_relies_on_no_marked_base() {
        let (x, z) = ([chunk(7, 1, Some(9))], [chunk(9, 0, None)]);
        let all = index(&[(1, None, &x), (2, Some(5), &z)]);
        assert!(all.usable_chain(&X).is_none());
        assert_eq!(packs(&all, all.chain(&X)), Some(vec![1, 2]));
    }

    #[test]
    fn a_forged_index_of_circles_and_copies_is_given_up_soon() {
        let entries: Vec<Entry> =
            (1..=7).flat_map(|depth| vec![chunk(7, depth, Some(7)); 500]).collect();
        assert!(index(&[(1, None, &entries)]).chain(&X).is_none());
    }

    #[test]
    fn a_mark_counts_from_the_latest_and_only_if_all_agree() {
        let marked = |marks: &[Option<i64>]| {
            let entries = [chunk(7, 0, None)];
            let objects: Vec<_> = marks
                .iter()
                .enumerate()
                .map(|(number, marked_at)| {
                    let pack = PackEntries {
                        id: PackId([1; 16]),
                        size: 9,
                        marked_at: *marked_at,
                        entries: entries.to_vec(),
                    };
                    let object = IndexObject { supersedes: Vec::new(), packs: vec![pack] };
                    (IndexId([number as u8; 16]), Arc::new(object))
                })
                .collect();
            Index::merge(&objects).packs[0].marked_at
        };
        assert_eq!(marked(&[Some(5), Some(9), Some(7)]), Some(9));
        assert_eq!(marked(&[Some(5), None]), None);
        assert_eq!(marked(&[None, Some(5)]), None);
    }
}
