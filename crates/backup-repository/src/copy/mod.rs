//! Copying snapshots and WAL to another place, which is then the same repository there: same keys,
//! same ids, an index of its own. What is sealed is copied as it is; nothing is decrypted but to
//! see that it is whole.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use backup_core::port::{Observer, Store};
use backup_core::{Error, ErrorKind, Event, KeyId, ObjectName, PackId, Result, SnapshotRecord};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::index::IndexObject;
use crate::lease::{Lease, PRUNE};
use crate::open::read_records;
use crate::pack::{OpenedPack, PackEntries};
use crate::read::missing_is_damage;
use crate::repository::{PARALLEL, Repository};
use crate::wal::{WalLog, WalObject};
use crate::write::store_index;
use crate::{blocking, layout};

pub use plan::Wanted;

/// Packs between two index objects: what a killed copy has to read again.
const CHECKPOINT: usize = 32;

/// What a copy would do.
#[derive(Clone, Debug, Default)]
pub struct CopyPlan {
    /// Snapshots to copy, by source and sequence.
    pub snapshots: Vec<SnapshotRecord>,
    /// Packs to copy, with their bytes.
    pub packs: Vec<(PackId, u64)>,
    /// Packs that they need and that are there, but that no index there names (any more).
    pub renamed: Vec<(PackId, u64)>,
    /// Packs that they need and that are there.
    pub known_packs: u64,
    /// Files of WAL to copy, by log.
    pub wal: Vec<(WalLog, Vec<WalObject>)>,
    /// Keys that open the copy and were removed here.
    pub removed_keys: Vec<KeyId>,
}

impl CopyPlan {
    /// Returns the bytes of packs and WAL that have to go over.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let wal = self.wal.iter().flat_map(|(_, files)| files).map(|file| file.size);
        self.packs.iter().map(|(_, bytes)| *bytes).chain(wal).sum()
    }
}

/// What a copy did.
#[derive(Clone, Debug, Default)]
pub struct CopyReport {
    /// The plan that was carried out.
    pub plan: CopyPlan,
    /// Bytes of packs and WAL written.
    pub written_bytes: u64,
}

