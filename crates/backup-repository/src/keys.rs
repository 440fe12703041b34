//! Who can open the repository.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use backup_core::{Error, ErrorKind, KeyId, ObjectName, Result};
use backup_crypto::{KeyBundle, KeyRecord, Role};
use futures::TryStreamExt;

use crate::lease::{KEYS, Lease};
use crate::open::{NewKey, read_records};
use crate::repository::Repository;
use crate::{blocking, layout, random};

/// How the keys of a repository stand, as this program sees them.
#[derive(Clone, Debug)]
pub struct KeyStanding {
    /// Every key record that the repository's root signed, newest first.
    pub records: Vec<KeyRecord>,
    /// Objects among the keys that are damaged, or that the root did not sign.
    pub untrusted: u64,
    /// The key that this program opened the repository with, where it was one of them.
    pub opened_with: Option<KeyId>,
    /// The newest epoch that this program holds.
    pub epoch: u32,
}

impl Repository {
    /// Returns how the keys stand.
    pub async fn key_standing(&self) -> Result<KeyStanding> {
        let before = self.key_objects().await?;
        let root = self.keys_now()?.root_public();
        let mut records = read_records(self.store()).await?;
        records.retain(|record| record.verify(&root).is_ok());
        let mut unknown: HashSet<ObjectName> = before;
        for record in &records {
            unknown.remove(&layout::key(record.id, record.epoch)?);
        }
        // What came or went meanwhile is no fault.
        if !unknown.is_empty() {
            let after = self.key_objects().await?;
            unknown.retain(|name| after.contains(name));
        }
        let mut seen = HashSet::new();
        records.retain(|record| seen.insert(record.id));
        Ok(KeyStanding {
            records,
            untrusted: unknown.len() as u64,
            opened_with: self.inner.opened_with,
            epoch: self.keys_now()?.current_epoch(),
        })
    }

    async fn key_objects(&self) -> Result<HashSet<ObjectName>> {
        let listed = self.store().list(layout::KEYS).await?;
        listed.map_ok(|object| object.name).try_collect().await
    }

