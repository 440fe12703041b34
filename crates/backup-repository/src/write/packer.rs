//! Fills packs, uploads them, and checkpoints their index.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_core::port::{Clock, Observer, Store};
use backup_core::{ChunkId, Error, ErrorKind, Event, IndexId, PackId, Result};
use backup_crypto::{KeyBundle, ObjectKind};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::codec::Encoded;
use crate::index::IndexObject;
use crate::pack::{PackBuilder, PackEntries};
use crate::settings::Settings;
use crate::{blob, blocking, layout, random};

/// An index is written after this many packs …
const CHECKPOINT_PACKS: usize = 32;
/// … or after this long, whichever comes first, so that a killed run loses little.
const CHECKPOINT_AGE: Duration = Duration::from_secs(60);

/// Where sealed chunks go.
pub(crate) struct Packer {
    shared: Arc<Shared>,
    open: Mutex<Option<PackBuilder>>,
    capacity: usize,
    uploads: Arc<Semaphore>,
    running: tokio::sync::Mutex<JoinSet<Result<()>>>,
}

struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keys: Arc<KeyBundle>,
    observer: Arc<dyn Observer>,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    /// Durable packs that no index names yet.
    unindexed: Vec<PackEntries>,
    checkpoint: Duration,
    packs: Vec<PackId>,
    stored_bytes: u64,
}

impl Packer {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<KeyBundle>,
        settings: &Settings,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let ledger = Ledger { checkpoint: clock.elapsed(), ..Ledger::default() };
        Self {
            shared: Arc::new(Shared { store, clock, keys, observer, ledger: Mutex::new(ledger) }),
            open: Mutex::new(None),
            capacity: settings.pack_bytes,
            uploads: Arc::new(Semaphore::new(settings.uploads.get())),
            running: tokio::sync::Mutex::new(JoinSet::new()),
        }
    }

    /// Seals a chunk into the open pack; returns the pack when that filled it. Computes, so
    /// call it off the async threads, and hand a full pack to [`Packer::upload`].
    pub(crate) fn add(
        &self,
        id: ChunkId,
        raw: u32,
        encoded: &Encoded,
        depth: u8,
        base: Option<ChunkId>,
    ) -> Result<Option<PackBuilder>> {
        let mut open = self.open.lock().map_err(|_| poisoned())?;
        // A chunk that no longer fits closes the pack: packs stay near their size, and its
        // memory was reserved once.
        let fits =
            open.as_ref().is_none_or(|pack| pack.len() + encoded.bytes.len() <= self.capacity);
        let full = if fits { None } else { open.take() };
        let pack = match open.take() {
            Some(pack) => pack,
            None => PackBuilder::new(&self.shared.keys, &id, self.capacity)?,
        };
        open.insert(pack).add(id, raw, encoded, depth, base)?;
        Ok(full)
    }

    /// Starts storing a pack; waits while too many are on their way. A failure of an earlier
    /// one is returned here or by [`Packer::flush`].
    pub(crate) async fn upload(&self, pack: PackBuilder) -> Result<()> {
        let permit = Arc::clone(&self.uploads).acquire_owned().await.map_err(|_| poisoned())?;
        let shared = Arc::clone(&self.shared);
        let mut running = self.running.lock().await;
        while let Some(done) = running.try_join_next() {
            joined(done)?;
        }
        running.spawn(async move {
            let stored = shared.store_pack(pack).await;
            drop(permit);
            stored?;
            shared.checkpoint(false).await
        });
        Ok(())
    }

    /// Closes the open pack, waits until everything is durable, and indexes it.
    pub(crate) async fn flush(&self) -> Result<()> {
        let last = self.open.lock().map_err(|_| poisoned())?.take();
        if let Some(pack) = last {
            self.upload(pack).await?;
        }
        let mut running = self.running.lock().await;
        while let Some(done) = running.join_next().await {
            joined(done)?;
        }
        self.shared.checkpoint(true).await
    }

    /// Returns the packs stored so far, and the bytes of everything stored.
    pub(crate) fn stored(&self) -> (Vec<PackId>, u64) {
        self.shared
            .ledger
            .lock()
            .map(|ledger| (ledger.packs.clone(), ledger.stored_bytes))
            .unwrap_or_default()
    }
}

impl Shared {
    async fn store_pack(&self, pack: PackBuilder) -> Result<()> {
        let (entries, bytes) = blocking(move || pack.finish()).await?;
        let size = bytes.len() as u64;
        self.store.create(&layout::pack(entries.id)?, bytes).await?;
        self.observer.on_event(&Event::PackStored { bytes: size });
        let mut ledger = self.ledger.lock().map_err(|_| poisoned())?;
        ledger.packs.push(entries.id);
        ledger.stored_bytes += size;
        ledger.unindexed.push(entries);
        Ok(())
    }

    /// Writes an index of the packs that have none, if it is time (or `now`).
    async fn checkpoint(&self, now: bool) -> Result<()> {
        let packs = {
            let mut ledger = self.ledger.lock().map_err(|_| poisoned())?;
            let age = self.clock.elapsed().saturating_sub(ledger.checkpoint);
            let due = now || ledger.unindexed.len() >= CHECKPOINT_PACKS || age >= CHECKPOINT_AGE;
            if !due || ledger.unindexed.is_empty() {
                return Ok(());
            }
            ledger.checkpoint = self.clock.elapsed();
            std::mem::take(&mut ledger.unindexed)
        };
        let object = IndexObject { supersedes: Vec::new(), packs };
        let size = store_index(&self.store, &self.keys, object).await?;
        self.ledger.lock().map_err(|_| poisoned())?.stored_bytes += size;
        Ok(())
    }
}

/// Writes an index object; returns its size.
pub(crate) async fn store_index(
    store: &Arc<dyn Store>,
    keys: &Arc<KeyBundle>,
    object: IndexObject,
) -> Result<u64> {
    let id = IndexId(random::bytes()?);
    let keys = Arc::clone(keys);
    let sealed =
        blocking(move || blob::seal(&keys, ObjectKind::Index, id.0, &object.to_bytes())).await?;
    let size = sealed.len() as u64;
    store.create(&layout::index(id)?, sealed).await?;
    Ok(size)
}

fn joined(done: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    done.map_err(|error| Error::new(ErrorKind::Failed, "store pack").because(error))?
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "use pack after an earlier failure")
}
