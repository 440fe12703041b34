//! Entrances for fuzz targets: the parsers of what lies behind the seals. Not part of the
//! interface. Each returns whether its promise holds; rejecting the bytes is always right.

use std::sync::Arc;

use backup_core::{ErrorKind, IndexId};

use crate::bytes::Fields;
use crate::codec::{Encoding, MAX_CHUNK, decode};
use crate::config::{CONFIG_DOMAIN, Config};
use crate::cut::Cutter;
use crate::index::{Index, IndexObject};
use crate::map::SegmentMap;
use crate::pack::{footer_of, read_entries, write_entries};
use crate::signed::from_root_signed;

/// An index object has one spelling, and chains through it end.
pub fn index_object(bytes: &[u8]) -> bool {
    let Ok(object) = IndexObject::from_bytes(bytes) else { return true };
    let same = object.to_bytes() == bytes;
    let entries = object.packs.iter().flat_map(|pack| &pack.entries);
    let ids: Vec<_> = entries.take(64).map(|entry| entry.id).collect();
    let index = Index::merge(&[(IndexId([0; 16]), Arc::new(object))]);
    let ends = |chain: crate::index::Chain| chain.len() <= usize::from(crate::MAX_DEPTH) + 1;
    same && ids.iter().all(|id| index.chain(id).is_none_or(ends))
}

/// A pack's trailer and the entries of its footer, which have one spelling.
pub fn pack_footer(bytes: &[u8]) -> bool {
    let trailer = bytes.len() == 16 || footer_of(bytes).is_err();
    let Ok(entries) = read_entries(&mut Fields::new(bytes, "pack footer")) else { return trailer };
    let mut again = Vec::new();
    write_entries(&mut again, &entries);
    trailer && bytes.starts_with(&again)
}

/// A segment map has one spelling, and a base is looked up anywhere.
pub fn segment_map(bytes: &[u8]) -> bool {
    let Ok(map) = SegmentMap::from_bytes(bytes) else { return true };
    let none = map.len() == 0;
    map.encode() == bytes && (!none || map.base_for(u64::MAX, 3).is_none())
}

/// A config is believed under no key but the root's, and its sizes cut or are refused.
pub fn config(bytes: &[u8]) -> bool {
    match from_root_signed::<Config>(bytes) {
        Ok(claimed) => {
            let cut = claimed
                .unchecked()
                .stream_cut
                .check()
                .ok()
                .and_then(|sizes| Cutter::new(sizes, &[7; 32]).cut(bytes, true));
            cut.is_none_or(|length| (1..=bytes.len()).contains(&length))
                && claimed.check(CONFIG_DOMAIN, &[1; 32]).is_err()
        }
        Err(error) => matches!(error.kind(), ErrorKind::Integrity | ErrorKind::Unsupported),
    }
}

/// A blob's plaintext: no payload is out of proportion to its frame.
pub fn blob_payload(bytes: &[u8]) -> bool {
    crate::blob::unpack(bytes)
        .map_or(true, |payload| payload.len() <= bytes.len() * 256 + (1 << 20))
}

/// A stored chunk: encoding, claimed length (3 bytes), then base and frame, half each.
pub fn stored_chunk(bytes: &[u8]) -> bool {
    let Some(([encoding, a, b, c], rest)) = bytes.split_first_chunk::<4>() else { return true };
    let length = u32::from_be_bytes([*a, *b, *c, 0]) as usize;
    let Ok(encoding) = Encoding::try_from(*encoding) else { return true };
    let (base, stored) = rest.split_at_checked(rest.len() / 2).unwrap_or((rest, &[]));
    let plain = decode(encoding, stored, Some(base), length);
    plain.map_or(true, |plain| plain.len() == length && length <= MAX_CHUNK)
}

/// The head of a WAL object: refused, or within its bounds.
pub fn wal_head(bytes: &[u8]) -> bool {
    crate::wal::read_head(bytes).map_or(true, |head| {
        let points = head.facts.as_ref().map_or(0, |facts| facts.restore_points.len());
        head.length <= 1 << 30 && points * 17 <= bytes.len()
    })
}

#[cfg(test)]
mod tests {
    use backup_core::{ChunkId, PackId};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::pack::{Entry, PackEntries};

    fn index() -> Vec<u8> {
        let entry = |byte: u8, depth: u8| Entry {
            id: ChunkId([byte; 32]),
            sealed: 100,
            raw: 1000,
            encoding: if depth > 0 { Encoding::Delta } else { Encoding::Zstd },
            depth,
            base: (depth > 0).then_some(ChunkId([byte - 1; 32])),
        };
        let pack = |id: u8, marked_at| PackEntries {
            id: PackId([id; 16]),
            size: 12_345,
            marked_at,
            entries: (1..5).map(|byte| entry(byte, byte - 1)).collect(),
        };
        let packs = vec![pack(1, None), pack(2, Some(7))];
        IndexObject { supersedes: vec![IndexId([9; 16])], packs }.to_bytes()
    }

    proptest! {
        #[test]
        fn promises_hold_for_any_bytes(bytes in vec(any::<u8>(), 0..400)) {
            prop_assert!(index_object(&bytes) && pack_footer(&bytes) && segment_map(&bytes));
            prop_assert!(config(&bytes) && blob_payload(&bytes) && stored_chunk(&bytes));
            let mut head = vec![1];
            head.extend_from_slice(&bytes);
            head.resize(1024, 0);
            prop_assert!(wal_head(&head) && wal_head(&bytes));
        }

        #[test]
        fn promises_hold_for_an_index_with_changed_bytes(
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = index();
            for (place, byte) in changes {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert!(index_object(&bytes));
        }
    }
}
