//! A file to a sealed object, and back.
//!
//! Header ‖ head frame ‖ content frames ‖ padding frame. The content is cut at equal lengths
//! (4 MiB, or a 64th of the file where that is more), each piece is compressed on its own, so
//! that all cores work on one segment. The last frame is zero bytes (perhaps none) that bring the
//! object to a Padmé size; it alone is flagged as last, so that an end is never taken for
//! another.

use std::sync::{Arc, Mutex};

use backup_core::{ChunkId, Error, ErrorKind, Result, WalFacts};
use backup_crypto::{
    ChunkIdKey, HEADER_LEN, KeyBundle, ObjectKind, ObjectOpener, ObjectSealer, TAG_LEN,
};
use bytes::Bytes;

use super::head::{HEAD, LONGEST, MOST_FRAMES, WalHead, damaged, open_head, write_head};
use crate::bytes::padme;
use crate::codec::{Compressor, Encoded, decode_into};

/// Bytes of an object that hold its header and its head.
pub(super) const FRONT: u64 = (HEADER_LEN + HEAD + TAG_LEN) as u64;

const PIECE: usize = 4 << 20;
/// WAL is mostly page images; higher levels cost more time than they save bytes.
const LEVEL: i32 = 1;

/// Returns the content's id, and the part of the object's name that stands for it.
pub(super) fn identify(ids: ChunkIdKey, content: &[u8]) -> (ChunkId, [u8; 8]) {
    let id = ids.id(content);
    let named = ids.id(&[b"backup.v1.wal-name\0".as_slice(), &id.0].concat());
    let mut digest = [0; 8];
    digest.copy_from_slice(&named.0[..8]);
    (id, digest)
}

/// A file's content, hashed and compressed: what can be done before its name is known.
pub struct PreparedWal {
    pub(super) keys: Arc<KeyBundle>,
    length: u64,
    id: ChunkId,
    pieces: Vec<Encoded>,
    pub(super) digest: [u8; 8],
}

/// Hashes and compresses a file's content, on all cores.
pub(super) fn prepare(keys: Arc<KeyBundle>, content: &[u8]) -> Result<PreparedWal> {
    if content.len() as u64 > LONGEST {
        return Err(Error::new(ErrorKind::Usage, "store WAL file")
            .with("bytes", content.len())
            .hint("No WAL file is longer than 1 GiB."));
    }
    let ids = keys.chunk_ids();
    std::thread::scope(|scope| {
        let hashing = scope.spawn(|| identify(ids, content));
        let pieces = compress(content)?;
        let (id, digest) = hashing.join().map_err(|_| lost())?;
        Ok(PreparedWal { keys, length: content.len() as u64, id, pieces, digest })
    })
}

/// Returns the sealed object of that name.
pub(super) fn seal(name: &str, content: PreparedWal, facts: Option<WalFacts>) -> Result<Bytes> {
    let PreparedWal { keys, length, id, pieces, .. } = content;
    let frames = pieces.iter().map(|piece| (piece.encoding, piece.bytes.len() as u32)).collect();
    let head = WalHead { length, facts, content: id, frames };
    let head = write_head(&head, keys.chunk_ids(), name);

    let mut sealer =
        ObjectSealer::new(&keys, ObjectKind::Wal, object_id(keys.chunk_ids(), name), &[&id.0])?;
    let body: usize = pieces.iter().map(|piece| piece.bytes.len() + TAG_LEN).sum();
    let least = FRONT as usize + body + TAG_LEN;
    let size = padme(least as u64) as usize;
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(sealer.header());
    sealer.seal(false, &[], &head, &mut out)?;
    for piece in &pieces {
        sealer.seal(false, &[], &piece.bytes, &mut out)?;
    }
    sealer.seal(true, &[], &vec![0; size - least], &mut out)?;
    Ok(out.into())
}

/// Returns what the front of an object (at least [`FRONT`] bytes) says.
pub(super) fn open_front(keys: &KeyBundle, name: &str, front: &[u8]) -> Result<WalHead> {
    Ok(opened(keys, name, front)?.1)
}

