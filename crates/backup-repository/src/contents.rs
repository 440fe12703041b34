//! What the repository holds and what a snapshot needs, for those who check it.

use std::collections::{BTreeSet, HashMap, HashSet};

use backup_core::{
    ChunkId, Error, ErrorKind, PackId, Part, PartName, Result, Snapshot, SnapshotId, SnapshotRecord,
};
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::index::Index;
use crate::layout;
use crate::lease::store_time;
use crate::read::{ChunkReader, chain, load_map};
use crate::repository::{PARALLEL, Repository};
use crate::write::MARK_TRUST;

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

/// What snapshots need together.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Their chunks: of segment maps and of segments.
    pub chunks: HashSet<ChunkId>,
    /// The packs that hold them and their bases.
    pub packs: BTreeSet<PackId>,
    /// Whether a part's needs are not known: its map is damaged, or names an unknown chunk.
    pub damaged: bool,
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
        let mut packs = HashSet::new();
        self.each_part(index, snapshots, |id, part| {
            let part = part.map_err(|error| {
                error
                    .with("snapshot", id)
                    .hint("Run `backupctl verify --all` to see what is affected.")
            })?;
            packs.extend(part.packs);
            Ok(())
        })
        .await?;
        Ok(packs)
    }

    /// Returns what snapshots need together; their parts that share a map are looked at once.
    pub async fn survey(&self, snapshots: &[SnapshotRecord]) -> Result<Survey> {
        let index = self.fresh_index().await?;
        let mut survey = Survey::default();
        self.each_part(&index, snapshots, |_, part| {
            match part {
                Ok(part) => {
                    survey.chunks.extend(part.chunks);
                    survey.packs.extend(part.packs);
                }
                Err(error) if error.kind() == ErrorKind::Integrity => survey.damaged = true,
                Err(error) => return Err(error),
            }
            Ok(())
        })
        .await?;
        Ok(survey)
    }

    /// Hands on what each distinct part needs, as soon as its map is read; a few at a time.
    async fn each_part(
        &self,
        index: &Index,
        snapshots: &[SnapshotRecord],
        mut each: impl FnMut(SnapshotId, Result<PartReferences>) -> Result<()> + Send,
    ) -> Result<()> {
        let reader = self.chunk_reader()?;
        let mut seen = HashSet::new();
        let mut waiting = Vec::new();
        for record in snapshots {
            let id = record.snapshot.id;
            for part in record.snapshot.parts.iter().filter(|part| seen.insert(sameness(part))) {
                let found = part_references(&reader, index, part);
                waiting.push(found.map(move |part| (id, part)).boxed());
            }
        }
        let mut found = futures::stream::iter(waiting).buffer_unordered(PARALLEL);
        while let Some((id, part)) = found.next().await {
            each(id, part)?;
        }
        Ok(())
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
    let of_segments = map.chunks().iter().map(|chunk| chunk.id);
    let chunks: Vec<ChunkId> = part.map.iter().copied().chain(of_segments).collect();
    let mut packs = BTreeSet::new();
    for id in &chunks {
        for (_, location) in chain(index, id).map_err(|error| error.with("part", &part.name))? {
            packs.extend(index.pack(&location).map(|pack| pack.id));
        }
    }
    Ok(PartReferences { part: part.name.clone(), chunks, packs })
}
