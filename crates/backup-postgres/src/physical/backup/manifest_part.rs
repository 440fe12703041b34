//! The part that holds the backup manifest.

use std::collections::BTreeMap;

use backup_core::port::PartSink;
use backup_core::{Layout, PartName, Result};

use crate::physical::MANIFEST;

const PIECE: usize = 1 << 20;

/// Writes the manifest's bytes as they come.
pub(crate) struct ManifestPart<'a> {
    sink: &'a dyn PartSink,
    name: PartName,
    buffer: Vec<u8>,
    next: u64,
}

impl<'a> ManifestPart<'a> {
    pub(super) async fn begin(sink: &'a dyn PartSink) -> Result<Self> {
        let name = PartName::new(MANIFEST);
        sink.begin_part(&name, Layout::Segments).await?;
        Ok(Self { sink, name, buffer: Vec::new(), next: 0 })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn finish(mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        self.sink.finish_part(&self.name, BTreeMap::new()).await
    }

    async fn flush(&mut self) -> Result<()> {
        let mut segment = self.sink.segment(&self.name, self.next).await?;
        segment.write(&self.buffer).await?;
        segment.finish().await?;
        self.next += 1;
        self.buffer.clear();
        Ok(())
    }
}