/// Returns the content of an object and its head; every byte was authenticated and the content
/// is what the name says.
pub(super) fn open(
    keys: &KeyBundle,
    name: &str,
    digest: [u8; 8],
    sealed: &[u8],
) -> Result<(Vec<u8>, WalHead)> {
    let (opener, head) = opened(keys, name, sealed)?;
    let mut rest = sealed.get(FRONT as usize..).ok_or_else(|| damaged("it is cut short"))?;
    let mut frames = Vec::with_capacity(head.frames.len());
    for (_, length) in &head.frames {
        let (frame, after) = rest
            .split_at_checked(*length as usize + TAG_LEN)
            .ok_or_else(|| damaged("it is cut short"))?;
        frames.push(frame);
        rest = after;
    }
    let last = opener.open(frames.len() as u64 + 1, true, &[], rest)?;
    if last.iter().any(|byte| *byte != 0) {
        return Err(damaged("its padding is not empty"));
    }
    let content = decompress(&opener, &head, &frames)?;
    let (id, named) = identify(keys.chunk_ids(), &content);
    if id != head.content || named != digest {
        return Err(damaged("its content is not what its name says"));
    }
    Ok((content, head))
}

fn opened(keys: &KeyBundle, name: &str, sealed: &[u8]) -> Result<(ObjectOpener, WalHead)> {
    let front = sealed.get(..FRONT as usize).ok_or_else(|| damaged("it is cut short"))?;
    let (header, frame) = front.split_at(HEADER_LEN);
    let id = object_id(keys.chunk_ids(), name);
    let opener = ObjectOpener::new(keys, ObjectKind::Wal, id, header)?;
    let head = open_head(&opener.open(0, false, &[], frame)?, keys.chunk_ids(), name)?;
    Ok((opener, head))
}

/// Binds an object to its name: under another name it does not open.
fn object_id(ids: ChunkIdKey, name: &str) -> [u8; 16] {
    let id = ids.id(&[b"backup.v1.wal-object\0", name.as_bytes()].concat());
    let mut out = [0; 16];
    out.copy_from_slice(&id.0[..16]);
    out
}

/// Returns the length of a file's pieces.
fn piece_length(length: usize) -> usize {
    PIECE.max(length.div_ceil(MOST_FRAMES).next_power_of_two())
}

fn compress(content: &[u8]) -> Result<Vec<Encoded>> {
    let compressor = Compressor::new(LEVEL);
    let pieces: Vec<&[u8]> = content.chunks(piece_length(content.len())).collect();
    parallel(pieces, |_, piece| compressor.whole(piece))
}

fn decompress(opener: &ObjectOpener, head: &WalHead, frames: &[&[u8]]) -> Result<Vec<u8>> {
    let length = head.length as usize;
    let piece = piece_length(length);
    if length.div_ceil(piece) != frames.len() {
        return Err(damaged("it has another number of frames than its length needs"));
    }
    let mut content = vec![0; length];
    let pieces = frames.iter().zip(content.chunks_mut(piece)).collect();
    parallel(pieces, |position, (frame, into)| {
        let plain = opener.open(position as u64 + 1, false, &[], frame)?;
        let encoding = head.frames.get(position).map(|(encoding, _)| *encoding);
        let encoding = encoding.ok_or_else(|| damaged("it has more frames than it says"))?;
        decode_into(encoding, &plain, into)
    })?;
    Ok(content)
}

/// Works on all items at once, on as many threads as there are cores; each takes the next one.
fn parallel<I: Send, T: Send>(
    items: Vec<I>,
    work: impl Fn(usize, I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let more = cores.min(items.len()).saturating_sub(1);
    let left = Mutex::new(items.into_iter().enumerate());
    let some = || {
        let mut done = Vec::new();
        loop {
            let Some((position, item)) = left.lock().map_err(|_| lost())?.next() else {
                return Ok(done);
            };
            done.push((position, work(position, item)?));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..more).map(|_| scope.spawn(some)).collect();
        let mut done = some()?;
        for thread in threads {
            done.extend(thread.join().map_err(|_| lost())??);
        }
        Ok::<_, Error>(done)
    })?;
    done.sort_unstable_by_key(|(position, _)| *position);
    Ok(done.into_iter().map(|(_, item)| item).collect())
}

fn lost() -> Error {
    Error::new(ErrorKind::Failed, "compute on another thread")
}
