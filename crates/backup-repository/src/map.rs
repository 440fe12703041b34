//! The segment map of a part: which chunks make up which segment.
//!
//! It is itself stored as chunks, so that a manifest stays small however large the database.

use backup_core::{ChunkId, Result};

use crate::bytes::Fields;

const VERSION: u8 = 1;
const LEAST_SEGMENT: usize = 8 + 4;
const CHUNK: usize = ChunkId::LEN + 4;

/// The segments of a part, by ascending address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentMap {
    pub(crate) segments: Vec<Segment>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) address: u64,
    pub(crate) chunks: Vec<ChunkRef>,
}

/// One chunk of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) id: ChunkId,
    /// Bytes of plaintext.
    pub(crate) raw: u32,
}

impl Segment {
    /// Returns the segment's bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.raw)).sum()
    }
}

impl SegmentMap {
    /// Returns the chunk that stood at a place: the piece-th of the segment that begins at
    /// `address`, or of the last one that begins before it (ranges may have been halved since).
    pub(crate) fn base_for(&self, address: u64, piece: usize) -> Option<ChunkId> {
        let after = self.segments.partition_point(|segment| segment.address <= address);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        segment.chunks.get(piece).or_else(|| segment.chunks.last()).map(|chunk| chunk.id)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&(self.segments.len() as u32).to_be_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.address.to_be_bytes());
            out.extend_from_slice(&(segment.chunks.len() as u32).to_be_bytes());
            for chunk in &segment.chunks {
                out.extend_from_slice(chunk.id.as_bytes());
                out.extend_from_slice(&chunk.raw.to_be_bytes());
            }
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(bytes, "segment map");
        if fields.u8()? != VERSION {
            return Err(fields.damaged());
        }
        let count = fields.count(LEAST_SEGMENT)?;
        let mut segments: Vec<Segment> = Vec::with_capacity(count);
        for _ in 0..count {
            let address = fields.u64()?;
            if segments.last().is_some_and(|last| last.address >= address) {
                return Err(fields.damaged().with("address", address));
            }
            let chunks = fields.count(CHUNK)?;
            let mut refs = Vec::with_capacity(chunks);
            for _ in 0..chunks {
                refs.push(ChunkRef { id: ChunkId(fields.array()?), raw: fields.u32()? });
            }
            segments.push(Segment { address, chunks: refs });
        }
        fields.end()?;
        Ok(Self { segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(addresses: &[u64]) -> SegmentMap {
        let segment = |address: &u64| Segment {
            address: *address,
            chunks: vec![ChunkRef { id: ChunkId([*address as u8; 32]), raw: 7 }],
        };
        SegmentMap { segments: addresses.iter().map(segment).collect() }
    }

    #[test]
    fn round_trips_and_refuses_damage() {
        let bytes = map(&[0, 2048, 4096]).to_bytes();
        assert_eq!(SegmentMap::from_bytes(&bytes).unwrap(), map(&[0, 2048, 4096]));
        for length in 0..bytes.len() {
            assert!(SegmentMap::from_bytes(&bytes[..length]).is_err());
        }
        assert!(SegmentMap::from_bytes(&map(&[5, 5]).to_bytes()).is_err());
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
