//! Randomness that survives a repeated random number generator.
//!
//! A cloned or restored virtual machine may hand out the same random bytes twice. Every secret
//! is therefore drawn from one BLAKE3 stream over the system's randomness *and* what differs
//! between two uses of it: the time, the process, a counter, and the content at hand.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use backup_core::{Error, ErrorKind, Result};
use hpke::rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize, Zeroizing};

const CONTEXT: &str = "backup.v1 2026-11 hedged entropy";

/// A stream of secret bytes; wiped on drop.
pub(crate) struct Entropy {
    stream: blake3::OutputReader,
}

impl Entropy {
    /// Starts a stream from the system's randomness and `hedge`; fails if the system has none.
    pub(crate) fn fresh(hedge: &[&[u8]]) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|cause| {
            Error::new(ErrorKind::Failed, "read system randomness").because(cause)
        })?;
        Ok(Self::from_seed(&seed, &circumstances(), hedge))
    }

    /// Starts the stream that these inputs determine: the same inputs, the same bytes.
    pub(crate) fn from_seed(seed: &[u8; 32], circumstances: &[u8], hedge: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(seed);
        for part in [&[circumstances], hedge].concat() {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let stream = hasher.finalize_xof();
        hasher.zeroize();
        Self { stream }
    }

    /// Draws the next secret.
    pub(crate) fn secret(&mut self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.bytes())
    }

    /// Draws the next bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.stream.fill(&mut out);
        out
    }
}

fn circumstances() -> [u8; 28] {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut out = [0; 28];
    out[..16].copy_from_slice(&time.to_be_bytes());
    out[16..20].copy_from_slice(&std::process::id().to_be_bytes());
    out[20..].copy_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    out
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.stream.zeroize();
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.stream.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_seed_gives_other_bytes_for_other_content() {
        let draw = |circumstances: &[u8], hedge: &[&[u8]]| {
            Entropy::from_seed(&[7; 32], circumstances, hedge).bytes::<32>()
        };
        let first = draw(b"now", &[b"ab", b"c"]);
        assert_eq!(first, draw(b"now", &[b"ab", b"c"]));
        assert_ne!(first, draw(b"later", &[b"ab", b"c"]));
        assert_ne!(first, draw(b"now", &[b"a", b"bc"]));
        assert_ne!(first, draw(b"now", &[b"ab", b"d"]));
    }

    #[test]
    fn two_fresh_streams_differ() {
        let first = Entropy::fresh(&[]).unwrap().bytes::<32>();
        assert_ne!(first, Entropy::fresh(&[]).unwrap().bytes::<32>());
    }
}
