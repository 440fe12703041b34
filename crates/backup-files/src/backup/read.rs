//! Reads files, and says when one changed meanwhile. Blocking.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::bundle::Member;
use super::walk;
use crate::attributes;
use crate::beneath::Folders;
use crate::entry::{Entry, FileData, Kind, PIECE, Place, split};

/// How often a file that changes while it is read is read.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(5);
/// A file that has grown beyond this is no longer small.
const MOST: u64 = 1 << 20;
/// Holes that are kept of a file; of one with more, the long ones.
const MOST_HOLES: usize = 4096;
/// Blocks, in the units of `stat`.
const BLOCK: u64 = 512;

/// What became of a file that was to be read.
#[derive(Debug)]
pub(super) enum Outcome {
    Read(Entry),
    Vanished(Vec<u8>),
    Unreadable(Vec<u8>, io::Error),
    /// It was small and no longer is: a path, and what its names share.
    Grown(Vec<u8>, Option<u64>),
}

impl Outcome {
    fn of(path: Vec<u8>, error: io::Error) -> Self {
        let gone = error
            .raw_os_error()
            .is_some_and(|code| walk::is_gone(rustix::io::Errno::from_raw_os_error(code)));
        if gone || error.kind() == io::ErrorKind::NotFound {
            Self::Vanished(path)
        } else {
            Self::Unreadable(path, error)
        }
    }
}

/// Reads the files of a bundle, one after the other, into one segment. Those that are as they were
/// are taken from `former`, the segment that holds them.
pub(super) fn bundle(
    root: &Arc<OwnedFd>,
    members: Vec<Member>,
    former: Option<&Bytes>,
    address: u64,
    settled: i64,
) -> (Vec<u8>, Vec<Outcome>) {
    let mut folders = Folders::new(root);
    let mut bytes = Vec::with_capacity(members.iter().map(Member::size).sum::<u64>() as usize);
    let outcomes = members.into_iter().map(|member| {
        let begin = bytes.len();
        let known = member.unchanged.then(|| recall(&member, former)).flatten();
        let read = match known {
            Some((content, data)) => {
                bytes.extend_from_slice(content);
                let kind = Kind::File(data);
                Ok(Entry { kind, ..member.found.entry.clone() })
            }
            None => match small(&mut folders, &member.found.entry, &mut bytes, settled) {
                Ok(Some(entry)) => Ok(entry),
                Ok(None) => {
                    bytes.truncate(begin);
                    let linked = member.found.entry.file().and_then(|data| data.linked);
                    return Outcome::Grown(member.found.entry.path, linked);
                }
                Err(error) => Err(error),
            },
        };
        match read {
            Ok(mut entry) => {
                if let Kind::File(data) = &mut entry.kind {
                    data.place = match data.size {
                        0 => Place::Nowhere,
                        _ => Place::Bundle { address, offset: begin as u64 },
                    };
                }
                Outcome::Read(entry)
            }
            Err(error) => {
                bytes.truncate(begin);
                Outcome::of(member.found.entry.path, error)
            }
        }
    });
    let outcomes = outcomes.collect();
    (bytes, outcomes)
}

/// Cuts a file that did not change out of the segment that it was in; its attributes did not
/// change either.
fn recall<'a>(member: &Member, former: Option<&'a Bytes>) -> Option<(&'a [u8], FileData)> {
    let (before, former) = (member.before.as_ref()?, former?);
    let Place::Bundle { offset, .. } = before.place else { return None };
    let end = offset.checked_add(before.size)?;
    let content = former.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)?;
    (xxh3_64(content) == before.hash).then(|| (content, before.clone()))
}

/// Opens a file for reading, without waiting for anybody at a pipe that took its place.
fn open(folders: &mut Folders, path: &[u8]) -> io::Result<(File, Stat)> {
    let (folder, name) = split(path);
    let parent = folders.open(folder)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(parent, name, flags, Mode::empty())?);
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        // What was listed is no longer there; what took its place comes with the next snapshot.
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((file, stat))
}

/// Appends a file; nothing when it has grown too long.
fn small(
    folders: &mut Folders,
    seen: &Entry,
    bytes: &mut Vec<u8>,
    settled: i64,
) -> io::Result<Option<Entry>> {
    let begin = bytes.len();
    let mut attempt = 1;
    loop {
        let (file, before) = open(folders, &seen.path)?;
        let size = u64::try_from(before.st_size).unwrap_or(0);
        if size > MOST {
            return Ok(None);
        }
        let attributes = attributes::read(&file)?;
        let holes = holes(&file, &before, size)?;
        let length = fill(&file, 0, size, bytes)?;
        let stable = length == size && walk::is_same(&before, &fstat(&file)?);
        if !stable && attempt < ATTEMPTS {
            attempt += 1;
            bytes.truncate(begin);
            std::thread::sleep(PAUSE);
            continue;
        }
        let contents = bytes.get(begin..).unwrap_or_default();
        let hash = if contents.is_empty() { 0 } else { xxh3_64(contents) };
        // Where it changed, there may be data by now.
        let holes = if stable { holes } else { Vec::new() };
        let data = FileData { size: length, hash, holes, torn: !stable, ..FileData::default() };
        let mut entry = walk::entry(seen.path.clone(), Kind::File(data), &before, settled);
        entry.attributes = attributes;
        return Ok(Some(entry));
    }
}

