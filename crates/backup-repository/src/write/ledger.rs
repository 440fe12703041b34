//! What of a run is durable: packs as they arrive in the store, and the indexes that name them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_core::port::{Clock, Observer, Store};
use backup_core::{Error, ErrorKind, Event, IndexId, PackId, Result};
use backup_crypto::{KeyBundle, ObjectKind};
use bytes::Bytes;

use super::MARK_TRUST;
use crate::index::{Index, IndexObject};
use crate::pack::{PackBuilder, PackEntries};
use crate::since::Since;
use crate::{blob, blocking, layout, random};

/// An index is written after this many packs …
const CHECKPOINT_PACKS: usize = 32;
/// … or after this long, whichever comes first, so that a killed run loses little.
pub(super) const CHECKPOINT_AGE: Duration = Duration::from_secs(60);

/// Stores packs and writes indexes of them.
pub(super) struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keys: Arc<KeyBundle>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    spare: Mutex<Option<Vec<u8>>>,
    /// One checkpoint at a time: whoever holds it knows that no other is under way.
    checkpointing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Durable packs that no index names yet.
    unindexed: Vec<PackEntries>,
    /// The one of them whose storing began first, and when.
    oldest: Option<(PackId, Since)>,
    checkpoint: Duration,
    stored_bytes: u64,
    /// Everything written; only kept by a host that cannot read it back.
    own: Index,
    /// The first failure: nothing counts as durable from then on, whoever was told.
    failure: Option<(ErrorKind, String)>,
}

