//! One thing in a tree: a file, a directory, a link.

use std::cmp::Ordering;

use backup_core::Fingerprint;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a piece of a large file.
pub(crate) const PIECE: u64 = 1 << 20;

/// One name in a tree and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the root, without a `/` at either end; empty for the root. Any bytes but
    /// NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-user-id, set-group-id and sticky: twelve bits.
    pub mode: u32,
    /// The number of the user who owns it.
    pub owner: u32,
    /// The number of the group that owns it.
    pub group: u32,
    /// When its contents last changed.
    pub modified: Moment,
    /// When its contents or anything else about it last changed, by the file system.
    pub changed: Moment,
    /// Its number in the file system.
    pub inode: u64,
    /// `changed` was so shortly before it was looked at that a later change may bear the same time:
    /// it tells nothing.
    pub unsettled: bool,
    /// Extended attributes by name, access control lists among them; of an object in a bucket,
    /// its metadata.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file, or an object of a bucket.
    File(FileData),
    /// A symbolic link, and what it says.
    Link(Vec<u8>),
    /// A named pipe.
    Pipe,
    /// A character device: major and minor number.
    Character(u32, u32),
    /// A block device: major and minor number.
    Block(u32, u32),
}

/// What is in a file, and where that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileData {
    /// Its length.
    pub size: u64,
    /// XXH3-64 of its contents; of a file in pieces, those left out that are holes altogether. 0 of
    /// none.
    pub hash: u64,
    /// Where its contents are in the part `data`.
    pub place: Place,
    /// Ranges without data, in order: begin and length. They read as zeros.
    pub holes: Vec<(u64, u64)>,
    /// Files that share a number are one file with several names.
    pub linked: Option<u64>,
    /// It changed while it was read, so that it may never have looked like this.
    pub torn: bool,
}

/// Where the contents of a file are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It has none.
    #[default]
    Nowhere,
    /// In a segment that it shares with others, from an offset on.
    Bundle {
        /// The segment's address.
        address: u64,
        /// Where it begins there.
        offset: u64,
    },
    /// In segments of its own, one for each MiB that is no hole: the address of that which is or
    /// would be the first.
    Pieces {
        /// The first address.
        address: u64,
    },
}

/// A time, as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of that second.
    pub nanos: u32,
}

impl FileData {
    /// Returns the numbers of the pieces that hold data.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.size.div_ceil(PIECE);
        let mut holes = self.holes.iter().peekable();
        (0..count).filter(move |piece| {
            let (begin, end) = (piece * PIECE, ((piece + 1) * PIECE).min(self.size));
            while holes.next_if(|(at, length)| at.saturating_add(*length) <= begin).is_some() {}
            !holes.peek().is_some_and(|(at, length)| *at <= begin && end <= at + length)
        })
    }

    /// Returns the length of a piece.
    pub(crate) fn piece_length(&self, piece: u64) -> u64 {
        PIECE.min(self.size.saturating_sub(piece * PIECE))
    }
}

impl Entry {
    /// Returns the file's data, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&FileData> {
        match &self.kind {
            Kind::File(data) => Some(data),
            _ => None,
        }
    }

    /// Returns the path as text, with `\xNN` for what is none; `.` for the root.
    #[must_use]
    pub fn shown(&self) -> String {
        show(&self.path)
    }

    /// Returns a hash of all that a restore brings back.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = Vec::with_capacity(self.path.len() + 96);
        let put = |text: &mut Vec<u8>, bytes: &[u8]| {
            text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            text.extend_from_slice(bytes);
        };
        put(&mut text, &self.path);
        for word in [self.mode, self.owner, self.group, self.modified.nanos] {
            text.extend_from_slice(&word.to_be_bytes());
        }
        text.extend_from_slice(&self.modified.seconds.to_be_bytes());
        match &self.kind {
            Kind::Directory => text.push(2),
            Kind::File(data) => {
                text.push(1);
                text.extend_from_slice(&data.size.to_be_bytes());
                text.extend_from_slice(&data.hash.to_be_bytes());
                text.extend_from_slice(&data.linked.map_or(0, |number| number + 1).to_be_bytes());
            }
            Kind::Link(target) => {
                text.push(3);
                put(&mut text, target);
            }
            Kind::Pipe => text.push(4),
            Kind::Character(major, minor) | Kind::Block(major, minor) => {
                text.push(if matches!(self.kind, Kind::Block(..)) { 6 } else { 5 });
                text.extend_from_slice(&major.to_be_bytes());
                text.extend_from_slice(&minor.to_be_bytes());
            }
        }
        for (name, value) in &self.attributes {
            put(&mut text, name);
            put(&mut text, value);
        }
        Fingerprint(xxh3_128(&text))
    }
}

/// Returns a path as text, with `\xNN` for what is none.
#[must_use]
pub fn show(path: &[u8]) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The order of a tree: a directory before what is in it, and that before its next sibling.
/// Siblings are ordered by their bytes.
#[must_use]
pub fn order(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rank = |byte: Option<&u8>| match byte {
        None => 0,
        Some(b'/') => 1,
        Some(byte) => u16::from(*byte) + 2,
    };
    rank(a.get(same)).cmp(&rank(b.get(same)))
}

/// Returns the path of the directory that an entry is in, and its name there.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// Whether a path is below a directory; everything but itself is below the root.
#[must_use]
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) if directory.is_empty() => !rest.is_empty(),
        Some(rest) => rest.first() == Some(&b'/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_before_its_contents_and_they_before_its_siblings() {
        let mut paths: Vec<&[u8]> =
            vec![b"a.b", b"a/b", b"a", b"", b"a/b/c", b"a\x01", b"b", b"a/a.x"];
        paths.sort_by(|a, b| order(a, b));
        let sorted: Vec<&[u8]> =
            vec![b"", b"a", b"a/a.x", b"a/b", b"a/b/c", b"a\x01", b"a.b", b"b"];
        assert_eq!(paths, sorted);
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b"") && !is_below(b"ab", b"a"));
        assert!(!is_below(b"", b"") && !is_below(b"a", b"a"));
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
    }

    #[test]
    fn pieces_that_are_holes_are_left_out() {
        let holes = vec![(10, PIECE), (2 * PIECE, 2 * PIECE), (5 * PIECE, 7)];
        let data = FileData { size: 5 * PIECE + 7, holes, ..FileData::default() };
        assert_eq!(data.pieces().collect::<Vec<_>>(), [0, 1, 4]);
        assert_eq!(data.piece_length(5), 7);
        assert_eq!(FileData::default().pieces().count(), 0);
    }

    #[test]
    fn what_is_no_text_is_shown_as_bytes() {
        assert_eq!(show(b"a\xff\nb\xc3\xa9"), "a\\xff\\nb\u{e9}");
    }
}
