//! The directory of a pack: which chunks it holds, in order.
//!
//! The same bytes stand in a pack's footer and in index objects.

use backup_core::{ChunkId, PackId, Result};
use backup_crypto::{HEADER_LEN, TAG_LEN};

use crate::bytes::Fields;
use crate::codec::Encoding;

/// One chunk in a pack; its place follows from the lengths before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: ChunkId,
    /// Bytes of the sealed frame, tag included.
    pub(crate) sealed: u32,
    /// Bytes of the plaintext.
    pub(crate) raw: u32,
    pub(crate) encoding: Encoding,
    /// Length of the chain of bases behind it; 0 for a whole chunk.
    pub(crate) depth: u8,
    /// The chunk it is a difference to.
    pub(crate) base: Option<ChunkId>,
}

/// A pack as an index tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackEntries {
    pub(crate) id: PackId,
    /// Bytes of the whole object.
    pub(crate) size: u64,
    /// When prune marked it for deletion, in seconds since 1970 by the store's clock.
    pub(crate) marked_at: Option<i64>,
    pub(crate) entries: Vec<Entry>,
}

impl PackEntries {
    /// Returns every entry with its ordinal and offset in the object.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (u32, u32, &Entry)> {
        let mut offset = HEADER_LEN as u32;
        self.entries.iter().enumerate().map(move |(ordinal, entry)| {
            let at = offset;
            offset = offset.saturating_add(entry.sealed);
            (ordinal as u32, at, entry)
        })
    }
}

/// No encoding makes a chunk much larger than it is: a reader never fetches more for one.
const MOST_SEALED: usize = crate::MAX_CHUNK + (1 << 20);

const LEAST_ENTRY: usize = ChunkId::LEN + 4 + 4 + 1 + 1;

/// Appends a count and the entries.
pub(crate) fn write_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    out.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    for entry in entries {
        out.extend_from_slice(entry.id.as_bytes());
        out.extend_from_slice(&entry.sealed.to_be_bytes());
        out.extend_from_slice(&entry.raw.to_be_bytes());
        out.push(entry.encoding as u8);
        out.push(entry.depth);
        if let Some(base) = entry.base {
            out.extend_from_slice(base.as_bytes());
        }
    }
}

/// Reads what [`write_entries`] wrote; refuses combinations that no writer makes.
pub(crate) fn read_entries(fields: &mut Fields<'_>) -> Result<Vec<Entry>> {
    let count = fields.count(LEAST_ENTRY)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let id = ChunkId(fields.array()?);
        let (sealed, raw) = (fields.u32()?, fields.u32()?);
        let encoding = Encoding::try_from(fields.u8()?)?;
        let depth = fields.u8()?;
        let is_delta = encoding == Encoding::Delta;
        let base = if is_delta { Some(ChunkId(fields.array()?)) } else { None };
        let sound = is_delta == (depth > 0)
            && depth <= crate::MAX_DEPTH
            && (TAG_LEN..=MOST_SEALED).contains(&(sealed as usize))
            && raw as usize <= crate::MAX_CHUNK;
        if !sound {
            return Err(fields.damaged().with("chunk", id.short()));
        }
        entries.push(Entry { id, sealed, raw, encoding, depth, base });
    }
    Ok(entries)
}
