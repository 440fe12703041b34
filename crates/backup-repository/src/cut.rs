//! Content-defined cuts for opaque streams: FastCDC (2020) with a gear table keyed by the
//! repository's secret, so that cut points tell an outsider nothing.

use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};
use fastcdc::v2020::{Normalization, cut_gear, select_masks};
use serde::{Deserialize, Serialize};

/// Sizes of content-defined chunks, in bytes; written into the repository's config at `init`
/// because a change would make every stream look new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamCut {
    /// Smallest chunk.
    pub(crate) min: u32,
    /// Average chunk, a power of two.
    pub(crate) average: u32,
    /// Largest chunk.
    pub(crate) max: u32,
}

impl Default for StreamCut {
    fn default() -> Self {
        Self { min: 16 << 10, average: 64 << 10, max: 256 << 10 }
    }
}

impl StreamCut {
    /// Checks sizes that came from outside.
    pub(crate) fn check(self) -> Result<Self> {
        let sound = self.min >= 1 << 10
            && self.average.is_power_of_two()
            && self.min <= self.average
            && self.average <= self.max
            && self.max <= 8 << 20
            && self.min.is_multiple_of(2)
            && self.max.is_multiple_of(2);
        if sound {
            Ok(self)
        } else {
            Err(Error::new(ErrorKind::Integrity, "read stream cut sizes"))
        }
    }
}

/// Cuts one stream.
#[derive(Clone)]
pub(crate) struct Cutter {
    sizes: StreamCut,
    gear: Arc<[u64; 256]>,
    gear_ls: Arc<[u64; 256]>,
    masks: (u64, u64),
}

impl Cutter {
    /// Fills the gear table with the extendable output of BLAKE3 under `gear_key`.
    pub(crate) fn new(sizes: StreamCut, gear_key: &[u8; 32]) -> Self {
        let mut stream = blake3::Hasher::new_keyed(gear_key).update(b"gear table 1").finalize_xof();
        let mut gear = [0u64; 256];
        let mut word = [0; 8];
        for entry in &mut gear {
            stream.fill(&mut word);
            *entry = u64::from_be_bytes(word);
        }
        let gear_ls = gear.map(|entry| entry << 1);
        let masks = select_masks(sizes.average as usize, Normalization::Level1);
        Self { sizes, gear: Arc::new(gear), gear_ls: Arc::new(gear_ls), masks }
    }

    /// Returns the length of the first chunk of `buffer`, or `None` when more bytes are needed
    /// to decide; at the `end` of the stream the rest is a chunk.
    pub(crate) fn cut(&self, buffer: &[u8], end: bool) -> Option<usize> {
        if buffer.is_empty() || (!end && buffer.len() < self.sizes.max as usize) {
            return None;
        }
        let head = buffer.get(..self.sizes.max as usize).unwrap_or(buffer);
        let (short, long) = self.masks;
        let (_, length) = cut_gear(
            head,
            self.sizes.min as usize,
            self.sizes.average as usize,
            self.sizes.max as usize,
            short,
            long,
            short << 1,
            long << 1,
            &self.gear[..],
            &self.gear_ls[..],
        );
        Some(length.clamp(1, head.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(cutter: &Cutter, mut bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(length) = cutter.cut(bytes, true) {
            lengths.push(length);
            bytes = &bytes[length..];
        }
        lengths
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new_keyed(&[5; 32]).finalize_xof().fill(&mut out);
        out
    }

    /// Golden: a change here makes every stored stream look new.
    #[test]
    fn cut_points_are_pinned() {
        let cutter = Cutter::new(StreamCut::default(), &[7; 32]);
        let lengths = cuts(&cutter, &noise(1 << 20));
        assert_eq!(lengths.iter().sum::<usize>(), 1 << 20);
        insta::assert_compact_debug_snapshot!(lengths);
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_near_it_and_keys_matter() {
        let cutter = Cutter::new(StreamCut::default(), &[7; 32]);
        let plain = noise(4 << 20);
        let mut longer = plain.clone();
        longer.splice(100..100, *b"inserted");
        let (before, after) = (cuts(&cutter, &plain), cuts(&cutter, &longer));
        let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(same + 4 >= before.len(), "{same} of {}", before.len());
        let other = Cutter::new(StreamCut::default(), &[8; 32]);
        assert_ne!(cuts(&other, &plain), before);
    }
}
