//! The parts of a run: which are open, which are finished.

use std::collections::HashMap;
use std::sync::Arc;

use backup_core::{ChunkId, Error, ErrorKind, Layout, Part, PartName, Result};

use futures::FutureExt;

use super::previous::Previous;
use super::shared::Pending;
use crate::map::{ChunkRef, SegmentMap};

/// So many chunks are not worth sorting.
const SORTED_FROM: usize = 4096;

/// Every part of a run. A part stays open until it is finished for good: whatever goes wrong on
/// the way, the commit finds it unfinished.
#[derive(Default)]
pub(crate) struct Parts {
    open: HashMap<PartName, OpenPart>,
    finished: HashMap<PartName, Part>,
    /// Every chunk the snapshot names, to be looked up once more at the commit.
    chunks: Vec<ChunkId>,
    /// How many of them were left by the last sorting.
    sorted: usize,
    committed: bool,
}

/// A finished segment whose chunks are on their way.
pub(super) struct Coming {
    address: u64,
    pieces: Vec<Pending>,
}

impl Coming {
    /// Waits for its chunks.
    pub(super) async fn settle(self, map: &mut SegmentMap) -> Result<()> {
        let mut chunks = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            chunks.push(joined(piece.await)?);
        }
        map.push(self.address, &chunks);
        Ok(())
    }
}

struct OpenPart {
    layout: Layout,
    /// Segments opened and not finished yet.
    unfinished: usize,
    /// Finished ones whose chunks are on their way: about as many as there are workers.
    coming: Vec<Coming>,
    /// Finished ones whose chunks were taken care of.
    settled: SegmentMap,
    failure: Option<Error>,
    previous: Option<Arc<Previous>>,
    finishing: bool,
}

impl OpenPart {
    /// Puts segments whose chunks are all taken care of where they cost little memory.
    fn settle(&mut self) {
        for coming in std::mem::take(&mut self.coming) {
            if !coming.pieces.iter().all(Pending::is_finished) {
                self.coming.push(coming);
                continue;
            }
            // A task that has ended answers at once, but for the runtime's wish to have a pause.
            let settled = tokio::task::unconstrained(coming.settle(&mut self.settled));
            match settled.now_or_never() {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.failure.get_or_insert(error);
                }
                None => {
                    let error = Error::new(ErrorKind::Failed, "store chunk");
                    self.failure.get_or_insert(error.because("its task does not answer"));
                }
            }
        }
    }
}

fn joined(done: Result<Result<ChunkRef>, tokio::task::JoinError>) -> Result<ChunkRef> {
    done.map_err(|error| Error::new(ErrorKind::Failed, "store chunk").because(error))?
}

impl Parts {
    pub(super) fn begin(
        &mut self,
        name: &PartName,
        layout: Layout,
        previous: Option<Arc<Previous>>,
    ) -> Result<()> {
        if self.open.contains_key(name) || self.finished.contains_key(name) {
            return Err(Error::new(ErrorKind::Failed, "begin part twice").with("part", name));
        }
        let open = OpenPart {
            layout,
            unfinished: 0,
            coming: Vec::new(),
            settled: SegmentMap::default(),
            failure: None,
            previous,
            finishing: false,
        };
        self.open.insert(name.clone(), open);
        Ok(())
    }

    pub(super) fn open_segment(
        &mut self,
        name: &PartName,
    ) -> Result<(Layout, Option<Arc<Previous>>)> {
        let open = self.part(name)?;
        open.unfinished += 1;
        Ok((open.layout, open.previous.clone()))
    }

    pub(super) fn finish_segment(
        &mut self,
        name: &PartName,
        address: u64,
        pieces: Vec<Pending>,
    ) -> Result<()> {
        let open = self.part(name)?;
        open.unfinished -= 1;
        open.coming.push(Coming { address, pieces });
        open.settle();
        Ok(())
    }

    /// Returns what stood in the part before.
    pub(super) fn previous(&mut self, name: &PartName) -> Result<Option<Arc<Previous>>> {
        Ok(self.part(name)?.previous.clone())
    }

    /// Puts a segment into the part whose chunks are all stored already.
    pub(super) fn keep_segment(
        &mut self,
        name: &PartName,
        address: u64,
        chunks: &[ChunkRef],
    ) -> Result<()> {
        self.part(name)?.settled.push(address, chunks);
        Ok(())
    }

    /// Hands out the segments of a part whose segments are all finished, those on their way
    /// apart; nothing may be added to it from then on.
    pub(super) fn begin_finish(
        &mut self,
        name: &PartName,
    ) -> Result<(Layout, SegmentMap, Vec<Coming>)> {
        let open = self.part(name)?;
        if open.unfinished > 0 {
            return Err(Error::new(ErrorKind::Failed, "finish part with open segments")
                .with("part", name)
                .with("open", open.unfinished));
        }
        open.finishing = true;
        match open.failure.take() {
            Some(error) => Err(error),
            None => Ok((
                open.layout,
                std::mem::take(&mut open.settled),
                std::mem::take(&mut open.coming),
            )),
        }
    }

    pub(super) fn finish(&mut self, part: Part, map: &SegmentMap) {
        self.chunks.extend(part.map.iter().copied());
        self.chunks.extend(map.chunks().iter().map(|chunk| chunk.id));
        // Many parts are small: sorting pays once as much was added as was there.
        if self.chunks.len() >= 2 * self.sorted.max(SORTED_FROM) {
            self.sort_chunks();
        }
        self.open.remove(&part.name);
        self.finished.insert(part.name.clone(), part);
    }

    /// Forgets every part; fails when they were committed.
    pub(super) fn start_over(&mut self) -> Result<()> {
        if self.committed {
            return Err(Error::new(ErrorKind::Failed, "begin a committed snapshot again"));
        }
        *self = Self::default();
        Ok(())
    }

    fn sort_chunks(&mut self) {
        self.chunks.sort_unstable();
        self.chunks.dedup();
        self.sorted = self.chunks.len();
    }

    /// Returns the parts by name; fails when one is not finished, or at the second call: what
    /// was asked to be committed is committed once or not at all.
    pub(super) fn commit(&mut self) -> Result<Vec<Part>> {
        if let Some(name) = self.open.keys().next() {
            return Err(
                Error::new(ErrorKind::Failed, "commit with an unfinished part").with("part", name)
            );
        }
        if std::mem::replace(&mut self.committed, true) {
            return Err(Error::new(ErrorKind::Failed, "commit snapshot twice"));
        }
        let mut parts: Vec<Part> = self.finished.values().cloned().collect();
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(parts)
    }

    /// Returns every chunk the finished parts name, once.
    pub(super) fn chunks(&mut self) -> &[ChunkId] {
        self.sort_chunks();
        &self.chunks
    }

    fn part(&mut self, name: &PartName) -> Result<&mut OpenPart> {
        self.open.get_mut(name).filter(|open| !open.finishing && !self.committed).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "write to a part that is not open").with("part", name)
        })
    }
}
