//! The writer of one snapshot: the repository's side of [`PartSink`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use backup_core::port::{BaseSnapshot, Observer, PartSink, SegmentSink};
use backup_core::{
    Error, ErrorKind, Layout, Part, PartName, Result, Snapshot, SnapshotKind, SourceIdentity,
    SourceName,
};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::chunk::ChunkStore;
use super::parts::Parts;
use super::previous::Previous;
use super::segment::SegmentWriter;
use super::shared::{Run, Shared};
use crate::cut::Cutter;
use crate::read::SnapshotReader;
use crate::repository::Repository;

/// As long as what an engine patches.
const PIECE: usize = 1 << 20;

/// What is to be backed up.
#[derive(Clone, Debug)]
pub struct SnapshotDraft {
    /// Which source.
    pub source: SourceName,
    /// Which database that is, exactly.
    pub identity: SourceIdentity,
    /// How.
    pub kind: SnapshotKind,
    /// When the run started.
    pub started_at: Timestamp,
}

/// Takes parts in; `commit` makes them a snapshot. Dropped before that, nothing happened.
#[derive(Clone)]
pub struct SnapshotWriter {
    pub(super) shared: Arc<Shared>,
}

impl SnapshotWriter {
    pub(crate) fn new(
        repository: Repository,
        draft: SnapshotDraft,
        sequence: u64,
        previous: Option<Snapshot>,
        chunks: Arc<ChunkStore>,
        cutter: Cutter,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let workers = chunks.settings.workers.get();
        let parts = previous.iter().flat_map(|snapshot| &snapshot.parts);
        let previous_parts = parts.map(|part| (part.name.clone(), part.clone())).collect();
        let run =
            Run { buffers: <_>::default(), most_buffers: 2 * workers, failure: <_>::default() };
        let shared = Shared {
            repository,
            draft,
            sequence,
            previous,
            previous_parts,
            chunks,
            cutter,
            observer,
            parts: Mutex::default(),
            // One more than can compute: it fills in while another waits for its base or its turn.
            permits: Arc::new(Semaphore::new(workers + 1)),
            run: Arc::new(run),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the snapshot that serves as base.
    #[must_use]
    pub fn base(&self) -> Option<&Snapshot> {
        self.shared.previous.as_ref()
    }

    pub(super) fn parts(&self) -> Result<MutexGuard<'_, Parts>> {
        self.shared.lock_parts()
    }

    async fn finish(&self, name: &PartName, attributes: BTreeMap<String, String>) -> Result<()> {
        let (layout, mut map, coming) = self.parts()?.begin_finish(name)?;
        for segment in coming {
            segment.settle(&mut map).await?;
        }
        if let Some(address) = map.repeated() {
            return Err(Error::new(ErrorKind::Failed, "finish part with a repeated segment")
                .with("part", name)
                .with("address", address));
        }
        let part = Part {
            name: name.clone(),
            layout,
            bytes: map.bytes(),
            segments: map.len() as u64,
            map: self.shared.store_map(name, &map.encode()).await?,
            attributes,
        };
        self.parts()?.finish(part, &map);
        Ok(())
    }
}

#[async_trait]
impl PartSink for SnapshotWriter {
    fn previous(&self, name: &PartName) -> Option<Part> {
        self.shared.previous_parts.get(name).cloned()
    }

    async fn base(&self) -> Result<Option<BaseSnapshot>> {
        let shared = &self.shared;
        let Some(snapshot) = shared.previous.clone().filter(|_| shared.repository.can_read())
        else {
            return Ok(None);
        };
        let chunks = &shared.chunks;
        let (reader, index) = (Arc::clone(&chunks.reader), Arc::clone(&chunks.index));
        let parts = Arc::new(SnapshotReader::new(reader, index, &snapshot).sharing(&chunks.rate));
        Ok(Some(BaseSnapshot { snapshot, parts }))
    }

    fn wants_base(&self) -> bool {
        self.shared.chunks.wants_base(PIECE)
    }

    async fn keep(&self, part: &PartName, address: u64) -> Result<bool> {
        self.shared.check()?;
        let Some(previous) = self.parts()?.previous(part)? else { return Ok(false) };
        let chunks = &self.shared.chunks;
        let kept = previous.usable_segment(&chunks.reader, &chunks.index, address).await;
        let Some(kept) = kept else { return Ok(false) };
        self.parts()?.keep_segment(part, address, kept)?;
        Ok(true)
    }

    async fn keep_all(&self, part: &PartName, addresses: &[u64]) -> Result<bool> {
        self.shared.check()?;
        let Some(previous) = self.parts()?.previous(part)? else { return Ok(false) };
        let chunks = &self.shared.chunks;
        let mut kept = Vec::with_capacity(addresses.len());
        for address in addresses {
            let segment = previous.usable_segment(&chunks.reader, &chunks.index, *address).await;
            let Some(segment) = segment else { return Ok(false) };
            kept.push(segment);
        }
        let mut parts = self.parts()?;
        for (address, segment) in addresses.iter().zip(kept) {
            parts.keep_segment(part, *address, segment)?;
        }
        Ok(true)
    }

    async fn begin_part(&self, name: &PartName, layout: Layout) -> Result<()> {
        self.shared.check()?;
        let previous = self.shared.previous_parts.get(name);
        let previous = previous.filter(|part| layout == Layout::Segments && part.layout == layout);
        let previous = previous.map(|part| Arc::new(Previous::new(part.clone())));
        self.parts()?.begin(name, layout, previous)
    }

    async fn segment(&self, part: &PartName, address: u64) -> Result<Box<dyn SegmentSink>> {
        let (layout, previous) = self.parts()?.open_segment(part)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(SegmentWriter::new(shared, part.clone(), layout, address, previous)))
    }

    async fn finish_part(
        &self,
        name: &PartName,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        self.finish(name, attributes).await.inspect_err(|error| self.shared.fail(error))
    }

    async fn start_over(&self) -> Result<()> {
        self.parts()?.start_over()
    }
}
