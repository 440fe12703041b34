//! What the repository holds and what a snapshot needs, for those who check it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use backup_core::{
    ChunkId, Error, ErrorKind, PackId, Part, PartName, Result, Snapshot, SnapshotRecord,
};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};

use crate::codec::{Encoding, decode};
use crate::index::Index;
use crate::lease::store_time;
use crate::pack::OpenedPack;
use crate::read::{ChunkReader, chain, load_map, missing_is_damage};
use crate::repository::{PARALLEL, Repository};
use crate::write::MARK_TRUST;
use crate::{blocking, layout};

/// What the indexes and the store say of packs.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Packs the indexes name, with the sizes they had when written, in bytes.
    pub indexed: HashMap<PackId, u64>,
    /// Packs the store lists, with their sizes now, in bytes.
    pub stored: HashMap<PackId, u64>,
    /// Chunks the indexes name.
    pub chunks: u64,
}

/// What a part needs.
#[derive(Clone, Debug)]
pub struct PartReferences {
    /// Which part.
    pub part: PartName,
    /// Its chunks: those of its segment map, then those of its segments in address order.
    pub chunks: Vec<ChunkId>,
    /// The packs that hold them and their bases.
    pub packs: BTreeSet<PackId>,
}

/// What a whole pack turned out to be.
#[derive(Clone, Debug)]
pub struct PackCheck {
    /// Its bytes.
    pub bytes: u64,
    /// Chunks whose plaintext was reconstructed and hashed right.
    pub proved: HashSet<ChunkId>,
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

impl Repository {
    /// Returns what the indexes name and what the store lists.
    pub async fn contents(&self) -> Result<Contents> {
        let index = self.fresh_index().await?;
        let listed: Vec<_> = self.store().list(layout::PACKS).await?.try_collect().await?;
        let mut stored = HashMap::with_capacity(listed.len());
        for object in listed {
            stored.insert(layout::id_of::<PackId>(&object.name)?, object.size);
        }
        let indexed = index.packs.iter().map(|pack| (pack.id, pack.size)).collect();
        Ok(Contents { indexed, stored, chunks: index.len() as u64 })
    }

    /// Returns what a snapshot needs, part by part; a part whose segment map cannot be read, or
    /// that names an unknown chunk, is an `Integrity` error in its place.
    pub async fn references(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Vec<(PartName, Result<PartReferences>)>> {
        let index = self.fresh_index().await?;
        let reader = self.chunk_reader()?;
        let mut parts = Vec::with_capacity(snapshot.parts.len());
        for part in &snapshot.parts {
            parts.push((part.name.clone(), part_references(&reader, &index, part).await));
        }
        Ok(parts)
    }

    /// Returns every pack that a snapshot needs, bases included; all or nothing. Maps that many
    /// snapshots share are read once.
    pub(crate) async fn needed_packs(
        &self,
        index: &Index,
        snapshots: &[SnapshotRecord],
    ) -> Result<HashSet<PackId>> {
        let reader = self.chunk_reader()?;
        let mut seen = HashSet::new();
        let mut waiting = Vec::new();
        for record in snapshots {
            for part in record.snapshot.parts.iter().filter(|part| seen.insert(sameness(part))) {
                let id = record.snapshot.id;
                let about = move |error: Error| {
                    error
                        .with("snapshot", id)
                        .hint("Run `backupctl verify --all` to see what is affected.")
                };
                let found = part_references(&reader, index, part).map_err(about);
                waiting.push(found.map_ok(|part| part.packs).boxed());
            }
        }
        let mut found = futures::stream::iter(waiting).buffer_unordered(PARALLEL);
        let mut packs = HashSet::new();
        while let Some(part) = found.try_next().await? {
            packs.extend(part);
        }
        Ok(packs)
    }

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
            let mut proved = HashSet::new();
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
                proved.insert(entry.id);
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

    /// Fails with `Conflict` if prune marked any of `packs` so long ago that it may be gone
    /// before a manifest that names it is seen.
    pub(crate) async fn check_marks(&self, index: &Index, packs: &HashSet<PackId>) -> Result<()> {
        let marks: Vec<i64> =
            packs.iter().filter_map(|id| index.pack_by_id(id)?.marked_at).collect();
        let Some(oldest) = marks.into_iter().min() else { return Ok(()) };
        let age = store_time(self.store()).await?.as_second().saturating_sub(oldest);
        if age < MARK_TRUST.as_secs() as i64 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "commit snapshot").with("marked seconds ago", age).hint(
            "Prune marked data that this backup relies on; run the backup again, it stores what \
             is missing.",
        ))
    }
}

async fn part_references(
    reader: &ChunkReader,
    index: &Index,
    part: &Part,
) -> Result<PartReferences> {
    needs(index, part, &load_map(reader, index, part).await?)
}

/// Parts that agree in this need the same chunks.
fn sameness(part: &Part) -> (&[ChunkId], u64, u64) {
    (&part.map, part.bytes, part.segments)
}

fn needs(index: &Index, part: &Part, map: &crate::map::SegmentMap) -> Result<PartReferences> {
    let of_segments = map.segments.iter().flat_map(|segment| &segment.chunks);
    let chunks: Vec<ChunkId> =
        part.map.iter().copied().chain(of_segments.map(|chunk| chunk.id)).collect();
    let mut packs = BTreeSet::new();
    for id in &chunks {
        for (_, location) in chain(index, id).map_err(|error| error.with("part", &part.name))? {
            packs.extend(index.pack(&location).map(|pack| pack.id));
        }
    }
    Ok(PartReferences { part: part.name.clone(), chunks, packs })
}
