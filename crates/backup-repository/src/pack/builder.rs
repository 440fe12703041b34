//! Building a pack.

use backup_core::{ChunkId, PackId, Result};
use backup_crypto::{HEADER_LEN, KeyBundle, ObjectKind, ObjectSealer, TAG_LEN};
use bytes::Bytes;

use super::{Entry, PackEntries, TRAILER_LEN, TRAILER_MAGIC, write_entries};
use crate::bytes::padme;
use crate::codec::Encoded;
use crate::random;

/// A pack being filled in memory.
pub(crate) struct PackBuilder {
    id: PackId,
    sealer: ObjectSealer,
    body: Vec<u8>,
    entries: Vec<Entry>,
}

impl PackBuilder {
    /// Starts a pack for its first chunk, whose id hedges the pack's key against a random
    /// number generator that repeats itself. It is built in `body`, whatever that holds.
    pub(crate) fn new(
        keys: &KeyBundle,
        first: &ChunkId,
        capacity: usize,
        mut body: Vec<u8>,
    ) -> Result<Self> {
        let id = PackId(random::bytes()?);
        let sealer = ObjectSealer::new(keys, ObjectKind::Pack, id.0, &[first.as_bytes()])?;
        body.clear();
        body.reserve(capacity);
        body.extend_from_slice(sealer.header());
        Ok(Self { id, sealer, body, entries: Vec::new() })
    }

    /// Seals a chunk into the pack.
    pub(crate) fn add(
        &mut self,
        id: ChunkId,
        raw: u32,
        encoded: &Encoded,
        depth: u8,
        base: Option<ChunkId>,
    ) -> Result<()> {
        self.sealer.seal(false, &[], &encoded.bytes, &mut self.body)?;
        let sealed = (encoded.bytes.len() + TAG_LEN) as u32;
        self.entries.push(Entry { id, sealed, raw, encoding: encoded.encoding, depth, base });
        Ok(())
    }

    /// Returns the bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Ends the pack: footer (padded to a Padmé size), trailer. Returns the directory for an
    /// index and the object.
    pub(crate) fn finish(mut self) -> Result<(PackEntries, Bytes)> {
        let mut footer = Vec::new();
        write_entries(&mut footer, &self.entries);
        let bare = self.body.len() + footer.len() + TAG_LEN + TRAILER_LEN;
        let padded = padme((bare - HEADER_LEN) as u64) as usize + HEADER_LEN;
        footer.resize(footer.len() + padded - bare, 0);

        let mut trailer = Vec::with_capacity(TRAILER_LEN);
        trailer.extend_from_slice(&((footer.len() + TAG_LEN) as u32).to_be_bytes());
        trailer.extend_from_slice(&(self.entries.len() as u32).to_be_bytes());
        trailer.extend_from_slice(&TRAILER_MAGIC);
        self.sealer.seal(true, &trailer, &footer, &mut self.body)?;
        self.body.extend_from_slice(&trailer);
        let pack = PackEntries {
            id: self.id,
            size: self.body.len() as u64,
            marked_at: None,
            entries: self.entries,
        };
        Ok((pack, self.body.into()))
    }
}
