//! Bytes to entries. They come from outside: nothing here trusts them.

use std::cmp::Ordering;

use backup_core::{Error, ErrorKind, Result};

use super::encode::Before;
use super::{
    ATTRIBUTES, BLOCK, BUNDLED, CHARACTER, DIRECTORY, FILE, FOLLOWS, HOLES, KEYS, KIND,
    LIKE_BEFORE, LINK, LINKED, ONE_TIME, Order, PIPE, TORN, UNSETTLED, VERSION,
};
use crate::entry::{Entry, FileData, Kind, Moment, PIECE, Place, show};

/// The paths of a segment are not longer together: a few bytes may repeat a long one.
const LONGEST_PATHS: usize = 16 << 20;
/// No path is longer.
const LONGEST_PATH: usize = 1 << 20;
/// No file is longer: what 43 bits of pieces address.
const LONGEST_FILE: u64 = (1 << 43) * PIECE;

/// Returns the entries of one segment.
///
/// Fails with `Integrity` unless every path stays below the root, no two are the same, each comes
/// after the one before it in the [order](crate::entry::order) of a tree, and all bytes mean
/// something. The keys of a bucket need not be paths, and are ordered by their bytes.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>> {
    Ok(ordered(bytes)?.1)
}

/// As [`decode`], with the order that the segment was written in.
pub(super) fn ordered(bytes: &[u8]) -> Result<(Order, Vec<Entry>)> {
    let mut fields = Fields { bytes };
    let order = match fields.byte()? {
        VERSION => Order::Tree,
        KEYS => Order::Keys,
        _ => return Err(damaged("its version is not known")),
    };
    let mut before = Before::default();
    let mut entries: Vec<Entry> = Vec::new();
    let mut paths = 0;
    while !fields.bytes.is_empty() {
        let entry = row(&mut fields, &mut before)?;
        paths += entry.path.len();
        if paths > LONGEST_PATHS {
            return Err(damaged("its paths are too long"));
        }
        check_path(order, &entry, entries.last())?;
        entries.push(entry);
    }
    Ok((order, entries))
}

/// Fails unless `next` may follow `last`.
pub(super) fn check_order(order: Order, last: &[u8], next: &[u8]) -> Result<()> {
    if order.compare(last, next) == Ordering::Less {
        return Ok(());
    }
    Err(damaged("its entries are not in order").with("path", show(next)))
}

fn check_path(order: Order, entry: &Entry, last: Option<&Entry>) -> Result<()> {
    let path = &entry.path;
    if let Some(last) = last {
        check_order(order, &last.path, path)?;
    }
    if order == Order::Keys {
        return match entry.kind {
            Kind::File(_) if !path.is_empty() => Ok(()),
            _ => Err(damaged("an object is none").with("key", show(path))),
        };
    }
    if path.is_empty() {
        return match entry.kind {
            Kind::Directory => Ok(()),
            _ => Err(damaged("its root is no directory")),
        };
    }
    let sound = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    if path.split(|byte| *byte == b'/').all(sound) {
        return Ok(());
    }
    Err(damaged("a path leads elsewhere").with("path", show(path)))
}

