//! Sealed blobs: objects that are read whole (indexes, manifests, verification records).
//!
//! Plaintext: length of the compressed payload as `u64`, the payload as one zstd frame, zero
//! padding up to a Padmé size. It is sealed in frames of one mebibyte, the last one shorter and
//! flagged as last.

use backup_core::{Error, ErrorKind, Result};
use backup_crypto::{HEADER_LEN, KeyBundle, ObjectKind, ObjectOpener, ObjectSealer, TAG_LEN};
use bytes::Bytes;

use crate::bytes::{Fields, padme};

const FRAME: usize = 1 << 20;
const LEVEL: i32 = 3;

/// A blob's payload may not be larger than this once unpacked: what one part of 100 TB needs.
const LARGEST: usize = 1 << 30;

/// Ids do not compress: a payload that claims to be this many times its frame is a bomb.
const BEST_RATIO: usize = 256;

/// Returns the sealed object.
pub(crate) fn seal(
    keys: &KeyBundle,
    kind: ObjectKind,
    object: [u8; 16],
    payload: &[u8],
) -> Result<Bytes> {
    let packed = zstd::bulk::compress(payload, LEVEL)
        .map_err(|error| Error::new(ErrorKind::Failed, "compress object").because(error))?;
    let mut plain = Vec::with_capacity(packed.len() + packed.len() / 8 + 16);
    plain.extend_from_slice(&(packed.len() as u64).to_be_bytes());
    plain.extend_from_slice(&packed);
    plain.resize(padme(plain.len() as u64) as usize, 0);

    let hedge = blake3::hash(payload);
    let mut sealer = ObjectSealer::new(keys, kind, object, &[hedge.as_bytes()])?;
    let mut out =
        Vec::with_capacity(HEADER_LEN + plain.len() + (plain.len() / FRAME + 1) * TAG_LEN);
    out.extend_from_slice(sealer.header());
    let mut frames = plain.chunks(FRAME).peekable();
    while let Some(frame) = frames.next() {
        sealer.seal(frames.peek().is_none(), &[], frame, &mut out)?;
    }
    Ok(out.into())
}

/// Returns the payload of a sealed object, every byte of it authenticated.
pub(crate) fn open(
    keys: &KeyBundle,
    kind: ObjectKind,
    object: [u8; 16],
    sealed: &[u8],
) -> Result<Vec<u8>> {
    let damaged = || Error::new(ErrorKind::Integrity, "open object");
    let (header, body) = sealed.split_at_checked(HEADER_LEN).ok_or_else(damaged)?;
    let opener = ObjectOpener::new(keys, kind, object, header)?;
    let mut plain = Vec::with_capacity(body.len());
    let mut frames = body.chunks(FRAME + TAG_LEN).enumerate().peekable();
    while let Some((ordinal, frame)) = frames.next() {
        let last = frames.peek().is_none();
        plain.extend_from_slice(&opener.open(ordinal as u64, last, &[], frame)?);
    }
    unpack(&plain)
}

/// Returns the payload in the plaintext of a blob.
pub(crate) fn unpack(plain: &[u8]) -> Result<Vec<u8>> {
    let damaged = || Error::new(ErrorKind::Integrity, "open object");
    let mut fields = Fields::new(plain, "object payload");
    let length = fields.u64()? as usize;
    let (packed, padding) = fields.rest().split_at_checked(length).ok_or_else(damaged)?;
    Fields::new(padding, "object padding").padding()?;
    let unpacked = zstd::bulk::Decompressor::upper_bound(packed)
        .filter(|size| *size <= LARGEST.min(packed.len() * BEST_RATIO + FRAME))
        .ok_or_else(damaged)?;
    zstd::bulk::decompress(packed, unpacked).map_err(|error| damaged().because(error))
}