/// Appends what a file has at an offset, at most so much; returns how much that was.
fn fill(file: &File, offset: u64, most: u64, bytes: &mut Vec<u8>) -> io::Result<u64> {
    let begin = bytes.len();
    bytes.resize(begin + most as usize, 0);
    let mut end = begin;
    while end < bytes.len() {
        let at = offset + (end - begin) as u64;
        let rest = bytes.get_mut(end..).unwrap_or_default();
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(end);
    Ok((end - begin) as u64)
}

/// Returns the ranges without data of a file that has fewer blocks than bytes.
fn holes(file: &File, stat: &Stat, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
    if size == 0 || blocks.saturating_mul(BLOCK) >= size {
        return Ok(Vec::new());
    }
    let mut holes = Vec::new();
    let mut least = 4096;
    let mut at = 0;
    while at < size {
        let Ok(begin) = seek(file.as_fd(), SeekFrom::Hole(at)) else { return Ok(Vec::new()) };
        if begin >= size {
            break;
        }
        let end = match seek(file.as_fd(), SeekFrom::Data(begin)) {
            Ok(end) => end.min(size),
            Err(rustix::io::Errno::NXIO) => size,
            Err(_) => return Ok(Vec::new()),
        };
        if end <= begin {
            break;
        }
        if end - begin >= least {
            holes.push((begin, end - begin));
        }
        while holes.len() > MOST_HOLES {
            least *= 2;
            holes.retain(|(_, length)| *length >= least);
        }
        at = end;
    }
    Ok(holes)
}

/// A large file that is read piece by piece.
pub(super) struct Large {
    file: File,
    before: Stat,
    entry: Entry,
    data: FileData,
    hash: Xxh3Default,
    short: bool,
}

impl Large {
    /// Opens a file that was seen.
    pub(super) fn open(
        root: &Arc<OwnedFd>,
        path: Vec<u8>,
        settled: i64,
    ) -> Result<Self, Box<Outcome>> {
        let opened = open(&mut Folders::new(root), &path).and_then(|(file, before)| {
            let size = u64::try_from(before.st_size).unwrap_or(0);
            let attributes = attributes::read(&file)?;
            let holes = holes(&file, &before, size)?;
            Ok((file, before, size, attributes, holes))
        });
        let (file, before, size, attributes, holes) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(Box::new(Outcome::of(path, error))),
        };
        let mut entry = walk::entry(path, Kind::Pipe, &before, settled);
        entry.attributes = attributes;
        let data = FileData { size, holes, ..FileData::default() };
        Ok(Self { file, before, entry, data, hash: Xxh3Default::new(), short: false })
    }

    /// Returns the pieces to read.
    pub(super) fn pieces(&self) -> Vec<u64> {
        self.data.pieces().collect()
    }

    pub(super) fn size(&self) -> u64 {
        self.data.size
    }

    /// Reads a piece; where the file ends early now, zeros stand for the rest.
    pub(super) fn read(&mut self, piece: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let wanted = self.data.piece_length(piece);
        if fill(&self.file, piece * PIECE, wanted, bytes)? < wanted {
            self.short = true;
            bytes.resize(wanted as usize, 0);
        }
        // What was written there meanwhile is left out, so that copy, holes and hash agree.
        let begin = piece * PIECE;
        for (at, length) in &self.data.holes {
            let from = at.saturating_sub(begin).min(wanted) as usize;
            let to = (at + length).saturating_sub(begin).min(wanted) as usize;
            bytes.get_mut(from..to).unwrap_or_default().fill(0);
        }
        self.hash.update(bytes);
        Ok(())
    }

    /// Returns whether the file is as it was when it was opened.
    pub(super) fn is_stable(&self) -> io::Result<bool> {
        Ok(!self.short && walk::is_same(&self.before, &fstat(&self.file)?))
    }

    /// Returns the entry, its pieces being at that address.
    pub(super) fn finish(mut self, address: u64, stable: bool) -> Entry {
        self.data.hash = if self.data.size == 0 { 0 } else { self.hash.digest() };
        self.data.place =
            if self.data.size == 0 { Place::Nowhere } else { Place::Pieces { address } };
        self.data.torn = !stable;
        self.entry.kind = Kind::File(self.data);
        self.entry
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &[u8] {
        &self.entry.path
    }
}

/// Reads to the end; for files of the system.
pub(super) fn whole(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(16 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::open_root;

    #[test]
    fn what_is_written_into_a_hole_while_a_file_is_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("f")).unwrap();
        file.set_len(3 << 20).unwrap();
        file.write_all_at(&[7; 65536], (1 << 20) + (512 << 10)).unwrap();
        let root = open_root(folder.path()).unwrap();
        let mut large = Large::open(&root, b"f".to_vec(), 0).unwrap();
        assert_eq!(large.pieces(), [1], "this file system has holes");
        file.write_all_at(&[9; 4096], 1 << 20).unwrap();
        let mut bytes = Vec::new();
        large.read(1, &mut bytes).unwrap();
        assert_eq!(bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 7 * 65536);
        assert!(!large.is_stable().unwrap());
    }
}