    /// Returns every key record that the repository's root signed, newest first.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>> {
        let root = self.keys_now()?.root_public();
        let mut records = read_records(self.store()).await?;
        records.retain(|record| record.verify(&root).is_ok());
        // Of each key only its newest epoch: a rotation may have been interrupted before it
        // removed the older ones.
        let mut seen = HashSet::new();
        records.retain(|record| seen.insert(record.id));
        Ok(records)
    }

    /// Adds a key; from then on it opens the repository too. Owner only.
    ///
    /// `Conflict` while someone else changes keys, or when they were rotated since the
    /// repository was opened: the new key would not open what is written now.
    pub async fn add_key(&self, key: NewKey) -> Result<KeyRecord> {
        self.alone(async {
            self.check_epoch(&self.keys().await?)?;
            self.seal_key(key).await
        })
        .await
    }

    /// Adds a key for a host that only writes: it can back up, and read nothing. Owner only;
    /// fails like [`Repository::add_key`].
    pub async fn add_writer(&self, key: NewKey) -> Result<KeyRecord> {
        self.alone(async {
            self.check_epoch(&self.keys().await?)?;
            let writer = self.keys_now()?.writer()?;
            self.seal(key, Some(writer)).await
        })
        .await
    }

    /// Adds a key without asking who else does: the first ones, at `init`.
    pub(crate) async fn seal_key(&self, key: NewKey) -> Result<KeyRecord> {
        self.seal(key, None).await
    }

    async fn seal(&self, key: NewKey, writer: Option<KeyBundle>) -> Result<KeyRecord> {
        let owner = self.keys_now()?;
        let id = KeyId(random::bytes()?);
        let now = self.clock().now();
        let record = blocking(move || match writer {
            Some(writer) => {
                KeyRecord::seal_writer(&owner, &writer, id, &key.secret, &key.label, now)
            }
            None => KeyRecord::seal(&owner, id, &key.secret, &key.label, now),
        })
        .await?;
        self.store_record(&record).await?;
        Ok(record)
    }

    /// Removes a key. Refuses the last one of an owner: nobody could read the repository again.
    ///
    /// Whoever knew it and kept a copy of the repository's key records may still read what was
    /// written until the next [`Repository::rotate_data`].
    pub async fn remove_key(&self, id: KeyId) -> Result<()> {
        self.alone(self.remove(id)).await
    }

    async fn remove(&self, id: KeyId) -> Result<()> {
        let records = self.keys().await?;
        let Some(record) = records.iter().find(|record| record.id == id) else {
            return Err(Error::new(ErrorKind::NotFound, "remove key").with("key", id));
        };
        let another = |other: &KeyRecord| other.role == Role::Owner && other.id != id;
        if !records.iter().any(another) {
            return Err(Error::new(ErrorKind::Conflict, "remove key")
                .with("key", id)
                .hint("It is the last key that can read; add another one first."));
        }
        for epoch in 0..=record.epoch {
            self.store().delete(&layout::key(id, epoch)?).await?;
        }
        Ok(())
    }

    /// Replaces a key: adds the new one, then removes the old one. Moves no data.
    pub async fn rotate_key(&self, old: KeyId, key: NewKey) -> Result<KeyRecord> {
        self.alone(async {
            let records = self.keys().await?;
            if !records.iter().any(|record| record.id == old) {
                return Err(Error::new(ErrorKind::NotFound, "rotate key").with("key", old));
            }
            self.check_epoch(&records)?;
            let record = self.seal_key(key).await?;
            self.remove(old).await?;
            Ok(record)
        })
        .await
    }

    /// Opens a new epoch and returns its number: everything written from now on is sealed to a
    /// new key, given to every key record that the root signed. What exists stays readable.
    ///
    /// Fails like [`Repository::add_key`]; `Unsupported` on a store that overwrites, where two
    /// rotations at once could lose a key.
    pub async fn rotate_data(&self) -> Result<u32> {
        let lease = Lease::acquire(self.store(), KEYS).await?;
        finished(self.rotate().await, Some(lease)).await
    }

    async fn rotate(&self) -> Result<u32> {
        let mut records = self.keys().await?;
        self.check_epoch(&records)?;
        // The key in use first: if this run is killed, it opens everything that the new epoch
        // may have been given to, and a repeated rotation goes on from there.
        records.sort_by_key(|record| Some(record.id) != self.inner.opened_with);
        let mut bundle = (*self.keys_now()?).clone();
        let epoch = bundle.add_epoch()?;
        // All new records before any old one goes: a crash leaves every holder with a record
        // that opens.
        let mut renewed = Vec::with_capacity(records.len());
        for record in &records {
            renewed.push(record.reseal(&bundle)?);
        }
        for record in &renewed {
            self.store_record(record).await?;
        }
        if let Ok(mut keys) = self.inner.keys.write() {
            *keys = Arc::new(bundle);
        }
        *self.inner.index.lock().await = None;
        for record in &records {
            self.store().delete(&layout::key(record.id, record.epoch)?).await?;
        }
        Ok(epoch)
    }

    /// Fails if any key holds an epoch that this process does not.
    fn check_epoch(&self, records: &[KeyRecord]) -> Result<()> {
        let known = self.keys_now()?.current_epoch();
        let Some(newer) = records.iter().find(|record| record.epoch > known) else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Conflict, "change keys")
            .with("epoch", newer.epoch)
            .with("held by", &newer.label)
            .hint(
                "The keys were rotated since the repository was opened, or a rotation was \
                 interrupted: open the repository with that key and rotate again.",
            ))
    }

    /// Does something to the keys while nobody else does; where there are no leases, anyway.
    async fn alone<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let lease = if self.store().capabilities().create_if_absent {
            Some(Lease::acquire(self.store(), KEYS).await?)
        } else {
            None
        };
        finished(work.await, lease).await
    }

    async fn store_record(&self, record: &KeyRecord) -> Result<()> {
        self.store().create(&layout::key(record.id, record.epoch)?, record.to_bytes()?.into()).await
    }
}

/// Gives a lease back, whatever came out; that it could not be given back harms nobody for long.
async fn finished<T>(result: Result<T>, lease: Option<Lease>) -> Result<T> {
    if let Some(lease) = lease
        && let Err(error) = lease.release().await
    {
        tracing::warn!(%error, "the lease on the keys lapses by itself");
    }
    result
}