impl Repository {
    /// Returns whether a repository was begun in a store, this one or another.
    pub async fn is_begun(store: &Arc<dyn Store>) -> Result<bool> {
        match store.stat(&layout::config()?).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns this repository as it is in another store. With `begin` it is begun there if nothing
    /// is, and keys that are missing there are copied; without, nothing is written.
    ///
    /// `Conflict` when another repository lies there.
    pub async fn second(&self, store: Arc<dyn Store>, begin: bool) -> Result<Self> {
        let config = Self::read_config(self.store()).await?;
        let there = match store.get(&layout::config()?).await {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if there.as_ref().is_some_and(|there| *there != config) {
            return Err(Error::new(ErrorKind::Conflict, "copy repository")
                .with("location", store.location())
                .because("another repository lies there")
                .hint(
                    "A copy is the same repository in a second place, with the same keys: choose \
                     an empty place, without `init`.",
                ));
        }
        if begin {
            let keys: Vec<_> = self.store().list(layout::KEYS).await?.try_collect().await?;
            for key in keys {
                self.copy_object(&store, &key.name).await?;
            }
        }
        if begin && there.is_none() {
            // Last, as `init` does: what was interrupted before is no repository yet.
            create(&store, &layout::config()?, config.clone()).await?;
        }
        let settings = self.inner.settings.clone();
        let keys = (*self.keys_now()?).clone();
        Self::with_keys(store, Arc::clone(self.clock()), &config, keys, settings)
    }

    /// Returns what copying to `second` would do; changes nothing.
    pub async fn plan_copy(&self, second: &Self, wanted: &Wanted) -> Result<CopyPlan> {
        let theirs = second.snapshots().await?;
        let ours = self.snapshots().await?;
        let chosen = plan::choose(&ours, &theirs, wanted);
        let snapshots: Vec<SnapshotRecord> = chosen.into_iter().cloned().collect();
        let index = self.fresh_index().await?;
        let mut needed: Vec<PackId> =
            self.needed_packs(&index, &snapshots).await?.into_iter().collect();
        needed.sort_unstable();
        let named = second.fresh_index().await?;
        let mut stored = HashMap::new();
        let mut listed = second.store().list(layout::PACKS).await?;
        while let Some(object) = listed.try_next().await? {
            stored.insert(layout::id_of::<PackId>(&object.name)?, object.size);
        }
        let mut plan = CopyPlan { snapshots, ..CopyPlan::default() };
        for id in needed {
            let size = index.pack_by_id(&id).map_or(0, |pack| pack.size);
            let is_named = named.pack_by_id(&id).is_some_and(|pack| pack.marked_at.is_none());
            match stored.get(&id) {
                Some(bytes) if *bytes == size && is_named => plan.known_packs += 1,
                Some(bytes) if *bytes == size => plan.renamed.push((id, size)),
                Some(bytes) => return Err(other_size(second, id, *bytes, size)),
                None => plan.packs.push((id, size)),
            }
        }
        for log in self.wal_logs(None).await? {
            let theirs = second.wal_objects(&log).await?;
            let files = plan::choose_wal(self.wal_objects(&log).await?, &theirs);
            if !files.is_empty() {
                plan.wal.push((log, files));
            }
        }
        plan.removed_keys = self.removed_keys(second).await?;
        Ok(plan)
    }

    /// Copies to `second` what is wanted: packs, then an index of them, then WAL, then manifests.
    /// Proofs are not copied: that something could be read here says nothing of the other place.
    ///
    /// Every pack is authenticated before it is stored there: damage is `Integrity` and does not
    /// spread. `Conflict` while the other place is pruned, or when a snapshot was forgotten while it
    /// was copied. Killed at any instant it loses nothing; running it again goes on.
    pub async fn copy(
        &self,
        second: &Self,
        wanted: &Wanted,
        observer: Arc<dyn Observer>,
    ) -> Result<CopyReport> {
        // Where there are no leases there is no prune either.
        let mut lease = if second.store().capabilities().create_if_absent {
            Some(Lease::acquire(second.store(), PRUNE).await?)
        } else {
            None
        };
        let copied = self.copy_leased(second, wanted, lease.as_mut(), &*observer).await;
        let released = match lease {
            Some(lease) => lease.release().await,
            None => Ok(()),
        };
        let report = copied?;
        released?;
        Ok(report)
    }

    async fn copy_leased(
        &self,
        second: &Self,
        wanted: &Wanted,
        mut lease: Option<&mut Lease>,
        observer: &dyn Observer,
    ) -> Result<CopyReport> {
        let plan = self.plan_copy(second, wanted).await?;
        let mut written = 0;
        let tasks = plan.packs.iter().map(|(id, _)| (*id, true));
        let tasks: Vec<_> = tasks.chain(plan.renamed.iter().map(|(id, _)| (*id, false))).collect();
        for some in tasks.chunks(CHECKPOINT) {
            if let Some(lease) = lease.as_deref_mut() {
                lease.renew().await?;
            }
            let copied = some.iter().map(|(id, over)| self.copy_pack(second, *id, *over));
            let mut packs: Vec<PackEntries> = Vec::with_capacity(some.len());
            let mut copied = stream::iter(copied).buffer_unordered(PARALLEL / 2);
            while let Some(pack) = copied.next().await {
                let (pack, bytes) = pack?;
                observer.on_event(&Event::Progress { bytes });
                written += bytes;
                packs.push(pack);
            }
            packs.sort_by_key(|pack| pack.id);
            let object = IndexObject { supersedes: Vec::new(), packs };
            store_index(second.store(), &second.keys_now()?, object).await?;
        }
        for (log, files) in &plan.wal {
            second.admit_wal(log).await?;
            let copied = files.iter().map(|file| async move {
                match self.copy_object(second.store(), &file.name).await {
                    // Retention here deleted it meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
                    other => other,
                }
            });
            // In order, so that what a killed copy left out is near the newest there.
            let mut copied = stream::iter(copied).buffered(plan::IN_FLIGHT);
            while let Some(bytes) = copied.next().await {
                let bytes = bytes?;
                observer.on_event(&Event::Progress { bytes });
                written += bytes;
            }
        }
        if let Some(lease) = lease {
            lease.renew().await?;
        }
        for record in &plan.snapshots {
            let id = record.snapshot.id;
            let copied = self.copy_object(second.store(), &layout::snapshot(id)?).await;
            copied.map_err(|error| dropped(error, &plan.snapshots))?;
            if record.pinned {
                second.pin(id).await?;
            }
        }
        Ok(CopyReport { plan, written_bytes: written })
    }

    /// Returns a pack's directory, as its own footer says it, and the bytes that went over.
    async fn copy_pack(&self, second: &Self, id: PackId, over: bool) -> Result<(PackEntries, u64)> {
        let name = layout::pack(id)?;
        let from = if over { self } else { second };
        let bytes = from.store().get(&name).await.map_err(|error| {
            missing_is_damage(error).hint(
                "If a snapshot was forgotten and pruned meanwhile, copy again; else run \
                 `backupctl verify`.",
            )
        })?;
        let keys = self.keys_now()?;
        let sealed = bytes.clone();
        let pack = blocking(move || {
            let opened = OpenedPack::open(&keys, id, &sealed)?;
            opened.frames(|_, _| Ok(()))?;
            Ok(opened.pack)
        });
        let pack = pack.await.map_err(|error| error.with("location", from.store().location()))?;
        if !over {
            return Ok((pack, 0));
        }
        let size = bytes.len() as u64;
        create(second.store(), &name, bytes).await?;
        Ok((pack, size))
    }

    /// Copies an object as it is; returns its bytes, none if it was there.
    async fn copy_object(&self, store: &Arc<dyn Store>, name: &ObjectName) -> Result<u64> {
        match store.stat(name).await {
            Ok(_) => return Ok(0),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let bytes = self.store().get(name).await?;
        let size = bytes.len() as u64;
        create(store, name, bytes).await?;
        Ok(size)
    }

    async fn removed_keys(&self, second: &Self) -> Result<Vec<KeyId>> {
        let ours = read_records(self.store()).await?;
        let theirs = read_records(second.store()).await?;
        let mut removed: Vec<KeyId> = theirs
            .iter()
            .map(|record| record.id)
            .filter(|id| ours.iter().all(|record| record.id != *id))
            .collect();
        removed.sort_unstable();
        removed.dedup();
        Ok(removed)
    }
}

/// Creates an object; the same bytes may be there already.
async fn create(store: &Arc<dyn Store>, name: &ObjectName, bytes: Bytes) -> Result<()> {
    match store.create(name, bytes.clone()).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            if store.get(name).await? == bytes {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Integrity, "copy object")
                .with("object", name)
                .with("location", store.location())
                .because("other bytes lie there under that name")
                .hint("Run `backupctl verify` on both places; remove the damaged one, copy again."))
        }
        other => other,
    }
}

fn other_size(second: &Repository, id: PackId, there: u64, here: u64) -> Error {
    Error::new(ErrorKind::Integrity, "plan copy")
        .with("pack", id)
        .with("location", second.store().location())
        .with("bytes there", there)
        .with("bytes here", here)
        .hint("Run `backupctl verify` on both places; remove the damaged pack, copy again.")
}

/// A manifest that is gone was forgotten since it was read.
fn dropped(error: Error, snapshots: &[SnapshotRecord]) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::new(ErrorKind::Conflict, "copy snapshots")
        .with("snapshots", snapshots.len())
        .because("one of them was forgotten while it was copied")
        .hint("Copy again.")
}
