//! The writer of one snapshot: the repository's side of [`PartSink`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{Observer, PartSink, SegmentSink};
use backup_core::{
    ChunkId, Error, ErrorKind, Event, Layout, Part, PartName, Result, Snapshot, SnapshotKind,
    SourceIdentity, SourceName,
};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::chunk::ChunkStore;
use super::segment::SegmentWriter;
use crate::MAX_CHUNK;
use crate::cut::Cutter;
use crate::map::{ChunkRef, Segment, SegmentMap};
use crate::read::load_map;
use crate::repository::Repository;

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

pub(crate) type Pending = JoinHandle<Result<ChunkRef>>;

pub(crate) struct Shared {
    pub(super) repository: Repository,
    pub(super) draft: SnapshotDraft,
    pub(super) sequence: u64,
    pub(super) previous: Option<Snapshot>,
    pub(super) chunks: Arc<ChunkStore>,
    pub(super) cutter: Cutter,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) parts: Mutex<Parts>,
    permits: Arc<Semaphore>,
    run: Arc<Run>,
}

/// What the chunk tasks of one run share.
struct Run {
    buffers: Mutex<Vec<Vec<u8>>>,
    most_buffers: usize,
    /// The first failure, told to everyone so that the rest of the run stops early.
    failure: Mutex<Option<(ErrorKind, String)>>,
}

#[derive(Default)]
pub(crate) struct Parts {
    pub(super) open: HashMap<PartName, OpenPart>,
    pub(super) finished: Vec<Part>,
    /// Every chunk the snapshot names, to be looked up once more at the commit.
    pub(super) chunks: HashSet<ChunkId>,
}

pub(crate) struct OpenPart {
    layout: Layout,
    /// Segments opened and not finished yet.
    unfinished: usize,
    segments: Vec<(u64, Vec<Pending>)>,
    previous: Option<Arc<SegmentMap>>,
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
        let permits = Arc::new(Semaphore::new(chunks.settings.workers.get()));
        let run = Arc::new(Run {
            buffers: Mutex::default(),
            most_buffers: chunks.settings.workers.get(),
            failure: Mutex::default(),
        });
        let shared = Shared {
            repository,
            draft,
            sequence,
            previous,
            chunks,
            cutter,
            observer,
            parts: Mutex::default(),
            permits,
            run,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the snapshot that serves as base.
    #[must_use]
    pub fn base(&self) -> Option<&Snapshot> {
        self.shared.previous.as_ref()
    }
}

#[async_trait]
impl PartSink for SnapshotWriter {
    fn previous(&self, name: &PartName) -> Option<Part> {
        self.shared.previous.as_ref()?.part(name.as_str()).cloned()
    }

    async fn begin_part(&self, name: &PartName, layout: Layout) -> Result<()> {
        self.shared.check()?;
        let previous = match self.previous(name).filter(|part| part.layout == layout) {
            Some(part) if layout == Layout::Segments => load_map(
                &self.shared.chunks.reader,
                &self.shared.chunks.index,
                &part,
            )
            .await
            .inspect_err(|error| {
                tracing::warn!(%error, part = %name, "the base's segment map is unreadable; \
                             the part is stored without bases");
            })
            .ok()
            .map(Arc::new),
            _ => None,
        };
        let mut parts = self.shared.parts.lock().map_err(|_| poisoned())?;
        let used =
            parts.open.contains_key(name) || parts.finished.iter().any(|part| part.name == *name);
        if used {
            return Err(Error::new(ErrorKind::Failed, "begin part twice").with("part", name));
        }
        let open = OpenPart { layout, unfinished: 0, segments: Vec::new(), previous };
        parts.open.insert(name.clone(), open);
        Ok(())
    }

    async fn segment(&self, part: &PartName, address: u64) -> Result<Box<dyn SegmentSink>> {
        let (layout, previous) = {
            let mut parts = self.shared.parts.lock().map_err(|_| poisoned())?;
            let open = parts.open.get_mut(part).ok_or_else(|| not_begun(part))?;
            open.unfinished += 1;
            (open.layout, open.previous.clone())
        };
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(SegmentWriter::new(shared, part.clone(), layout, address, previous)))
    }

