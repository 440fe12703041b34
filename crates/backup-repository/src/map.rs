//! The segment map of a part: which chunks make up which segment.
//!
//! It is itself stored as chunks, so that a manifest stays small however large the database.

use backup_core::{ChunkId, Result};

use crate::bytes::Fields;

const VERSION: u8 = 1;
const LEAST_SEGMENT: usize = 8 + 4;
const CHUNK: usize = ChunkId::LEN + 4;

/// The segments of a part, by ascending address. There may be millions: they lie in three rows,
/// 48 bytes for one of one chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentMap {
    addresses: Vec<u64>,
    /// Where the chunks of each segment end.
    ends: Vec<u32>,
    chunks: Vec<ChunkRef>,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) address: u64,
    pub(crate) chunks: &'a [ChunkRef],
}

/// One chunk of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) id: ChunkId,
    /// Bytes of plaintext.
    pub(crate) raw: u32,
}

impl Segment<'_> {
    /// Returns the segment's bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.raw)).sum()
    }
}

impl SegmentMap {
    /// Appends a segment, whose address may be anything until the map is [`SegmentMap::encode`]d.
    pub(crate) fn push(&mut self, address: u64, chunks: &[ChunkRef]) {
        self.addresses.push(address);
        self.chunks.extend_from_slice(chunks);
        self.ends.push(self.chunks.len() as u32);
    }

    /// Returns how many segments there are.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Returns the bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.raw)).sum()
    }

    /// Returns every chunk, segment after segment.
    pub(crate) fn chunks(&self) -> &[ChunkRef] {
        &self.chunks
    }

    /// Returns a segment by its position.
    pub(crate) fn segment(&self, position: usize) -> Option<Segment<'_>> {
        let end = *self.ends.get(position)? as usize;
        let start = position.checked_sub(1).and_then(|before| self.ends.get(before));
        let chunks = self.chunks.get(start.map_or(0, |start| *start as usize)..end)?;
        Some(Segment { address: *self.addresses.get(position)?, chunks })
    }

    /// Returns the segments in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        (0..self.len()).filter_map(|position| self.segment(position))
    }

    /// Returns the chunk that stood at a place: the piece-th of the segment that begins at
    /// `address`, or of the last one that begins before it (ranges may have been halved since).
    pub(crate) fn base_for(&self, address: u64, piece: usize) -> Option<ChunkId> {
        let after = self.addresses.partition_point(|begin| *begin <= address);
        let segment = self.segment(after.checked_sub(1)?)?;
        segment.chunks.get(piece).or_else(|| segment.chunks.last()).map(|chunk| chunk.id)
    }

    /// Returns the segment that begins exactly at an address; the map must be sorted, as a map
    /// that was read is.
    pub(crate) fn at(&self, address: u64) -> Option<Segment<'_>> {
        let found = self.addresses.binary_search(&address);
        found.ok().and_then(|position| self.segment(position))
    }

    /// Returns the map's bytes, its segments sorted by address.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by_key(|position| self.addresses.get(*position as usize).copied());
        let size = 5 + self.len() * LEAST_SEGMENT + self.chunks.len() * CHUNK;
        let mut out = Vec::with_capacity(size);
        out.push(VERSION);
        out.extend_from_slice(&(self.len() as u32).to_be_bytes());
        for segment in order.into_iter().filter_map(|position| self.segment(position as usize)) {
            out.extend_from_slice(&segment.address.to_be_bytes());
            out.extend_from_slice(&(segment.chunks.len() as u32).to_be_bytes());
            for chunk in segment.chunks {
                out.extend_from_slice(chunk.id.as_bytes());
                out.extend_from_slice(&chunk.raw.to_be_bytes());
            }
        }
        out
    }

    /// Returns an address that two segments have.
    pub(crate) fn repeated(&self) -> Option<u64> {
        let mut addresses = self.addresses.clone();
        addresses.sort_unstable();
        addresses.windows(2).find_map(|pair| match pair {
            [first, second] => (first == second).then_some(*first),
            _ => None,
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(bytes, "segment map");
        if fields.u8()? != VERSION {
            return Err(fields.damaged());
        }
        let count = fields.count(LEAST_SEGMENT)?;
        let mut map = Self::default();
        map.addresses.reserve_exact(count);
        map.ends.reserve_exact(count);
        // Few segments have more chunks than one.
        map.chunks.reserve_exact(count);
        for _ in 0..count {
            let address = fields.u64()?;
            if map.addresses.last().is_some_and(|last| *last >= address) {
                return Err(fields.damaged().with("address", address));
            }
            for _ in 0..fields.count(CHUNK)? {
                map.chunks.push(ChunkRef { id: ChunkId(fields.array()?), raw: fields.u32()? });
            }
            map.addresses.push(address);
            map.ends.push(map.chunks.len() as u32);
        }
        fields.end()?;
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(addresses: &[u64]) -> SegmentMap {
        let mut map = SegmentMap::default();
        for address in addresses {
            map.push(*address, &[ChunkRef { id: ChunkId([*address as u8; 32]), raw: 7 }]);
        }
        map
    }

    #[test]
    fn round_trips_and_refuses_damage() {
        let bytes = map(&[0, 2048, 4096]).encode();
        assert_eq!(SegmentMap::from_bytes(&bytes).unwrap(), map(&[0, 2048, 4096]));
        assert_eq!(map(&[4096, 0, 2048]).encode(), bytes, "the order of arrival does not matter");
        for length in 0..bytes.len() {
            assert!(SegmentMap::from_bytes(&bytes[..length]).is_err());
        }
        assert!(SegmentMap::from_bytes(&map(&[5, 5]).encode()).is_err());
        assert_eq!((map(&[5, 3, 5]).repeated(), map(&[5, 3]).repeated()), (Some(5), None));
    }

    #[test]
    fn a_base_is_what_stood_at_or_before_the_address() {
        let old = map(&[0, 20, 40]);
        let at = |address| old.base_for(address, 0).map(|id| id.0[0]);
        assert_eq!(at(0), Some(0));
        assert_eq!(at(20), Some(20));
        assert_eq!(at(30), Some(20));
        assert_eq!(at(99), Some(40));
        assert_eq!(map(&[]).base_for(0, 0), None);
    }
}
