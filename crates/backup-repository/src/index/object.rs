//! What an index object holds.

use backup_core::{IndexId, PackId, Result};

use crate::bytes::Fields;
use crate::pack::{PackEntries, read_entries, write_entries};

const VERSION: u8 = 1;
const LEAST_PACK: usize = PackId::LEN + 8 + 8 + 4;

/// Packs and their directories, and the older index objects this one replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexObject {
    pub(crate) supersedes: Vec<IndexId>,
    pub(crate) packs: Vec<PackEntries>,
}

impl IndexObject {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&(self.supersedes.len() as u32).to_be_bytes());
        for id in &self.supersedes {
            out.extend_from_slice(id.as_bytes());
        }
        out.extend_from_slice(&(self.packs.len() as u32).to_be_bytes());
        for pack in &self.packs {
            out.extend_from_slice(pack.id.as_bytes());
            out.extend_from_slice(&pack.size.to_be_bytes());
            out.extend_from_slice(&pack.marked_at.unwrap_or(0).to_be_bytes());
            write_entries(&mut out, &pack.entries);
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(bytes, "index");
        if fields.u8()? != VERSION {
            return Err(fields.damaged().with("version", bytes.first().copied().unwrap_or(0)));
        }
        let count = fields.count(IndexId::LEN)?;
        let mut supersedes = Vec::with_capacity(count);
        for _ in 0..count {
            supersedes.push(IndexId(fields.array()?));
        }
        let count = fields.count(LEAST_PACK)?;
        let mut packs = Vec::with_capacity(count);
        for _ in 0..count {
            let id = PackId(fields.array()?);
            let size = fields.u64()?;
            let marked_at = Some(fields.i64()?).filter(|at| *at != 0);
            packs.push(PackEntries { id, size, marked_at, entries: read_entries(&mut fields)? });
        }
        fields.end()?;
        Ok(Self { supersedes, packs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoding;
    use crate::pack::Entry;
    use backup_core::ChunkId;

    fn sample() -> IndexObject {
        let entry = |byte, base: Option<u8>| Entry {
            id: ChunkId([byte; 32]),
            sealed: 100,
            raw: 1000,
            encoding: if base.is_some() { Encoding::Delta } else { Encoding::Zstd },
            depth: u8::from(base.is_some()),
            base: base.map(|byte| ChunkId([byte; 32])),
        };
        IndexObject {
            supersedes: vec![IndexId([9; 16])],
            packs: vec![PackEntries {
                id: PackId([1; 16]),
                size: 12345,
                marked_at: Some(1_700_000_000),
                entries: vec![entry(1, None), entry(2, Some(1))],
            }],
        }
    }

    #[test]
    fn round_trips() {
        let object = sample();
        assert_eq!(IndexObject::from_bytes(&object.to_bytes()).unwrap(), object);
        let empty = IndexObject::default();
        assert_eq!(IndexObject::from_bytes(&empty.to_bytes()).unwrap(), empty);
    }

    #[test]
    fn refuses_every_truncation_and_trailing_bytes() {
        let bytes = sample().to_bytes();
        for length in 0..bytes.len() {
            assert!(IndexObject::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        assert!(IndexObject::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }
}
