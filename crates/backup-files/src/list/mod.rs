//! The list of a tree: its entries in order, as the part `list` holds them.
//!
//! A segment is read alone: nothing in it refers to another. `docs/format.md` describes the bytes.

use std::cmp::Ordering;

use backup_core::Part;

mod decode;
mod encode;
mod read;
mod write;

pub use decode::decode;
pub use encode::Encoder;
pub use read::ListReader;
pub(crate) use write::ListWriter;

/// The part that holds the list.
pub const LIST: &str = "list";
/// The part that holds the contents of files.
pub const DATA: &str = "data";

/// The version of the bytes of a tree.
const VERSION: u8 = 1;
/// That of a bucket: files only, in the order of their bytes, of any name.
const KEYS: u8 = 2;
/// The attribute of the part `list` that says how it is ordered, and the word for keys.
const ORDER: &str = "order";
const BY_KEY: &str = "keys";

/// How the entries of a list follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// A directory, what is in it, its next sibling.
    #[default]
    Tree,
    /// The keys of a bucket, by their bytes.
    Keys,
}

impl Order {
    /// Returns how the entries of a list are ordered.
    #[must_use]
    pub fn of(list: &Part) -> Self {
        match list.attributes.get(ORDER).map(String::as_str) {
            Some(BY_KEY) => Self::Keys,
            _ => Self::Tree,
        }
    }

    /// Returns how two paths follow each other.
    #[must_use]
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Tree => crate::entry::order(a, b),
            Self::Keys => a.cmp(b),
        }
    }

    fn version(self) -> u8 {
        match self {
            Self::Tree => VERSION,
            Self::Keys => KEYS,
        }
    }
}

// The first byte of a row: its kind in the low three bits, and flags.
const FILE: u8 = 1;
const DIRECTORY: u8 = 2;
const LINK: u8 = 3;
const PIPE: u8 = 4;
const CHARACTER: u8 = 5;
const BLOCK: u8 = 6;
const KIND: u8 = 0b111;
/// Extended attributes follow.
const ATTRIBUTES: u8 = 1 << 3;
/// Its two times are the same.
const ONE_TIME: u8 = 1 << 4;
const UNSETTLED: u8 = 1 << 5;
/// Mode and owners are those of the row before.
const LIKE_BEFORE: u8 = 1 << 6;

// The flags of a file.
/// Its contents follow those of the last file that had any, in the same bundle.
const FOLLOWS: u8 = 1;
const BUNDLED: u8 = 1 << 1;
const HOLES: u8 = 1 << 2;
const LINKED: u8 = 1 << 3;
const TORN: u8 = 1 << 4;

/// Entrance for the fuzz target: what is accepted reads the same once it is written anew.
#[must_use]
pub fn holds(bytes: &[u8]) -> bool {
    let Ok((order, entries)) = decode::ordered(bytes) else { return true };
    let mut encoder = Encoder::new(order);
    entries.iter().for_each(|entry| encoder.push(entry));
    decode(encoder.bytes()).is_ok_and(|again| again == entries)
}

#[cfg(test)]
mod tests {
    use backup_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{Entry, FileData, Kind, Moment, Place};