fn row(fields: &mut Fields<'_>, before: &mut Before) -> Result<Entry> {
    let head = fields.byte()?;
    let shared = fields.length(before.path.len())?;
    let rest = fields.text()?;
    if shared + rest.len() > LONGEST_PATH {
        return Err(damaged("a path is too long"));
    }
    before.path.truncate(shared);
    before.path.extend_from_slice(rest);
    if head & LIKE_BEFORE == 0 {
        before.mode = fields.word()? & 0o7777;
        before.owner = fields.word()?;
        before.group = fields.word()?;
    }
    before.seconds = before.seconds.wrapping_add(fields.signed()?);
    let modified = Moment { seconds: before.seconds, nanos: fields.nanos()? };
    let changed = if head & ONE_TIME == 0 {
        let seconds = before.seconds.wrapping_add(fields.signed()?);
        Moment { seconds, nanos: fields.nanos()? }
    } else {
        modified
    };
    before.inode = before.inode.wrapping_add(fields.signed()? as u64);
    let kind = match head & KIND {
        FILE => Kind::File(file(fields, &mut before.next)?),
        DIRECTORY => Kind::Directory,
        LINK => Kind::Link(fields.name()?),
        PIPE => Kind::Pipe,
        CHARACTER => Kind::Character(fields.word()?, fields.word()?),
        BLOCK => Kind::Block(fields.word()?, fields.word()?),
        _ => return Err(damaged("it has an unknown kind of entry")),
    };
    let mut attributes = Vec::new();
    if head & ATTRIBUTES != 0 {
        for _ in 0..fields.number()? {
            attributes.push((fields.name()?, fields.text()?.to_vec()));
        }
    }
    Ok(Entry {
        path: before.path.clone(),
        kind,
        mode: before.mode,
        owner: before.owner,
        group: before.group,
        modified,
        changed,
        inode: before.inode,
        unsettled: head & UNSETTLED != 0,
        attributes,
    })
}

fn file(fields: &mut Fields<'_>, next: &mut Option<(u64, u64)>) -> Result<FileData> {
    let size = fields.number()?;
    let flags = fields.byte()?;
    let linked = if flags & LINKED == 0 { None } else { Some(fields.number()?) };
    let mut data = FileData { size, linked, torn: flags & TORN != 0, ..FileData::default() };
    if size == 0 {
        return Ok(data);
    }
    if size > LONGEST_FILE {
        return Err(damaged("a file is too long"));
    }
    data.hash = fields.eight()?;
    if flags & (FOLLOWS | BUNDLED) == 0 {
        let address = fields.number()?;
        if address.checked_add(size.div_ceil(PIECE)).is_none() {
            return Err(damaged("a file is nowhere"));
        }
        data.place = Place::Pieces { address };
    } else {
        let (address, offset) = if flags & FOLLOWS != 0 {
            next.ok_or_else(|| damaged("a file follows none"))?
        } else {
            (fields.number()?, fields.number()?)
        };
        let end = offset.checked_add(size).ok_or_else(|| damaged("a bundle has no end"))?;
        *next = Some((address, end));
        data.place = Place::Bundle { address, offset };
    }
    if flags & HOLES != 0 {
        let mut end = 0_u64;
        for _ in 0..fields.number()? {
            let (gap, length) = (fields.number()?, fields.number()?);
            let at = end.checked_add(gap);
            let hole = at.and_then(|at| Some((at, at.checked_add(length)?)));
            let Some((at, after)) = hole.filter(|(_, after)| *after <= size && length > 0) else {
                return Err(damaged("a hole is not in its file"));
            };
            data.holes.push((at, length));
            end = after;
        }
    }
    Ok(data)
}

struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.bytes.split_first().ok_or_else(|| damaged("it ends early"))?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.bytes.split_at_checked(length).ok_or_else(|| damaged("it ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn eight(&mut self) -> Result<u64> {
        let bytes = self.take(8)?.try_into().map_err(|_| damaged("it ends early"))?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn number(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too large"))
    }

    fn word(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| damaged("a number is too large"))
    }

    fn nanos(&mut self) -> Result<u32> {
        let nanos = self.word()?;
        if nanos < 1_000_000_000 { Ok(nanos) } else { Err(damaged("a time is none")) }
    }

    fn signed(&mut self) -> Result<i64> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn length(&mut self, most: usize) -> Result<usize> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= most);
        length.ok_or_else(|| damaged("it ends early"))
    }

    fn text(&mut self) -> Result<&'a [u8]> {
        let length = self.length(self.bytes.len())?;
        self.take(length)
    }

    /// A text that a system call takes: not empty, no NUL.
    fn name(&mut self) -> Result<Vec<u8>> {
        let text = self.text()?;
        if text.is_empty() || text.contains(&0) {
            return Err(damaged("a name is none"));
        }
        Ok(text.to_vec())
    }
}

fn damaged(why: &'static str) -> Error {
    Error::new(ErrorKind::Integrity, "read list of files").because(why)
}
