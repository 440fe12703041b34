//! What the parts, segments and chunk tasks of one run share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use backup_core::port::Observer;
use backup_core::{ChunkId, Error, ErrorKind, Part, PartName, Result, Snapshot};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::chunk::ChunkStore;
use super::packer::Lane;
use super::parts::Parts;
use super::previous::Place;
use super::writer::SnapshotDraft;
use crate::cut::Cutter;
use crate::map::ChunkRef;
use crate::repository::Repository;

/// Where a segment is cut that is larger: half of what readers accept, because a worker holds a
/// chunk, its base and the result, and a reader as much.
pub(super) const PIECE: usize = 8 << 20;
/// A smaller buffer is not worth keeping.
const KEEP: usize = 256 << 10;

pub(crate) type Pending = JoinHandle<Result<ChunkRef>>;

pub(crate) struct Shared {
    pub(super) repository: Repository,
    pub(super) draft: SnapshotDraft,
    pub(super) sequence: u64,
    pub(super) previous: Option<Snapshot>,
    /// The parts of `previous` by name: there may be many thousands.
    pub(super) previous_parts: HashMap<PartName, Part>,
    pub(super) chunks: Arc<ChunkStore>,
    pub(super) cutter: Cutter,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) parts: Mutex<Parts>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) run: Arc<Run>,
}

/// What the chunk tasks of one run share.
pub(super) struct Run {
    pub(super) buffers: Mutex<Vec<Vec<u8>>>,
    pub(super) most_buffers: usize,
    /// The first failure, told to everyone so that the rest of the run stops early.
    pub(super) failure: Mutex<Option<(ErrorKind, String)>>,
}

impl Shared {
    /// Hands a chunk to the workers; waits while all are busy.
    pub(super) async fn dispatch(
        &self,
        lane: Lane,
        plain: Vec<u8>,
        place: Place,
    ) -> Result<Pending> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| poisoned())?;
        let (chunks, run) = (Arc::clone(&self.chunks), Arc::clone(&self.run));
        Ok(tokio::spawn(async move {
            let stored = chunks.put(lane, plain, place).await;
            drop(permit);
            stored
                .map(|(reference, plain)| {
                    run.recycle(plain);
                    reference
                })
                .inspect_err(|error| run.fail(error))
        }))
    }

    /// Stores the bytes of a segment map; returns their chunks.
    pub(super) async fn store_map(&self, name: &PartName, map: &[u8]) -> Result<Vec<ChunkId>> {
        let before = self.previous_parts.get(name);
        let mut ids = Vec::new();
        for (place, piece) in map.chunks(PIECE).enumerate() {
            let base = before.and_then(|part| part.map.get(place).copied());
            let place = base.map_or(Place::Nowhere, Place::Chunk);
            let (reference, _) = self.chunks.put(Lane::Maps, piece.to_vec(), place).await?;
            ids.push(reference.id);
        }
        Ok(ids)
    }

    pub(super) fn lock_parts(&self) -> Result<MutexGuard<'_, Parts>> {
        self.parts.lock().map_err(|_| poisoned())
    }

    /// Fails once anything of the run has failed.
    pub(super) fn check(&self) -> Result<()> {
        match self.run.failure.lock().map_err(|_| poisoned())?.as_ref() {
            Some((kind, text)) => Err(Error::new(*kind, "write segment").because(text.clone())),
            None => Ok(()),
        }
    }

    /// Remembers a failure, so that nothing is committed after it.
    pub(super) fn fail(&self, error: &Error) {
        self.run.fail(error);
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
        if buffer.capacity() < KEEP {
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

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "write snapshot after an earlier failure")
}