impl Ledger {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Arc<KeyBundle>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let state = State { checkpoint: clock.elapsed(), ..State::default() };
        Self {
            store,
            clock,
            keys,
            observer,
            state: Mutex::new(state),
            spare: Mutex::default(),
            checkpointing: <_>::default(),
        }
    }

    pub(super) fn keys(&self) -> &KeyBundle {
        &self.keys
    }

    /// Returns the bytes of everything stored so far.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.state.lock().map(|state| state.stored_bytes).unwrap_or_default()
    }

    /// Returns the index of what this run wrote, for a host that cannot read indexes.
    pub(super) fn own_index(&self) -> Result<Arc<Index>> {
        Ok(Arc::new(self.state.lock().map_err(|_| poisoned())?.own.clone()))
    }

    /// Returns memory to fill a pack in: that of one that was stored, which costs nothing to touch
    /// again, else nothing yet.
    pub(super) fn memory(&self) -> Vec<u8> {
        self.spare.lock().ok().and_then(|mut spare| spare.take()).unwrap_or_default()
    }

    /// Keeps the memory of a pack that was stored for the next one, unless the store still holds it.
    fn keep(&self, stored: Bytes) {
        if let (true, Ok(mut spare)) = (stored.is_unique(), self.spare.lock()) {
            *spare = Some(stored.into());
        }
    }

    /// Stores a pack, and an index if one is due.
    pub(super) async fn store(&self, pack: PackBuilder) -> Result<()> {
        let stored = async {
            self.store_pack(pack).await?;
            self.checkpoint(false).await
        };
        stored.await.inspect_err(|error| self.fail(error))
    }

    async fn store_pack(&self, pack: PackBuilder) -> Result<()> {
        let (entries, bytes) = blocking(move || pack.finish()).await?;
        let size = bytes.len() as u64;
        let begun = Since::now(&*self.clock);
        let kept = bytes.clone();
        self.store.create(&layout::pack(entries.id)?, bytes).await?;
        self.keep(kept);
        self.observer.on_event(&Event::PackStored { bytes: size });
        let mut state = self.state.lock().map_err(|_| poisoned())?;
        state.stored_bytes += size;
        if !self.keys.can_read() {
            state.own.insert(&entries);
        }
        let id = entries.id;
        state.unindexed.push(entries);
        if state.oldest.is_none_or(|(_, since)| begun.is_before(since)) {
            state.oldest = Some((id, begun));
        }
        Ok(())
    }

    /// Writes an index of the packs that have none, if it is time (or `now`). Afterwards no
    /// other checkpoint is under way, and nothing has failed so far.
    pub(super) async fn checkpoint(&self, now: bool) -> Result<()> {
        let alone = self.checkpointing.lock().await;
        let (packs, oldest) = {
            let mut state = self.state.lock().map_err(|_| poisoned())?;
            if let Some((kind, text)) = &state.failure {
                return Err(Error::new(*kind, "store data").because(text.clone()));
            }
            let age = self.clock.elapsed().saturating_sub(state.checkpoint);
            let due = now || state.unindexed.len() >= CHECKPOINT_PACKS || age >= CHECKPOINT_AGE;
            if !due || state.unindexed.is_empty() {
                return Ok(());
            }
            state.checkpoint = self.clock.elapsed();
            (std::mem::take(&mut state.unindexed), state.oldest.take())
        };
        let written =
            self.write_index(packs, oldest).await.inspect_err(|error| self.fail(error))?;
        self.state.lock().map_err(|_| poisoned())?.stored_bytes += written;
        drop(alone);
        Ok(())
    }

    async fn write_index(
        &self,
        packs: Vec<PackEntries>,
        oldest: Option<(PackId, Since)>,
    ) -> Result<u64> {
        let Some((oldest, since)) = oldest else { return Ok(0) };
        let waited = since.passed(&*self.clock);
        if waited >= MARK_TRUST {
            return Err(late(oldest).with("seconds late", waited.as_secs()));
        }
        let (index, size) = self.name_packs(packs.clone()).await?;
        if let Err(error) = self.check_age(oldest, since, index).await {
            // Should this fail as well, the next prune drops what is gone; whoever relies on it
            // until then looks for the packs before its backup counts.
            let _ = self.take_back(index, packs).await;
            return Err(error);
        }
        Ok(size)
    }

    async fn name_packs(&self, packs: Vec<PackEntries>) -> Result<(IndexId, u64)> {
        let object = IndexObject { supersedes: Vec::new(), packs };
        store_index(&self.store, &self.keys, object).await
    }

    /// An index that came late must not promise what may be gone. What is there stays named:
    /// another run may rely on it already.
    async fn take_back(&self, index: IndexId, packs: Vec<PackEntries>) -> Result<()> {
        let mut there = Vec::with_capacity(packs.len());
        let named = packs.len();
        for pack in packs {
            match self.store.stat(&layout::pack(pack.id)?).await {
                Ok(_) => there.push(pack),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if there.len() == named {
            return Ok(());
        }
        if !there.is_empty() {
            self.name_packs(there).await?;
        }
        self.store.delete(&layout::index(index)?).await
    }

    /// Prune takes a pack that no index names for the leftover of a killed run once it is old.
    /// A pack that this run, suspended meanwhile, named too late may therefore be gone.
    async fn check_age(&self, pack: PackId, since: Since, index: IndexId) -> Result<()> {
        let stored = match self.store.stat(&layout::pack(pack)?).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(if since.passed(&*self.clock) < MARK_TRUST {
                    lost(pack).because(error)
                } else {
                    late(pack).because(error)
                });
            }
            found => found?.modified,
        };
        let named = self.store.stat(&layout::index(index)?).await?.modified;
        let waited = named.as_second().saturating_sub(stored.as_second());
        if waited < MARK_TRUST.as_secs() as i64 {
            return Ok(());
        }
        Err(late(pack).with("seconds late", waited))
    }

    fn fail(&self, error: &Error) {
        if let Ok(mut state) = self.state.lock() {
            state.failure.get_or_insert_with(|| (error.kind(), error.to_string()));
        }
    }
}

/// Writes an index object; returns its id and size.
pub(crate) async fn store_index(
    store: &Arc<dyn Store>,
    keys: &Arc<KeyBundle>,
    object: IndexObject,
) -> Result<(IndexId, u64)> {
    let id = IndexId(random::bytes()?);
    let keys = Arc::clone(keys);
    let sealed =
        blocking(move || blob::seal(&keys, ObjectKind::Index, id.0, &object.to_bytes())).await?;
    let size = sealed.len() as u64;
    store.create(&layout::index(id)?, sealed).await?;
    Ok((id, size))
}

fn lost(pack: PackId) -> Error {
    Error::new(ErrorKind::Integrity, "index pack").with("pack", pack).hint(
        "The store confirmed this object and does not have it. Find out why before you rely on that \
         store; `backupctl repair index` puts the index right, and the next backup stores what is \
         missing.",
    )
}

fn late(pack: PackId) -> Error {
    Error::new(ErrorKind::Conflict, "index pack")
        .with("pack", pack)
        .hint("The run was suspended, or a clock jumped; run the backup again.")
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "use pack after an earlier failure")
}
