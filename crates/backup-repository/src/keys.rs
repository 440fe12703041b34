//! Who can open the repository.

use std::sync::Arc;

use backup_core::{Error, ErrorKind, KeyId, Result};
use backup_crypto::KeyRecord;

use crate::open::{NewKey, read_records};
use crate::repository::Repository;
use crate::{blocking, layout, random};

impl Repository {
    /// Returns every key record that the repository's root signed, newest first.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>> {
        let root = self.keys_now()?.root_public();
        let mut records = read_records(self.store()).await?;
        records.retain(|record| record.verify(&root).is_ok());
        Ok(records)
    }

    /// Adds a key; from then on it opens the repository too. Owner only.
    pub async fn add_key(&self, key: NewKey) -> Result<KeyRecord> {
        let bundle = self.keys_now()?;
        let id = KeyId(random::bytes()?);
        let now = self.clock().now();
        let record =
            blocking(move || KeyRecord::seal(&bundle, id, &key.secret, &key.label, now)).await?;
        self.store_record(&record).await?;
        Ok(record)
    }

    /// Removes a key. Refuses the last one: nobody could open the repository again.
    ///
    /// Whoever knew it and kept a copy of the repository's key records may still read what was
    /// written until the next [`Repository::rotate_data`].
    pub async fn remove_key(&self, id: KeyId) -> Result<()> {
        let records = self.keys().await?;
        let Some(record) = records.iter().find(|record| record.id == id) else {
            return Err(Error::new(ErrorKind::NotFound, "remove key").with("key", id));
        };
        if records.len() == 1 {
            return Err(Error::new(ErrorKind::Conflict, "remove key")
                .with("key", id)
                .hint("It is the last key; add another one first."));
        }
        for epoch in 0..=record.epoch {
            self.store().delete(&layout::key(id, epoch)?).await?;
        }
        Ok(())
    }

    /// Replaces a key: adds the new one, then removes the old one. Moves no data.
    pub async fn rotate_key(&self, old: KeyId, key: NewKey) -> Result<KeyRecord> {
        if !self.keys().await?.iter().any(|record| record.id == old) {
            return Err(Error::new(ErrorKind::NotFound, "rotate key").with("key", old));
        }
        let record = self.add_key(key).await?;
        self.remove_key(old).await?;
        Ok(record)
    }

    /// Opens a new epoch and returns its number: everything written from now on is sealed to a
    /// new key, given to every key record that the root signed. What exists stays readable.
    pub async fn rotate_data(&self) -> Result<u32> {
        let records = self.keys().await?;
        let mut bundle = (*self.keys_now()?).clone();
        let epoch = bundle.add_epoch()?;
        // All new records before any old one goes: a crash leaves every holder with a record
        // that opens, and a repeated rotation goes on from there.
        let mut renewed = Vec::with_capacity(records.len());
        for record in &records {
            renewed.push(record.reseal(&bundle)?);
        }
        for record in &renewed {
            self.store_record(record).await?;
        }
        for record in &records {
            self.store().delete(&layout::key(record.id, record.epoch)?).await?;
        }
        if let Ok(mut keys) = self.inner.keys.write() {
            *keys = Arc::new(bundle);
        }
        *self.inner.index.lock().await = None;
        Ok(epoch)
    }

    async fn store_record(&self, record: &KeyRecord) -> Result<()> {
        self.store().create(&layout::key(record.id, record.epoch)?, record.to_bytes()?.into()).await
    }
}
