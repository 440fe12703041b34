//! Names of chunks.

use std::fmt;

use backup_core::ChunkId;

/// Turns plaintext into chunk ids: keyed BLAKE3, so that a store cannot tell whether a known
/// piece of data is in the repository.
///
/// Small and `Copy`, to be handed to every worker; it is secret all the same.
#[derive(Clone, Copy)]
pub struct ChunkIdKey([u8; 32]);

impl ChunkIdKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Returns the id of a chunk with this plaintext.
    #[must_use]
    pub fn id(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.0, plaintext).as_bytes())
    }
}

impl fmt::Debug for ChunkIdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkIdKey(***)")
    }
}
