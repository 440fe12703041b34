//! The parts of a committed snapshot, as an engine reads them back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{PartSource, SegmentInfo};
use backup_core::{Error, ErrorKind, Part, PartName, Result, Snapshot};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::{BaseRate, ChunkReader};
use crate::index::Index;
use crate::map::SegmentMap;

/// Reads one snapshot with the index as it was when the reader was made.
pub(crate) struct SnapshotReader {
    chunks: Arc<ChunkReader>,
    index: Arc<Index>,
    parts: Vec<Part>,
    maps: Mutex<HashMap<PartName, Arc<SegmentMap>>>,
    /// For the writer of the next snapshot, which takes chunks that are read as bases: how fast
    /// they come. They are left for it.
    sharing: Option<Arc<BaseRate>>,
}

impl SnapshotReader {
    pub(crate) fn new(chunks: Arc<ChunkReader>, index: Arc<Index>, snapshot: &Snapshot) -> Self {
        let (parts, maps) = (snapshot.parts.clone(), Mutex::default());
        Self { chunks, index, parts, maps, sharing: None }
    }

    /// Leaves the chunks that are read in their reader, and counts how fast they come.
    pub(crate) fn sharing(self, rate: &Arc<BaseRate>) -> Self {
        Self { sharing: Some(Arc::clone(rate)), ..self }
    }

    async fn map(&self, name: &PartName) -> Result<Arc<SegmentMap>> {
        let known = self.maps.lock().ok().and_then(|maps| maps.get(name).cloned());
        if let Some(map) = known {
            return Ok(map);
        }
        let part = self.parts.iter().find(|part| part.name == *name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "find part in snapshot").with("part", name)
        })?;
        let map = Arc::new(load_map(&self.chunks, &self.index, part).await?);
        if let Ok(mut maps) = self.maps.lock() {
            maps.insert(name.clone(), Arc::clone(&map));
        }
        Ok(map)
    }
}

/// Reads a part's segment map and checks it against what the manifest says of the part.
pub(crate) async fn load_map(
    chunks: &ChunkReader,
    index: &Index,
    part: &Part,
) -> Result<SegmentMap> {
    let mut bytes = Vec::new();
    for id in &part.map {
        bytes.extend_from_slice(&chunks.read(index, id).await?.0);
    }
    let map = SegmentMap::from_bytes(&bytes)?;
    if map.bytes() != part.bytes || map.len() as u64 != part.segments {
        return Err(Error::new(ErrorKind::Integrity, "compare segment map with manifest")
            .with("part", &part.name));
    }
    Ok(map)
}

#[async_trait]
impl PartSource for SnapshotReader {
    fn parts(&self) -> &[Part] {
        &self.parts
    }

    async fn segments(&self, part: &PartName) -> Result<Vec<SegmentInfo>> {
        let map = self.map(part).await?;
        Ok(map
            .segments()
            .map(|segment| SegmentInfo { address: segment.address, bytes: segment.bytes() })
            .collect())
    }

    async fn read(
        &self,
        part: &PartName,
        position: usize,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let map = self.map(part).await?;
        let chunks = map.segment(position).map(|segment| segment.chunks.to_vec());
        let segment = chunks.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "find segment")
                .with("part", part)
                .with("position", position)
        })?;
        let (chunks, index, name) =
            (Arc::clone(&self.chunks), Arc::clone(&self.index), part.clone());
        let sharing = self.sharing.clone();
        Ok(stream::iter(segment)
            .then(move |chunk| {
                let (chunks, index, name) = (Arc::clone(&chunks), Arc::clone(&index), name.clone());
                let sharing = sharing.clone();
                async move {
                    let named = |error: Error| error.with("part", &name);
                    let began = sharing.as_ref().map(|rate| rate.begin());
                    let (plain, fetched) = chunks.read(&index, &chunk.id).await.map_err(named)?;
                    if plain.len() != chunk.raw as usize {
                        return Err(named(Error::new(
                            ErrorKind::Integrity,
                            "compare chunk length",
                        )));
                    }
                    let plain = Bytes::from(plain);
                    if let Some((rate, began)) = sharing.zip(began) {
                        rate.end(began, fetched);
                        chunks.share(chunk.id, plain.clone());
                    }
                    Ok(plain)
                }
            })
            .boxed())
    }

    async fn matches(&self, part: &PartName, position: usize, bytes: Bytes) -> Result<bool> {
        let map = self.map(part).await?;
        let chunk = match map.segment(position).map(|segment| segment.chunks) {
            Some([chunk]) if chunk.raw as usize == bytes.len() => *chunk,
            Some([]) => return Ok(bytes.is_empty()),
            _ => return Ok(false),
        };
        let ids = self.chunks.ids();
        crate::blocking(move || Ok(ids.id(&bytes) == chunk.id)).await
    }
}
