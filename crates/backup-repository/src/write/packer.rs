//! Fills packs and uploads them.

use std::sync::{Arc, Mutex};

use backup_core::port::{Clock, Observer, Store};
use backup_core::{ChunkId, Error, ErrorKind, Result};
use backup_crypto::KeyBundle;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::ledger::{CHECKPOINT_AGE, Ledger};
use crate::codec::Encoded;
use crate::index::Index;
use crate::pack::PackBuilder;
use crate::random;
use crate::settings::Settings;

/// Offsets in a pack have 32 bits; a pack is in memory while it is filled and stored.
const MOST_PACK: usize = 1 << 30;

/// What a chunk is, which decides the pack it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Of a segment: side by side, in the order of addresses.
    Segments,
    /// Cut by content: into one of two packs, at random, so that sums of lengths do not tell
    /// where the cuts are.
    Stream,
    /// Of a segment map: side by side, because verification and prune read all maps.
    Maps,
}

/// Packs that are open at the same time: two for chunks, one for maps.
const OPEN: usize = 3;

/// Where sealed chunks go.
pub(crate) struct Packer {
    ledger: Arc<Ledger>,
    open: Mutex<[Option<PackBuilder>; OPEN]>,
    capacity: usize,
    uploads: Arc<Semaphore>,
    running: tokio::sync::Mutex<JoinSet<Result<()>>>,
    timer: AbortHandle,
}

impl Packer {
    /// Creates one; call it on an async runtime.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<KeyBundle>,
        settings: &Settings,
        observer: Arc<dyn Observer>,
    ) -> Self {
        // A near store takes one pack as fast as two, and each is in memory.
        let uploads = if store.capabilities().near { 1 } else { settings.uploads.get() };
        let ledger = Arc::new(Ledger::new(store, clock, keys, observer));
        let timed = Arc::clone(&ledger);
        // Also when nothing new arrives for hours, what was stored gets its index soon.
        let timer = tokio::spawn(async move {
            loop {
                tokio::time::sleep(CHECKPOINT_AGE).await;
                if timed.checkpoint(true).await.is_err() {
                    // Remembered by the ledger: the flush fails.
                    return;
                }
            }
        });
        Self {
            ledger,
            open: Mutex::default(),
            capacity: settings.pack_bytes.min(MOST_PACK),
            uploads: Arc::new(Semaphore::new(uploads)),
            running: tokio::sync::Mutex::new(JoinSet::new()),
            timer: timer.abort_handle(),
        }
    }

    /// Seals a chunk into an open pack; returns the pack when that filled it. Computes, so
    /// call it off the async threads, and hand a full pack to [`Packer::upload`].
    pub(crate) fn add(
        &self,
        lane: Lane,
        id: ChunkId,
        raw: u32,
        encoded: &Encoded,
        base: Option<(ChunkId, u8)>,
    ) -> Result<Option<PackBuilder>> {
        let number = match lane {
            Lane::Segments => 0,
            Lane::Stream => usize::from(random::bytes::<1>()? > [127]),
            Lane::Maps => 2,
        };
        let mut open = self.open.lock().map_err(|_| poisoned())?;
        let slot = open.get_mut(number).ok_or_else(poisoned)?;
        // A chunk that no longer fits closes the pack: packs stay near their size, and its
        // memory was reserved once.
        let fits =
            slot.as_ref().is_none_or(|pack| pack.len() + encoded.bytes.len() <= self.capacity);
        let full = if fits { None } else { slot.take() };
        let pack = match slot.take() {
            Some(pack) => pack,
            None => PackBuilder::new(self.ledger.keys(), &id, self.capacity, self.ledger.memory())?,
        };
        let (base, depth) = base.map_or((None, 0), |(base, depth)| (Some(base), depth + 1));
        slot.insert(pack).add(id, raw, encoded, depth, base)?;
        Ok(full)
    }

    /// Starts storing a pack; waits while too many are on their way. A failure of an earlier
    /// one is returned here, and by [`Packer::flush`] in any case.
    pub(crate) async fn upload(&self, pack: PackBuilder) -> Result<()> {
        let permit = Arc::clone(&self.uploads).acquire_owned().await.map_err(|_| poisoned())?;
        let ledger = Arc::clone(&self.ledger);
        let mut running = self.running.lock().await;
        while let Some(done) = running.try_join_next() {
            joined(done)?;
        }
        running.spawn(async move {
            let _permit = permit;
            ledger.store(pack).await
        });
        Ok(())
    }

    /// Closes the open packs, waits until everything is durable, and indexes it. Fails if
    /// anything ever failed, even if someone was told before.
    pub(crate) async fn flush(&self) -> Result<()> {
        let last = std::mem::take(&mut *self.open.lock().map_err(|_| poisoned())?);
        for pack in last.into_iter().flatten() {
            self.upload(pack).await?;
        }
        let mut running = self.running.lock().await;
        while let Some(done) = running.join_next().await {
            joined(done)?;
        }
        self.ledger.checkpoint(true).await
    }

    /// Returns the bytes of everything stored so far.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.ledger.stored_bytes()
    }

    /// Returns the index of what this run wrote, for a host that cannot read indexes.
    pub(crate) fn own_index(&self) -> Result<Arc<Index>> {
        self.ledger.own_index()
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

fn joined(done: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    done.map_err(|error| Error::new(ErrorKind::Failed, "store pack").because(error))?
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "use pack after an earlier failure")
}
