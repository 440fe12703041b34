//! Which pages and pieces of which relations changed, as WAL summaries say. Pure.

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
    /// Pieces of one MiB, counted over all files of the relation, with their changed pages where
    /// those are few.
    pieces: HashMap<u32, Option<Pages>>,
}

/// So many pages of a piece are told apart; where more changed, it changed as a whole.
pub(super) const FEW: usize = 8;
/// Pages that a piece may have for that.
pub(super) const PAGES: usize = 128;
/// Not a page.
const NONE: u8 = u8::MAX;

/// A few pages of a piece by their numbers, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages([u8; FEW]);

impl Pages {
    /// Reads them from bits, the last of which is the first page; `None` where they are not as many
    /// as a piece may have, or too many are set.
    fn read(bits: &str) -> Option<Self> {
        let mut pages = [NONE; FEW];
        let mut room = pages.iter_mut();
        if bits.len() != PAGES {
            return None;
        }
        for (number, bit) in bits.bytes().rev().enumerate() {
            match bit {
                b'0' => {}
                b'1' => *room.next()? = u8::try_from(number).ok()?,
                _ => return None,
            }
        }
        Some(Self(pages))
    }

    /// Returns the numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().take_while(|number| *number != NONE)
    }
}

/// What is known of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is certainly as it was.
    Nothing,
    /// All but these pages is certainly as it was.
    Few(Pages),
    /// Anything may have changed.
    Unknown,
}

impl ChangedBlocks {
    /// Takes one line: tablespace, database, number, fork, and either the block from which on
    /// nothing is as it was, or a piece of one MiB that has a changed block, with a bit for each of
    /// its blocks where few changed. `None` for a line that is not so.
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
        let bits = fields.next()?;
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
            let pages = if bits == "\\N" { None } else { Some(Pages::read(bits)?) };
            changes.pieces.insert(u32::try_from(value).ok()?, pages);
        }
        Some(())
    }

    /// Returns what is known of a piece of a relation's file. `segment_bytes` is where the server
    /// begins the next file, `block_bytes` the size of a page.
    pub(crate) fn of_piece(
        &self,
        group: Group,
        relation: Relation,
        piece: u64,
        segment_bytes: u64,
        block_bytes: u64,
    ) -> Change {
        let Group::Database { space, database } = group else { return Change::Unknown };
        // Free space maps are not in the WAL, visibility maps not completely: bits are cleared there
        // without a word of their page. Initial forks are small.
        if relation.fork != Fork::Main || self.databases.contains(&(space, database)) {
            return Change::Unknown;
        }
        let key = Key { space, database, node: relation.node, fork: relation.fork as u8 };
        let Some(changes) = self.forks.get(&key) else { return Change::Nothing };
        let first = u64::from(relation.segment) * (segment_bytes / PIECE as u64);
        let number = first + piece;
        let end = (number + 1).saturating_mul(PIECE as u64 / block_bytes.max(1));
        if changes.limit.is_some_and(|limit| limit < end) {
            return Change::Unknown;
        }
        let Ok(number) = u32::try_from(number) else { return Change::Unknown };
        match changes.pieces.get(&number) {
            None => Change::Nothing,
            Some(None) => Change::Unknown,
            Some(Some(pages)) => Change::Few(*pages),
        }
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
            "1663\t5\t16384\t0\t3\tf\t\\N",
            "1663\t5\t16384\t0\t1025\tf\t\\N",
            "1663\t5\t16385\t0\t300\tt\t\\N",
            "1663\t5\t16385\t0\t900\tt\t\\N",
            "1663\t7\t0\t0\t0\tt\t\\N",
        ] {
            changed.take(line).unwrap();
        }
        for line in [
            "",
            "1\t2\t3",
            "1663\t5\t16384\t0\tx\tf\t\\N",
            "1663\t5\t16384\t0\t3\ty\t\\N",
            "1663\t5\t16384\t0\t3\tf",
            "1663\t5\t16384\t0\t3\tf\t0101",
        ] {
            assert!(changed.take(line).is_none(), "{line}");
        }
        let same = |database, node, fork, segment, piece| {
            let group = Group::Database { space: 1663, database };
            let relation = Relation { node, fork, segment };
            changed.of_piece(group, relation, piece, GIB, 8192) == Change::Nothing
        };
        assert!(same(5, 16384, Fork::Main, 0, 2) && !same(5, 16384, Fork::Main, 0, 3));
        assert!(same(5, 16384, Fork::Main, 1, 0) && !same(5, 16384, Fork::Main, 1, 1));
        // Cut to 300 blocks once: the third piece has blocks 256 to 383.
        assert!(same(5, 16385, Fork::Main, 0, 1) && !same(5, 16385, Fork::Main, 0, 2));
        assert!(!same(5, 16385, Fork::Main, 3, 0));
        assert!(same(5, 16386, Fork::Main, 0, 0) && !same(5, 16386, Fork::FreeSpace, 0, 0));
        assert!(!same(5, 16386, Fork::Visibility, 0, 0));
        assert!(!same(5, 16386, Fork::Init, 0, 0));
        assert!(!same(7, 99, Fork::Main, 0, 0), "a database that was copied as files");
        let relation = Relation { node: 9, fork: Fork::Main, segment: 0 };
        assert_eq!(changed.of_piece(Group::Other, relation, 0, GIB, 8192), Change::Unknown);
    }

    #[test]
    fn a_few_pages_are_told_apart() {
        let bits = |pages: &[usize]| {
            let bit = |number: usize| if pages.contains(&number) { '1' } else { '0' };
            (0..PAGES).rev().map(bit).collect::<String>()
        };
        let read = |pages: &[usize]| {
            let found = Pages::read(&bits(pages))?;
            Some(found.iter().map(usize::from).collect::<Vec<_>>())
        };
        for pages in [&[][..], &[0], &[127], &[0, 1, 64, 127], &[3, 5, 7, 9, 11, 13, 15, 17]] {
            assert_eq!(read(pages).as_deref(), Some(pages));
        }
        assert_eq!(read(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), None);
        assert!(Pages::read(&bits(&[1])[1..]).is_none() && Pages::read("2").is_none());

        let mut changed = ChangedBlocks::default();
        changed.take(&format!("1663\t5\t16384\t0\t2\tf\t{}", bits(&[9, 40]))).unwrap();
        changed.take("1663\t5\t16384\t0\t300\tt\t\\N").unwrap();
        changed.take(&format!("1663\t5\t16384\t0\t1\tf\t{}", bits(&[4]))).unwrap();
        let of = |piece| {
            let relation = Relation { node: 16384, fork: Fork::Main, segment: 0 };
            let group = Group::Database { space: 1663, database: 5 };
            changed.of_piece(group, relation, piece, GIB, 8192)
        };
        assert_eq!(of(0), Change::Nothing);
        assert_eq!(of(1), Change::Few(Pages::read(&bits(&[4])).unwrap()));
        assert_eq!(of(2), Change::Unknown, "it was cut inside");
    }
}
