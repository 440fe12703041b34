//! One chunk's bytes on disk: stored, compressed, or compressed against a base chunk.
//!
//! Every encoding is one that stock tools read: `Zstd` is a zstd frame, `Delta` is a zstd frame
//! made with the base as prefix (`zstd -d --patch-from=BASE`).

mod compress;
mod decompress;

pub use compress::{Compressor, Encoded};
pub use decompress::decode;
pub(crate) use decompress::decode_into;

use backup_core::{Error, ErrorKind, Result};

/// Largest plaintext of a chunk, in bytes. Bounds memory: a reader holds a chunk and its base.
pub const MAX_CHUNK: usize = 16 << 20;

/// How a chunk's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// As they are: compression would not make them smaller.
    Raw = 0,
    /// A zstd frame.
    Zstd = 1,
    /// A zstd frame with the base chunk's plaintext as prefix.
    Delta = 2,
}

impl TryFrom<u8> for Encoding {
    type Error = Error;

    fn try_from(byte: u8) -> Result<Self> {
        match byte {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            2 => Ok(Self::Delta),
            _ => Err(Error::new(ErrorKind::Integrity, "read chunk encoding").with("byte", byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, salt: u64) -> Vec<u8> {
        let mut text = Vec::new();
        let mut state = salt;
        for row in 0..count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.extend_from_slice(
                format!("{row}\tcustomer {:x}\t2026-11-{:02}\t{}\n", state, row % 28, state >> 40)
                    .as_bytes(),
            );
        }
        text
    }

    #[test]
    fn whole_chunks_round_trip() {
        let compressor = Compressor::new(2);
        for plain in [Vec::new(), vec![0; 1 << 20], rows(50_000, 1)] {
            let encoded = compressor.whole(&plain).unwrap();
            let back = decode(encoded.encoding, &encoded.bytes, None, plain.len()).unwrap();
            assert_eq!(back, plain);
        }
    }

    #[test]
    fn noise_is_stored_raw() {
        let mut noise = vec![0; 1 << 20];
        getrandom::fill(&mut noise).unwrap();
        let encoded = Compressor::new(2).whole(&noise).unwrap();
        assert_eq!(encoded.encoding, Encoding::Raw);
        assert_eq!(encoded.bytes.len(), noise.len());
    }

    /// The trap: with small hash tables a delta silently finds almost nothing.
    #[test]
    fn a_delta_of_a_slightly_changed_chunk_is_tiny() {
        let compressor = Compressor::new(2);
        for count in [20_000, 250_000] {
            let base = rows(count, 1);
            let mut changed = base.clone();
            // Two in a hundred rows change; the text before them shifts the rest.
            changed.splice(100..100, *b"inserted row\n");
            for place in (0..changed.len()).step_by(changed.len() / 50) {
                changed[place] = b'#';
            }
            let whole = compressor.whole(&changed).unwrap().bytes.len();
            let delta = compressor.delta(&changed, &base).unwrap();
            assert!(
                delta.bytes.len() * 40 < whole,
                "{count} rows: delta {} of whole {whole}",
                delta.bytes.len()
            );
            let back = decode(delta.encoding, &delta.bytes, Some(&base), changed.len()).unwrap();
            assert_eq!(back, changed);
        }
    }

    #[test]
    fn a_wrong_length_or_a_missing_base_is_found() {
        let plain = rows(1000, 7);
        let encoded = Compressor::new(2).whole(&plain).unwrap();
        assert!(decode(Encoding::Zstd, &encoded.bytes, None, plain.len() + 1).is_err());
        assert!(decode(Encoding::Zstd, &encoded.bytes, None, plain.len() - 1).is_err());
        assert!(decode(Encoding::Delta, &encoded.bytes, None, plain.len()).is_err());
        assert!(decode(Encoding::Raw, b"abc", None, 4).is_err());
        assert!(decode(Encoding::Zstd, b"abc", None, MAX_CHUNK + 1).is_err());
    }
}
