//! Reads objects, each as one version of it.

use std::ops::Range;

use backup_core::port::{Bucket, PartSink, ReadObject};
use backup_core::{Error, ErrorKind, PartName, Result};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::about::{attributes, etag, moment};
use crate::backup::bundle::SMALL;
use crate::entry::{Entry, FileData, Kind, Moment, PIECE, Place};
use crate::pace::Pace;

/// How often an object that changes while it is read is read.
pub(super) const ATTEMPTS: usize = 3;
/// Bytes of one request for a part of a large object …
const RANGE: u64 = 4 << 20;
/// … and how many of them are on their way.
const AHEAD: usize = 2;

/// What became of an object that was to be read.
#[derive(Debug)]
pub(super) enum Outcome {
    Read(Entry),
    Vanished(Vec<u8>),
    Changing(Vec<u8>),
    Unreadable(Vec<u8>, Error),
}

/// An error that is about one object becomes its outcome; others end the run.
fn outcome(key: &[u8], error: Error) -> Result<Outcome> {
    Ok(match error.kind() {
        ErrorKind::NotFound => Outcome::Vanished(key.to_vec()),
        ErrorKind::Unsupported => Outcome::Unreadable(key.to_vec(), error),
        _ => return Err(error),
    })
}

pub(super) fn entry(key: Vec<u8>, data: FileData) -> Entry {
    Entry {
        path: key,
        kind: Kind::File(data),
        mode: 0o644,
        owner: 0,
        group: 0,
        modified: Moment::default(),
        changed: Moment::default(),
        inode: 0,
        unsettled: false,
        attributes: Vec::new(),
    }
}

fn describe(seen: &Entry, read: &ReadObject, data: FileData) -> Entry {
    let modified = read.modified.map_or(seen.modified, moment);
    let attributes = attributes(&read.about, read.etag.as_deref());
    Entry { kind: Kind::File(data), modified, changed: modified, attributes, ..seen.clone() }
}

/// A small object, or what became of it instead.
pub(super) enum Small {
    Read(Entry, Bytes),
    Not(Outcome),
}

/// Reads a small object: one request, one version. One that has grown large meanwhile comes with the
/// next snapshot.
pub(super) async fn small(bucket: &dyn Bucket, seen: &Entry) -> Result<Small> {
    let key = text(seen)?;
    let read = match bucket.read(key, None, None).await {
        Ok(read) => read,
        Err(error) => return outcome(&seen.path, error).map(Small::Not),
    };
    if read.size > 4 * SMALL {
        return Ok(Small::Not(Outcome::Changing(seen.path.clone())));
    }
    let hash = if read.bytes.is_empty() { 0 } else { xxh3_64(&read.bytes) };
    let data = FileData { size: read.size, hash, ..FileData::default() };
    Ok(Small::Read(describe(seen, &read, data), read.bytes))
}

/// Where pieces of large objects go.
pub(super) struct Pieces<'a> {
    pub(super) sink: &'a dyn PartSink,
    pub(super) part: &'a PartName,
    pub(super) pace: &'a Pace,
}

/// Reads a large object in ranges of one version, to the first address; again, to the next, when it
/// changed meanwhile.
pub(super) async fn large(
    bucket: &dyn Bucket,
    to: &Pieces<'_>,
    seen: &Entry,
    addresses: &[u64],
) -> Result<Outcome> {
    let key = text(seen)?;
    let room = room(seen.file().map_or(0, |data| data.size));
    let mut version = (seen.file().map_or(0, |data| data.size), etag(seen));
    for address in addresses {
        match ranges_of(bucket, to, seen, (version.0, version.1.as_deref()), *address).await {
            Ok(entry) => return Ok(Outcome::Read(entry)),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return outcome(&seen.path, error),
        }
        version = match bucket.read(key, Some(0..1), None).await {
            Ok(now) if now.size <= room && now.size > 0 => (now.size, now.etag),
            // Too large for its place, or empty by now.
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Integrity => break,
            Err(error) => return outcome(&seen.path, error),
        };
    }
    Ok(Outcome::Changing(seen.path.clone()))
}

/// Reads one version of an object, told by its size and its ETag.
async fn ranges_of(
    bucket: &dyn Bucket,
    to: &Pieces<'_>,
    seen: &Entry,
    (size, etag): (u64, Option<&str>),
    address: u64,
) -> Result<Entry> {
    let key = text(seen)?;
    let mut hash = Xxh3Default::new();
    let mut first = None;
    let mut coming = stream::iter(ranges(size))
        .map(|range| async move {
            let read = bucket.read(key, Some(range.clone()), etag).await?;
            Ok::<_, Error>((range, read))
        })
        .buffered(AHEAD);
    while let Some((range, read)) = coming.try_next().await? {
        if read.size != size {
            return Err(Error::new(ErrorKind::Conflict, "read object of bucket"));
        }
        if read.bytes.len() as u64 != range.end - range.start {
            return Err(Error::new(ErrorKind::SourceUnavailable, "read object of bucket")
                .with("key", key.escape_debug())
                .because("the service sent another number of bytes"));
        }
        put(to, address, range.start, &read.bytes, &mut hash).await?;
        first.get_or_insert(ReadObject { bytes: Bytes::new(), ..read });
    }
    let first = first.ok_or_else(|| Error::new(ErrorKind::Conflict, "read object of bucket"))?;
    let place = Place::Pieces { address };
    let data = FileData { size, hash: hash.digest(), place, ..FileData::default() };
    Ok(describe(seen, &first, data))
}

/// Up to this size an object fits behind an address that was given to one of a size: addresses have
/// room for whole multiples of 16 TiB.
fn room(listed: u64) -> u64 {
    listed.div_ceil(PIECE << 24).max(1) * (PIECE << 24)
}

fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(RANGE)).map(move |n| n * RANGE..((n + 1) * RANGE).min(size))
}

/// Writes the pieces in a range that begins with one.
async fn put(
    to: &Pieces<'_>,
    address: u64,
    begin: u64,
    bytes: &Bytes,
    hash: &mut Xxh3Default,
) -> Result<()> {
    hash.update(bytes);
    for (at, piece) in bytes.chunks(PIECE as usize).enumerate() {
        let address = address + begin / PIECE + at as u64;
        let mut segment = to.sink.segment(to.part, address).await?;
        segment.write(piece).await?;
        segment.finish().await?;
    }
    to.pace.passed(bytes.len() as u64).await;
    Ok(())
}

/// Returns an entry's key; `Unsupported` where a path is none.
pub(super) fn text(entry: &Entry) -> Result<&str> {
    std::str::from_utf8(&entry.path).map_err(|error| {
        Error::new(ErrorKind::Unsupported, "use path as a key")
            .with("path", entry.shown())
            .because(error)
    })
}
