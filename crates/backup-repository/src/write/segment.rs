//! The bytes of one segment on their way to chunks.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::SegmentSink;
use backup_core::{Layout, PartName, Result};

use super::packer::Lane;
use super::previous::{Place, Previous};
use super::shared::{PIECE, Pending, Shared};

/// Collects bytes until a chunk is full, then hands it on; holds at most one chunk.
pub(crate) struct SegmentWriter {
    shared: Arc<Shared>,
    part: PartName,
    layout: Layout,
    address: u64,
    buffer: Vec<u8>,
    pieces: Vec<Pending>,
    /// Where the same segment stood in the base snapshot.
    previous: Option<Arc<Previous>>,
}

impl SegmentWriter {
    pub(crate) fn new(
        shared: Arc<Shared>,
        part: PartName,
        layout: Layout,
        address: u64,
        previous: Option<Arc<Previous>>,
    ) -> Self {
        let buffer = shared.buffer();
        Self { shared, part, layout, address, buffer, pieces: Vec::new(), previous }
    }

    fn place(&self) -> Place {
        let (address, piece) = (self.address, self.pieces.len());
        match self.previous.clone() {
            Some(previous) => Place::At { previous, address, piece },
            None => Place::Nowhere,
        }
    }

    /// Hands on every chunk that is complete; at the `end` of the segment, all of it.
    async fn cut(&mut self, end: bool) -> Result<()> {
        match self.layout {
            Layout::Segments => {
                if self.buffer.len() >= PIECE || (end && !self.buffer.is_empty()) {
                    let next = if end { Vec::new() } else { self.shared.buffer() };
                    let chunk = std::mem::replace(&mut self.buffer, next);
                    let place = self.place();
                    let pending = self.shared.dispatch(Lane::Segments, chunk, place).await?;
                    self.pieces.push(pending);
                }
            }
            Layout::Stream => {
                let mut start = 0;
                while let Some(length) =
                    self.shared.cutter.cut(self.buffer.get(start..).unwrap_or_default(), end)
                {
                    let chunk = self.buffer.get(start..start + length).unwrap_or_default().to_vec();
                    start += length;
                    let place = Place::Nowhere;
                    let pending = self.shared.dispatch(Lane::Stream, chunk, place).await?;
                    self.pieces.push(pending);
                }
                self.buffer.drain(..start);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SegmentSink for SegmentWriter {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.shared.check()?;
        while !bytes.is_empty() {
            let room = PIECE.saturating_sub(self.buffer.len());
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
            self.cut(false).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        self.shared.check()?;
        self.cut(true).await?;
        let pieces = std::mem::take(&mut self.pieces);
        let buffer = std::mem::take(&mut self.buffer);
        self.shared.recycle(buffer);
        self.shared.lock_parts()?.finish_segment(&self.part, self.address, pieces)
    }
}

impl Drop for SegmentWriter {
    /// A segment dropped before its end leaves its part unfinished, which the commit refuses;
    /// only its buffer is of further use.
    fn drop(&mut self) {
        self.shared.recycle(std::mem::take(&mut self.buffer));
    }
}
