//! Where the segments of a part are.

use std::collections::HashSet;

use backup_core::port::{PartSource, SegmentInfo};
use backup_core::{PartName, Result};

/// The segments of a part, found by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Segments(Vec<SegmentInfo>);

impl Segments {
    /// Asks for the segments of a part.
    pub(crate) async fn of(parts: &dyn PartSource, name: &PartName) -> Result<Self> {
        Ok(Self(parts.segments(name).await?))
    }

    /// Returns the position of the segment at an address, and its length.
    pub(crate) fn find(&self, address: u64) -> Option<(usize, u64)> {
        let at = self.0.binary_search_by_key(&address, |segment| segment.address).ok()?;
        self.0.get(at).map(|segment| (at, segment.bytes))
    }
}

/// Addresses that were given away: a bit for each segment, more only where none is.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    bits: Vec<u64>,
    /// Those of files whose first piece is a hole.
    others: HashSet<u64>,
}

impl Taken {
    /// Takes an address; returns whether it was free.
    pub(crate) fn insert(&mut self, segments: &Segments, address: u64) -> bool {
        let Some((position, _)) = segments.find(address) else {
            return self.others.insert(address);
        };
        let (word, bit) = (position / 64, 1 << (position % 64));
        if self.bits.len() <= word {
            self.bits.resize(segments.0.len().div_ceil(64), 0);
        }
        match self.bits.get_mut(word) {
            Some(bits) if *bits & bit == 0 => {
                *bits |= bit;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_taken_once() {
        let info = |address| SegmentInfo { address, bytes: address / 3 };
        let segments = Segments((0..200).map(|n| info(n * 3)).collect());
        assert_eq!(segments.find(63), Some((21, 21)));
        assert_eq!(segments.find(64), None);
        let mut taken = Taken::default();
        // Those that are no multiple of three have no segment.
        assert!((0..700).all(|address| taken.insert(&segments, address)));
        assert!((0..700).all(|address| !taken.insert(&segments, address)));
        assert_eq!(taken.bits.len(), 4);
    }
}
