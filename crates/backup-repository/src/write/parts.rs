//! The parts of a run: which are open, which are finished.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backup_core::{ChunkId, Error, ErrorKind, Layout, Part, PartName, Result};

use super::previous::Previous;
use super::shared::Pending;
use crate::map::SegmentMap;

/// Every part of a run. A part stays open until it is finished for good: whatever goes wrong on
/// the way, the commit finds it unfinished.
#[derive(Default)]
pub(crate) struct Parts {
    open: HashMap<PartName, OpenPart>,
    finished: HashMap<PartName, Part>,
    /// Every chunk the snapshot names, to be looked up once more at the commit.
    chunks: HashSet<ChunkId>,
    committed: bool,
}

/// A finished segment: its address, and its chunks on their way.
pub(super) type Unplaced = (u64, Vec<Pending>);

struct OpenPart {
    layout: Layout,
    /// Segments opened and not finished yet.
    unfinished: usize,
    segments: Vec<Unplaced>,
    previous: Option<Arc<Previous>>,
    finishing: bool,
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
        let open =
            OpenPart { layout, unfinished: 0, segments: Vec::new(), previous, finishing: false };
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
        open.segments.push((address, pieces));
        Ok(())
    }

    /// Hands out the segments of a part whose segments are all finished; nothing may be added to
    /// it from then on.
    pub(super) fn begin_finish(&mut self, name: &PartName) -> Result<(Layout, Vec<Unplaced>)> {
        let open = self.part(name)?;
        if open.unfinished > 0 {
            return Err(Error::new(ErrorKind::Failed, "finish part with open segments")
                .with("part", name)
                .with("open", open.unfinished));
        }
        open.finishing = true;
        Ok((open.layout, std::mem::take(&mut open.segments)))
    }

    pub(super) fn finish(&mut self, part: Part, map: &SegmentMap) {
        self.chunks.extend(part.map.iter().copied());
        let named = map.segments.iter().flat_map(|segment| &segment.chunks);
        self.chunks.extend(named.map(|chunk| chunk.id));
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

    /// Returns every chunk the finished parts name.
    pub(super) fn chunks(&self) -> &HashSet<ChunkId> {
        &self.chunks
    }

    fn part(&mut self, name: &PartName) -> Result<&mut OpenPart> {
        self.open.get_mut(name).filter(|open| !open.finishing && !self.committed).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "write to a part that is not open").with("part", name)
        })
    }
}