    async fn finish_part(
        &self,
        name: &PartName,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        let open = {
            let mut parts = self.shared.parts.lock().map_err(|_| poisoned())?;
            let open = parts.open.get(name).ok_or_else(|| not_begun(name))?;
            if open.unfinished > 0 {
                return Err(Error::new(ErrorKind::Failed, "finish part with open segments")
                    .with("part", name)
                    .with("open", open.unfinished));
            }
            parts.open.remove(name).ok_or_else(|| not_begun(name))?
        };
        let mut segments = Vec::with_capacity(open.segments.len());
        for (address, pieces) in open.segments {
            let mut chunks = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let joined = piece
                    .await
                    .map_err(|error| Error::new(ErrorKind::Failed, "store chunk").because(error))?;
                chunks.push(joined?);
            }
            segments.push(Segment { address, chunks });
        }
        segments.sort_by_key(|segment| segment.address);
        if let Some(pair) = segments.windows(2).find(|pair| match pair {
            [first, second] => first.address == second.address,
            _ => false,
        }) {
            return Err(Error::new(ErrorKind::Failed, "finish part with a repeated segment")
                .with("part", name)
                .with("address", pair.first().map(|segment| segment.address).unwrap_or_default()));
        }
        let map = SegmentMap { segments };
        let bytes = map.segments.iter().map(Segment::bytes).sum();
        let chunks = self.shared.store_map(name, &map).await?;
        let part = Part {
            name: name.clone(),
            layout: open.layout,
            bytes,
            segments: map.segments.len() as u64,
            map: chunks,
            attributes,
        };
        let mut parts = self.shared.parts.lock().map_err(|_| poisoned())?;
        parts.chunks.extend(part.map.iter().copied());
        let named = map.segments.iter().flat_map(|segment| &segment.chunks);
        parts.chunks.extend(named.map(|chunk| chunk.id));
        parts.finished.push(part);
        Ok(())
    }
}

impl Shared {
    /// Hands a chunk to the workers; waits while all are busy.
    pub(super) async fn dispatch(&self, plain: Vec<u8>, base: Option<ChunkId>) -> Result<Pending> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| poisoned())?;
        let (chunks, run) = (Arc::clone(&self.chunks), Arc::clone(&self.run));
        let observer = Arc::clone(&self.observer);
        Ok(tokio::spawn(async move {
            let bytes = plain.len() as u64;
            let stored = chunks.put(plain, base).await;
            drop(permit);
            observer.on_event(&Event::Progress { bytes });
            stored
                .map(|(reference, plain)| {
                    run.recycle(plain);
                    reference
                })
                .inspect_err(|error| run.fail(error))
        }))
    }

    async fn store_map(&self, name: &PartName, map: &SegmentMap) -> Result<Vec<ChunkId>> {
        let before = self.previous.as_ref().and_then(|snapshot| snapshot.part(name.as_str()));
        let mut ids = Vec::new();
        for (place, piece) in map.to_bytes().chunks(MAX_CHUNK).enumerate() {
            let base = before.and_then(|part| part.map.get(place).copied());
            let (reference, _) = self.chunks.put(piece.to_vec(), base).await?;
            ids.push(reference.id);
        }
        Ok(ids)
    }

    pub(super) fn finish_segment(
        &self,
        part: &PartName,
        address: u64,
        pieces: Vec<Pending>,
    ) -> Result<()> {
        let mut parts = self.parts.lock().map_err(|_| poisoned())?;
        let open = parts.open.get_mut(part).ok_or_else(|| not_begun(part))?;
        open.unfinished -= 1;
        open.segments.push((address, pieces));
        Ok(())
    }

    /// Fails once anything of the run has failed.
    pub(super) fn check(&self) -> Result<()> {
        match self.run.failure.lock().map_err(|_| poisoned())?.as_ref() {
            Some((kind, text)) => Err(Error::new(*kind, "write segment").because(text.clone())),
            None => Ok(()),
        }
    }

    /// Returns an empty buffer, used before where possible: fresh pages cost time.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.run.buffers.lock().ok().and_then(|mut buffers| buffers.pop()).unwrap_or_default()
    }

    pub(super) fn recycle(&self, buffer: Vec<u8>) {
        self.run.recycle(buffer);
    }
}

impl Run {
    fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() < MAX_CHUNK {
            return;
        }
        if let Ok(mut buffers) = self.buffers.lock()
            && buffers.len() < self.most_buffers
        {
            buffers.push(buffer);
        }
    }

    fn fail(&self, error: &Error) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(|| (error.kind(), error.to_string()));
        }
    }
}

fn not_begun(part: &PartName) -> Error {
    Error::new(ErrorKind::Failed, "write to a part that is not open").with("part", part)
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "write snapshot after an earlier failure")
}
