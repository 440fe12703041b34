//! Proving packs and chunks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backup_core::{ChunkId, Error, ErrorKind, PackId, Result};

use crate::codec::{Encoding, decode};
use crate::index::Index;
use crate::pack::{Entry, OpenedPack};
use crate::read::{ChunkReader, chain, missing_is_damage};
use crate::repository::Repository;
use crate::{blocking, layout};

/// What a whole pack turned out to be.
#[derive(Clone, Debug)]
pub struct PackCheck {
    /// Its bytes.
    pub bytes: u64,
    /// Chunks whose plaintext was reconstructed and hashed right, and where they stand. The
    /// index may say otherwise: ask [`ChunkChecker::agrees`].
    pub proved: HashMap<ChunkId, Stand>,
}

/// Where a chunk stands in its pack, by the pack's own directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    ordinal: u32,
    offset: u32,
    sealed: u32,
    raw: u32,
    encoding: Encoding,
}

/// Proves single chunks.
pub struct ChunkChecker {
    index: Arc<Index>,
    reader: Arc<ChunkReader>,
}

impl ChunkChecker {
    /// Reads a chunk through its bases and hashes every link; returns the links proved and the
    /// bytes fetched. Hand in the deepest first: what lies behind them is proved on the way.
    pub async fn prove(&self, id: ChunkId) -> Result<(Vec<ChunkId>, u64)> {
        let links = chain(&self.index, &id)?.into_iter().map(|(link, _)| link).collect();
        let (_, fetched) = self.reader.read(&self.index, &id).await?;
        Ok((links, fetched))
    }

    /// Returns whether the index leads to the chunk where its pack says that it stands: what was
    /// proved there is then what a restore reads.
    #[must_use]
    pub fn agrees(&self, pack: PackId, id: ChunkId, stand: Stand) -> bool {
        let Some(chain) = self.index.chain(&id) else { return false };
        let Some((_, at)) = chain.first() else { return false };
        self.index.pack(at).is_some_and(|info| info.id == pack)
            && stand
                == Stand {
                    ordinal: at.ordinal,
                    offset: at.offset,
                    sealed: at.sealed,
                    raw: at.raw,
                    encoding: at.encoding,
                }
    }

    /// Returns the chunks behind a difference, nearest first; none for a whole or unknown chunk.
    #[must_use]
    pub fn bases(&self, id: ChunkId) -> Vec<ChunkId> {
        let links = chain(&self.index, &id).unwrap_or_default();
        links.into_iter().skip(1).map(|(link, _)| link).collect()
    }

    /// Returns the length of the chain behind a chunk, 0 for a whole one, and the pack it is
    /// in; `None` for an unknown chunk.
    #[must_use]
    pub fn place(&self, id: ChunkId) -> Option<(u8, PackId)> {
        let chain = self.index.chain(&id)?;
        let (_, location) = chain.first()?;
        Some((location.depth, self.index.pack(location)?.id))
    }
}

impl std::fmt::Debug for ChunkChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkChecker").field("chunks", &self.index.len()).finish_non_exhaustive()
    }
}

impl Stand {
    fn of((ordinal, offset, entry): (u32, u32, &Entry)) -> Self {
        Self { ordinal, offset, sealed: entry.sealed, raw: entry.raw, encoding: entry.encoding }
    }
}

impl Repository {
    /// Reads a whole pack and authenticates every byte of it; reconstructs and hashes those of
    /// its chunks that are in `prove` and need no base.
    ///
    /// Fails with `Integrity` when anything is not as written or the pack is gone.
    pub async fn check_pack(&self, id: PackId, prove: Arc<HashSet<ChunkId>>) -> Result<PackCheck> {
        let about = |error: Error| missing_is_damage(error).with("pack", id);
        let bytes = self.store().get(&layout::pack(id)?).await.map_err(about)?;
        let keys = self.keys_now()?;
        let checked = blocking(move || {
            let ids = keys.chunk_ids();
            let opened = OpenedPack::open(&keys, id, &bytes)?;
            let mut proved = HashMap::new();
            let stands: Vec<Stand> = opened.pack.placed().map(Stand::of).collect();
            opened.frames(|position, frame| {
                let Some(entry) = opened.pack.entries.get(position) else { return Ok(()) };
                if entry.encoding == Encoding::Delta || !prove.contains(&entry.id) {
                    return Ok(());
                }
                let plain = decode(entry.encoding, &frame, None, entry.raw as usize)?;
                if ids.id(&plain) != entry.id {
                    return Err(Error::new(ErrorKind::Integrity, "compare chunk id")
                        .with("chunk", entry.id.short()));
                }
                proved.extend(stands.get(position).map(|stand| (entry.id, *stand)));
                Ok(())
            })?;
            Ok(PackCheck { bytes: bytes.len() as u64, proved })
        });
        checked.await.map_err(about)
    }

    /// Returns a reader that proves single chunks, with the index as it is now.
    pub async fn checker(&self) -> Result<ChunkChecker> {
        Ok(ChunkChecker { index: self.fresh_index().await?, reader: self.chunk_reader()? })
    }
}
