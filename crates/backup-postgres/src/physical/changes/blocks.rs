//! Which pieces of which relations changed, as WAL summaries say. Pure.

use std::collections::{HashMap, HashSet};

use crate::physical::files::address::PIECE;
use crate::physical::files::name::{Fork, Group, Relation};

/// What changed between two positions.
#[derive(Debug, Default)]
pub(crate) struct ChangedBlocks {
    forks: HashMap<Key, Changes>,
    /// Databases that were copied file by file: of those nothing is known.
    databases: HashSet<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    space: u32,
    database: u32,
    node: u32,
    fork: u8,
}

#[derive(Debug, Default)]
struct Changes {
    /// The lowest length that it was cut to: nothing from there on is as it was.
    limit: Option<u64>,
    /// Pieces of one MiB, counted over all files of the relation.
    pieces: HashSet<u32>,
}

impl ChangedBlocks {
    /// Takes one line: tablespace, database, number, fork, and either the block from which on
    /// nothing is as it was, or a piece of one MiB that has a changed block. `None` for a line that
    /// is not so.
    pub(crate) fn take(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (space, database) = (number()?, number()?);
        let (node, fork, value) = (number()?, number()?, number()?);
        let is_limit = match fields.next()? {
            "t" => true,
            "f" => false,
            _ => return None,
        };
        let (space, database) = (u32::try_from(space).ok()?, u32::try_from(database).ok()?);
        if node == 0 {
            self.databases.insert((space, database));
            return Some(());
        }
        let key = Key {
            space,
            database,
            node: u32::try_from(node).ok()?,
            fork: u8::try_from(fork).ok()?,
        };
        let changes = self.forks.entry(key).or_default();
        if is_limit {
            changes.limit = Some(changes.limit.map_or(value, |limit| limit.min(value)));
        } else {
            changes.pieces.insert(u32::try_from(value).ok()?);
        }
        Some(())
    }

    /// Whether a piece of a relation's file is certainly as it was. `segment_bytes` is where the
    /// server begins the next file, `block_bytes` the size of a page.
    pub(crate) fn is_unchanged(
        &self,
        group: Group,
        relation: Relation,
        piece: u64,
        segment_bytes: u64,
        block_bytes: u64,
    ) -> bool {
        let Group::Database { space, database } = group else { return false };
        // Free space maps are not in the WAL; initial forks are small.
        let is_logged = matches!(relation.fork, Fork::Main | Fork::Visibility);
        if !is_logged || self.databases.contains(&(space, database)) {
            return false;
        }
        let key = Key { space, database, node: relation.node, fork: relation.fork as u8 };
        let Some(changes) = self.forks.get(&key) else { return true };
        let first = u64::from(relation.segment) * (segment_bytes / PIECE as u64);
        let number = first + piece;
        let end = (number + 1).saturating_mul(PIECE as u64 / block_bytes.max(1));
        let is_cut = changes.limit.is_some_and(|limit| limit < end);
        !is_cut && u32::try_from(number).is_ok_and(|number| !changes.pieces.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn only_what_is_certainly_unchanged_is_said_to_be() {
        let mut changed = ChangedBlocks::default();
        for line in [
            "1663\t5\t16384\t0\t3\tf",
            "1663\t5\t16384\t0\t1025\tf",
            "1663\t5\t16385\t0\t300\tt",
            "1663\t5\t16385\t0\t900\tt",
            "1663\t7\t0\t0\t0\tt",
        ] {
            changed.take(line).unwrap();
        }
        for line in ["", "1\t2\t3", "1663\t5\t16384\t0\tx\tf", "1663\t5\t16384\t0\t3\ty"] {
            assert!(changed.take(line).is_none(), "{line}");
        }
        let same = |database, node, fork, segment, piece| {
            let group = Group::Database { space: 1663, database };
            let relation = Relation { node, fork, segment };
            changed.is_unchanged(group, relation, piece, GIB, 8192)
        };
        assert!(same(5, 16384, Fork::Main, 0, 2) && !same(5, 16384, Fork::Main, 0, 3));
        assert!(same(5, 16384, Fork::Main, 1, 0) && !same(5, 16384, Fork::Main, 1, 1));
        // Cut to 300 blocks once: the third piece has blocks 256 to 383.
        assert!(same(5, 16385, Fork::Main, 0, 1) && !same(5, 16385, Fork::Main, 0, 2));
        assert!(!same(5, 16385, Fork::Main, 3, 0));
        assert!(same(5, 16386, Fork::Visibility, 0, 0) && !same(5, 16386, Fork::FreeSpace, 0, 0));
        assert!(!same(5, 16386, Fork::Init, 0, 0));
        assert!(!same(7, 99, Fork::Main, 0, 0), "a database that was copied as files");
        let relation = Relation { node: 9, fork: Fork::Main, segment: 0 };
        assert!(!changed.is_unchanged(Group::Other, relation, 0, GIB, 8192));
    }
}