    fn entry(path: &[u8], kind: Kind) -> Entry {
        let modified = Moment { seconds: -5, nanos: 7 };
        Entry {
            path: path.to_vec(),
            kind,
            mode: 0o4755,
            owner: 7,
            group: 8,
            modified,
            changed: modified,
            inode: 99,
            unsettled: false,
            attributes: Vec::new(),
        }
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        let place = prop_oneof![
            (any::<u32>(), any::<u32>()).prop_map(|(address, offset)| Place::Bundle {
                address: address.into(),
                offset: offset.into()
            }),
            any::<u32>().prop_map(|address| Place::Pieces { address: address.into() }),
        ];
        let file = (1..1_u64 << 40, any::<u64>(), place, any::<Option<u16>>(), any::<bool>());
        prop_oneof![
            Just(Kind::Directory),
            Just(Kind::Pipe),
            Just(Kind::File(FileData::default())),
            (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Kind::Character(a, b)),
            (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Kind::Block(a, b)),
            prop::collection::vec(1_u8.., 1..9).prop_map(Kind::Link),
            file.prop_map(|(size, hash, place, linked, torn)| {
                let linked = linked.map(u64::from);
                let holes = if size > 100 { vec![(3, 5), (8, 1), (90, 10)] } else { vec![] };
                Kind::File(FileData { size, hash, place, holes, linked, torn })
            }),
        ]
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let name = prop::collection::vec(prop_oneof![Just(b'a'), Just(0xff), 1..=255_u8], 1..4);
        let name = name.prop_map(|name| -> Vec<u8> {
            name.into_iter().map(|b| if b == b'/' || b == b'.' { b'x' } else { b }).collect()
        });
        let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join(&b'/'));
        let facts = (any::<i64>(), 0..1_000_000_000_u32, any::<u64>(), 0..4096_u32, any::<bool>());
        let one = (path, kinds(), facts, any::<Option<i16>>());
        prop::collection::vec(one, 0..40).prop_map(|all| {
            let mut entries: Vec<Entry> = all
                .into_iter()
                .map(|(path, kind, (seconds, nanos, inode, mode, unsettled), changed)| {
                    let modified = Moment { seconds: seconds / 4, nanos };
                    let later = |by| Moment { seconds: modified.seconds + i64::from(by), nanos: 1 };
                    let changed = changed.map_or(modified, later);
                    let attributes =
                        if unsettled { vec![(b"user.a".to_vec(), vec![])] } else { vec![] };
                    let entry = entry(&path, kind);
                    Entry { modified, changed, inode, mode, unsettled, attributes, ..entry }
                })
                .collect();
            entries.sort_by(|a, b| crate::entry::order(&a.path, &b.path));
            entries.dedup_by(|a, b| a.path == b.path);
            entries
        })
    }

    proptest! {
        #[test]
        fn a_list_reads_as_it_was_written(entries in entries()) {
            let mut encoder = Encoder::default();
            entries.iter().for_each(|entry| encoder.push(entry));
            prop_assert_eq!(decode(encoder.bytes()).unwrap(), entries);
        }

        #[test]
        fn no_bytes_make_it_panic(
            entries in entries(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut encoder = Encoder::default();
            entries.iter().for_each(|entry| encoder.push(entry));
            let mut bytes = encoder.bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert!(holds(&bytes));
            prop_assert!(holds(&bytes[..at]));
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "a\0b", "a/"] {
            let mut encoder = Encoder::default();
            encoder.push(&entry(path.as_bytes(), Kind::Pipe));
            let error = decode(encoder.bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{path}");
        }
    }

    #[test]
    fn entries_out_of_order_or_twice_are_refused() {
        for paths in [["b", "a"], ["a", "a"], ["a/b", "a"]] {
            let mut encoder = Encoder::default();
            paths.iter().for_each(|path| encoder.push(&entry(path.as_bytes(), Kind::Pipe)));
            assert!(decode(encoder.bytes()).is_err(), "{paths:?}");
        }
    }

    #[test]
    fn keys_need_not_be_paths_but_are_files_in_the_order_of_their_bytes() {
        let read = |paths: &[&[u8]]| {
            let mut encoder = Encoder::new(Order::Keys);
            let file = || Kind::File(FileData::default());
            paths.iter().for_each(|path| encoder.push(&entry(path, file())));
            assert!(holds(encoder.bytes()));
            decode(encoder.bytes())
        };
        let odd: [&[u8]; 6] = [b"../x", b"/y", b"a-b", b"a/", b"a//b", b"a/b"];
        assert_eq!(read(&odd).unwrap().len(), 6);
        assert!(read(&[b"a/b", b"a-b"]).is_err(), "the order of a tree");
        assert!(read(&[b""]).is_err());
        let mut encoder = Encoder::new(Order::Keys);
        encoder.push(&entry(b"a", Kind::Directory));
        assert!(decode(encoder.bytes()).is_err());
    }

    /// Seven bytes a row would become a path of a mebibyte each.
    #[test]
    fn few_bytes_cannot_become_much() {
        let mut encoder = Encoder::default();
        let long = vec![b'p'; 1 << 20];
        for n in 0..40_u8 {
            let path =
                [long.get(..(1 << 20) - 4).unwrap(), &[b'a' + n / 26, b'a' + n % 26]].concat();
            encoder.push(&entry(&path, Kind::Pipe));
        }
        assert!(encoder.bytes().len() < 2 << 20);
        assert!(decode(encoder.bytes()).is_err());
    }
}
