//! What stood at the same address before.

use std::sync::Arc;

use backup_core::{ChunkId, Part};
use tokio::sync::OnceCell;

use crate::index::Index;
use crate::map::{ChunkRef, SegmentMap};
use crate::read::{ChunkReader, load_map};

/// A part of the base snapshot. Its segment map is read when a chunk has changed, and not at
/// all for the many tables that have not.
pub(crate) struct Previous {
    part: Part,
    map: OnceCell<Option<SegmentMap>>,
}

/// The place of a chunk, by which its base is found.
#[derive(Clone)]
pub(crate) enum Place {
    /// None: it is stored whole.
    Nowhere,
    /// This chunk stood there.
    Chunk(ChunkId),
    /// The piece-th chunk of the segment at an address.
    At { previous: Arc<Previous>, address: u64, piece: usize },
}

impl Previous {
    pub(crate) fn new(part: Part) -> Self {
        Self { part, map: OnceCell::new() }
    }

    async fn base_for(
        &self,
        reader: &ChunkReader,
        index: &Index,
        address: u64,
        piece: usize,
    ) -> Option<ChunkId> {
        self.map(reader, index).await?.base_for(address, piece)
    }

    /// Returns the segment at an address as it was, if a new snapshot may rely on every chunk of
    /// it.
    pub(super) async fn usable_segment(
        &self,
        reader: &ChunkReader,
        index: &Index,
        address: u64,
    ) -> Option<&[ChunkRef]> {
        let chunks = self.map(reader, index).await?.at(address)?.chunks;
        let usable = chunks.iter().all(|chunk| index.usable_chain(&chunk.id).is_some());
        usable.then_some(chunks)
    }

    async fn map(&self, reader: &ChunkReader, index: &Index) -> Option<&SegmentMap> {
        let read = || async {
            let map = load_map(reader, index, &self.part).await;
            map.inspect_err(|error| {
                tracing::warn!(%error, part = %self.part.name, "the base's segment map is \
                    unreadable; the part is stored without bases");
            })
            .ok()
        };
        self.map.get_or_init(read).await.as_ref()
    }
}

impl Place {
    /// Returns what stood there; none when that cannot be read.
    pub(crate) async fn base(&self, reader: &ChunkReader, index: &Index) -> Option<ChunkId> {
        match self {
            Self::Nowhere => None,
            Self::Chunk(id) => Some(*id),
            Self::At { previous, address, piece } => {
                previous.base_for(reader, index, *address, *piece).await
            }
        }
    }
}
