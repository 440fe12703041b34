//! Manifests, and what is known about snapshots outside them: proofs and pins.

use std::collections::{HashMap, HashSet};

use backup_core::{
    Error, ErrorKind, ObjectName, Result, Snapshot, SnapshotId, SnapshotRecord, Verified,
};
use backup_crypto::ObjectKind;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::layout::FORMAT;
use crate::read::missing_is_damage;
use crate::repository::{PARALLEL, Repository};
use crate::signed::{from_writer_signed, newer, to_writer_signed};
use crate::{blob, blocking, layout};

const MANIFEST_DOMAIN: &str = "manifest";

#[derive(Serialize, Deserialize)]
struct Manifest<S> {
    format: u32,
    snapshot: S,
}

/// The only field read before the format is known to be ours.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Every manifest there is.
#[derive(Debug, Default)]
pub struct SnapshotScan {
    /// Those that can be read, by source and sequence.
    pub records: Vec<SnapshotRecord>,
    /// Those that cannot be believed, and why.
    pub unreadable: Vec<(SnapshotId, Error)>,
}

impl Repository {
    /// Returns every snapshot with its proofs and pins, by source and sequence.
    ///
    /// A manifest that cannot be believed is an error naming the object: a list that silently
    /// lacks a snapshot would let retention and status draw wrong conclusions.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        let scan = self.scan_snapshots().await?;
        match scan.unreadable.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(scan.records),
        }
    }

    /// Like [`Repository::snapshots`], with the unreadable manifests told apart, for those who
    /// look for damage.
    pub async fn scan_snapshots(&self) -> Result<SnapshotScan> {
        let listed: Vec<_> = self.store().list(layout::SNAPSHOTS).await?.try_collect().await?;
        let proofs = self.proofs().await?;
        let pins = self.pins().await?;
        let read: Vec<(SnapshotId, Result<SnapshotRecord>)> =
            futures::stream::iter(listed.into_iter().map(|object| {
                let (proofs, pins) = (&proofs, &pins);
                async move {
                    let id: SnapshotId = layout::id_of(&object.name)?;
                    let record = self.record(id, object.modified, proofs, pins).await;
                    Ok::<_, Error>((id, record))
                }
            }))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let mut scan = SnapshotScan::default();
        for (id, record) in read {
            match record {
                Ok(record) => scan.records.push(record),
                // Forgotten between listing and reading.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    scan.unreadable.push((id, error));
                }
                Err(error) => return Err(error),
            }
        }
        scan.records.sort_by(|a, b| order(a).cmp(&order(b)));
        Ok(scan)
    }

    async fn record(
        &self,
        id: SnapshotId,
        stored_at: Timestamp,
        proofs: &HashMap<SnapshotId, Vec<ObjectName>>,
        pins: &HashSet<SnapshotId>,
    ) -> Result<SnapshotRecord> {
        let snapshot = self.read_manifest(id).await?;
        let verified = match proofs.get(&id) {
            Some(names) => self.best_proof(id, names).await?,
            None => Verified::default(),
        };
        Ok(SnapshotRecord { snapshot, verified, pinned: pins.contains(&id), stored_at })
    }

    /// Returns one snapshot; `NotFound` when there is none of that id.
    pub async fn snapshot(&self, id: SnapshotId) -> Result<SnapshotRecord> {
        let object = self.store().stat(&layout::snapshot(id)?).await?;
        let (proofs, pins) = (self.proofs().await?, self.pins().await?);
        self.record(id, object.modified, &proofs, &pins).await
    }

    /// Forgets snapshots: deletes their manifests, then their proofs and pins. Their data stays
    /// until prune.
    pub async fn forget(&self, ids: &[SnapshotId]) -> Result<()> {
        let proofs = self.proofs().await?;
        for id in ids {
            self.store().delete(&layout::snapshot(*id)?).await?;
            for name in proofs.get(id).into_iter().flatten() {
                self.store().delete(name).await?;
            }
            self.store().delete(&layout::pin(*id)?).await?;
        }
        Ok(())
    }

    /// Pins a snapshot: retention leaves it alone. Pinning twice is success.
    pub async fn pin(&self, id: SnapshotId) -> Result<()> {
        self.store().stat(&layout::snapshot(id)?).await?;
        match self.store().create(&layout::pin(id)?, b"pinned\n".as_slice().into()).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other,
        }
    }

    /// Takes a pin away; success when there was none.
    pub async fn unpin(&self, id: SnapshotId) -> Result<()> {
        self.store().delete(&layout::pin(id)?).await
    }

    pub(crate) async fn read_manifest(&self, id: SnapshotId) -> Result<Snapshot> {
        let name = layout::snapshot(id)?;
        let sealed = self.store().get(&name).await?;
        let keys = self.keys_now()?;
        let read = blocking(move || {
            let payload = blob::open(&keys, ObjectKind::Manifest, id.0, &sealed)?;
            let format: Format = from_writer_signed(&keys, MANIFEST_DOMAIN, &payload)?;
            if format.format > FORMAT {
                return Err(newer(format.format));
            }
            let manifest: Manifest<Snapshot> =
                from_writer_signed(&keys, MANIFEST_DOMAIN, &payload)?;
            Ok(manifest.snapshot)
        });
        let snapshot = read.await.map_err(|error| {
            missing_is_damage(error)
                .with("object", &name)
                .hint("This manifest is damaged or forged; the other snapshots are not affected.")
        })?;
        if snapshot.id != id {
            return Err(Error::new(ErrorKind::Integrity, "read manifest").with("object", name));
        }
        Ok(snapshot)
    }

    pub(crate) async fn pins(&self) -> Result<HashSet<SnapshotId>> {
        let listed: Vec<_> = self.store().list(layout::PINS).await?.try_collect().await?;
        listed.iter().map(|object| layout::id_of(&object.name)).collect()
    }
}

/// Writes a manifest: the commit.
pub(crate) async fn store_manifest(repository: &Repository, snapshot: &Snapshot) -> Result<u64> {
    let keys = repository.keys_now()?;
    let manifest = Manifest { format: FORMAT, snapshot };
    let payload = to_writer_signed(&keys, MANIFEST_DOMAIN, &manifest)?;
    let id = snapshot.id;
    let sealed = blocking(move || blob::seal(&keys, ObjectKind::Manifest, id.0, &payload)).await?;
    let size = sealed.len() as u64;
    repository.store().create(&layout::snapshot(id)?, sealed).await?;
    Ok(size)
}

fn order(record: &SnapshotRecord) -> (&str, u64, Timestamp) {
    let snapshot = &record.snapshot;
    (snapshot.source.as_str(), snapshot.sequence, record.stored_at)
}
