//! Rebuilding the indexes from what is in the store.

use std::collections::HashMap;
use std::sync::Arc;

use backup_core::port::Observer;
use backup_core::{Error, ErrorKind, Event, IndexId, PackId, Result};
use backup_crypto::{HEADER_LEN, ObjectKind, ObjectOpener};
use futures::{StreamExt, TryStreamExt};

use crate::index::IndexObject;
use crate::layout;
use crate::lease::{Lease, PRUNE};
use crate::pack::{OpenedPack, PackEntries, TRAILER_LEN, footer_of};
use crate::repository::{PARALLEL, Repository};
use crate::write::store_index;

/// What repair found and did.
#[derive(Clone, Debug, Default)]
pub struct RepairReport {
    /// Packs that the indexes named rightly.
    pub kept: u64,
    /// Packs whose directory was read from their own footer.
    pub recovered: Vec<PackId>,
    /// Packs that the indexes name and the store does not have.
    pub lost: Vec<PackId>,
    /// Packs whose footer cannot be believed.
    pub damaged: Vec<(PackId, String)>,
    /// Index objects that could not be read; they are removed.
    pub unreadable_indexes: Vec<IndexId>,
}

impl Repository {
    /// Writes one new index of every pack in the store, then removes the old ones.
    ///
    /// Directories come from readable indexes, else from the packs' own footers. A damaged pack
    /// is left out and reported: a backup run afterwards stores its chunks anew, which heals
    /// the snapshots that need them.
    ///
    /// `Conflict` while prune runs: it would delete packs that the new index names. Where there
    /// are no leases there is no prune either.
    pub async fn repair_index(&self, observer: Arc<dyn Observer>) -> Result<RepairReport> {
        let mut lease = if self.store().capabilities().create_if_absent {
            Some(Lease::acquire(self.store(), PRUNE).await?)
        } else {
            None
        };
        let repaired = self.repair_leased(lease.as_mut(), &*observer).await;
        let released = match lease {
            Some(lease) => lease.release().await,
            None => Ok(()),
        };
        let report = repaired?;
        released?;
        Ok(report)
    }

    async fn repair_leased(
        &self,
        lease: Option<&mut Lease>,
        observer: &dyn Observer,
    ) -> Result<RepairReport> {
        let mut report = RepairReport::default();
        let (old, known) = self.readable_indexes(&mut report).await?;
        let listed: Vec<_> = self.store().list(layout::PACKS).await?.try_collect().await?;
        let mut packs = Vec::with_capacity(listed.len());
        let mut missing = Vec::new();
        let mut in_store = std::collections::HashSet::new();
        for object in listed {
            let id: PackId = layout::id_of(&object.name)?;
            in_store.insert(id);
            match known.get(&id).filter(|pack| pack.size == object.size) {
                Some(pack) => packs.push(pack.clone()),
                None => missing.push((id, object.size)),
            }
        }
        report.kept = packs.len() as u64;
        report.lost = known.keys().filter(|id| !in_store.contains(id)).copied().collect();
        report.lost.sort_unstable();
        let read: Vec<_> = futures::stream::iter(missing)
            .map(|(id, size)| async move { (id, size, self.read_directory(id, size).await) })
            .buffered(PARALLEL)
            .collect()
            .await;
        for (id, size, directory) in read {
            observer.on_event(&Event::Progress { bytes: size });
            match directory {
                Ok(pack) => {
                    report.recovered.push(id);
                    packs.push(pack);
                }
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    report.damaged.push((id, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        packs.sort_by_key(|pack| pack.id);
        // Reading many footers takes time: nobody may have begun to prune meanwhile.
        if let Some(lease) = lease {
            lease.renew().await?;
        }
        let object = IndexObject { supersedes: old.clone(), packs };
        store_index(self.store(), &self.keys_now()?, object).await?;
        for id in old {
            self.store().delete(&layout::index(id)?).await?;
        }
        Ok(report)
    }

    /// Returns the ids of all index objects, and the packs that readable, live ones name.
    async fn readable_indexes(
        &self,
        report: &mut RepairReport,
    ) -> Result<(Vec<IndexId>, HashMap<PackId, PackEntries>)> {
        let listed: Vec<_> = self.store().list(layout::INDEXES).await?.try_collect().await?;
        let mut ids = Vec::with_capacity(listed.len());
        let mut objects = Vec::with_capacity(listed.len());
        for object in listed {
            let id: IndexId = layout::id_of(&object.name)?;
            ids.push(id);
            match self.read_index(id).await {
                Ok(index) => objects.push((id, index)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    report.unreadable_indexes.push(id);
                }
                Err(error) => return Err(error),
            }
        }
        let dead: Vec<IndexId> =
            objects.iter().flat_map(|(_, index)| index.supersedes.iter().copied()).collect();
        let live = objects.into_iter().filter(|(id, _)| !dead.contains(id));
        let mut known: HashMap<PackId, PackEntries> = HashMap::new();
        for pack in live.flat_map(|(_, index)| index.packs) {
            known
                .entry(pack.id)
                .and_modify(|other| {
                    // A mark holds only if every index agrees.
                    if pack.marked_at.is_none() {
                        other.marked_at = None;
                    }
                })
                .or_insert(pack);
        }
        Ok((ids, known))
    }

    /// Reads a pack's directory from its own footer, without its chunks.
    async fn read_directory(&self, id: PackId, size: u64) -> Result<PackEntries> {
        let damaged = || Error::new(ErrorKind::Integrity, "read pack footer").with("pack", id);
        let name = layout::pack(id)?;
        let end = size.checked_sub(TRAILER_LEN as u64).ok_or_else(damaged)?;
        let trailer = self.store().get_range(&name, end..size).await?;
        let (length, count) = footer_of(&trailer).map_err(|error| error.with("pack", id))?;
        let start = end
            .checked_sub(u64::from(length))
            .filter(|start| *start >= HEADER_LEN as u64)
            .ok_or_else(damaged)?;
        let sealed = self.store().get_range(&name, start..end).await?;
        let header = self.store().get_range(&name, 0..HEADER_LEN as u64).await?;
        let keys = self.keys_now()?;
        let opener = ObjectOpener::new(&keys, ObjectKind::Pack, id.0, &header)?;
        let pack = OpenedPack::directory(&opener, id, size, count, &trailer, &sealed)?;
        let body: u64 = pack.entries.iter().map(|entry| u64::from(entry.sealed)).sum();
        if HEADER_LEN as u64 + body != start {
            return Err(damaged());
        }
        Ok(pack)
    }
}
