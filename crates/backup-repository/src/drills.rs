//! Receipts of drills: kept with the repository, signed, for as long as it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use backup_core::{Error, ErrorKind, ObjectName, Result};
use backup_crypto::ObjectKind;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::repository::{PARALLEL, Repository};
use crate::signed::{from_body, to_writer_signed, writer_signed};
use crate::{blob, layout, random};

const DOMAIN: &str = "drill";

/// The time in a name: sorts as it is.
const TIME: &str = "%Y%m%dt%H%M%Sz";

/// Bytes of receipts that a handle remembers; the oldest are let go first.
const REMEMBERED: usize = 16 << 20;

/// Receipts that were read and believed, by object: they never change.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    known: BTreeMap<String, Arc<[u8]>>,
    bytes: usize,
}

impl Receipts {
    fn keep(&mut self, name: &ObjectName, body: Arc<[u8]>) {
        self.bytes += body.len();
        if let Some(before) = self.known.insert(name.as_str().to_owned(), body) {
            self.bytes -= before.len();
        }
        while self.bytes > REMEMBERED
            && let Some((_, oldest)) = self.known.pop_first()
        {
            self.bytes -= oldest.len();
        }
    }

    /// Lets go of what is not there any more.
    fn retain(&mut self, there: &BTreeSet<&str>) {
        let bytes = &mut self.bytes;
        self.known.retain(|name, body| {
            let stays = there.contains(name.as_str());
            *bytes -= if stays { 0 } else { body.len() };
            stays
        });
    }
}

impl Repository {
    /// Stores what a drill found, signed by this writer. Receipts outlive their snapshots.
    pub async fn record_drill<T: Serialize>(&self, at: Timestamp, receipt: &T) -> Result<()> {
        let keys = self.keys_now()?;
        let object = random::bytes()?;
        let payload = to_writer_signed(&keys, DOMAIN, receipt)?;
        let sealed = blob::seal(&keys, ObjectKind::Verification, object, &payload)?;
        self.store().create(&name(at, object)?, sealed).await
    }

    /// Returns the receipts of drills, newest first, as long as `more` wants them; `more` sees
    /// each and says whether to go on. Receipts that no writer of ours signed, or that are
    /// damaged, are passed over. What this handle has read once is not read again.
    pub async fn drills<T: DeserializeOwned>(
        &self,
        mut more: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>> {
        let listed = self.store().list(layout::DRILLS).await?;
        let mut names: Vec<ObjectName> = listed.map_ok(|o| o.name).try_collect().await?;
        names.sort_by(|a, b| b.as_str().cmp(a.as_str()));
        let there = names.iter().map(ObjectName::as_str).collect();
        self.inner.receipts.lock().unwrap_or_else(PoisonError::into_inner).retain(&there);
        let mut receipts = Vec::new();
        let mut read = futures::stream::iter(names)
            .map(|name| async move { (self.read_drill::<T>(&name).await, name) })
            .buffered(PARALLEL);
        while let Some((read, name)) = read.next().await {
            match read {
                Ok(receipt) => {
                    let go_on = more(&receipt);
                    receipts.push(receipt);
                    if !go_on {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    tracing::warn!(object = %name, %error, "a receipt is not believed");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(receipts)
    }

    fn known_receipt(&self, name: &ObjectName) -> Option<Arc<[u8]>> {
        let receipts = self.inner.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        receipts.known.get(name.as_str()).cloned()
    }

    async fn read_drill<T: DeserializeOwned>(&self, name: &ObjectName) -> Result<T> {
        if let Some(body) = self.known_receipt(name) {
            return from_body(&body);
        }
        let object = name
            .file_name()
            .split('-')
            .nth(1)
            .and_then(|text| text.parse::<backup_core::KeyId>().ok())
            .ok_or_else(|| Error::new(ErrorKind::Integrity, "read receipt").with("object", name))?
            .0;
        let sealed = self.store().get(name).await?;
        let keys = self.keys_now()?;
        let payload = blob::open(&keys, ObjectKind::Verification, object, &sealed)?;
        let body: Arc<[u8]> = writer_signed(&keys, DOMAIN, &payload)?.into();
        let receipt = from_body(&body)?;
        self.inner.receipts.lock().unwrap_or_else(PoisonError::into_inner).keep(name, body);
        Ok(receipt)
    }
}

/// `drills/<time>-<32 hexadecimal digits>`.
fn name(at: Timestamp, object: [u8; 16]) -> Result<ObjectName> {
    let random = backup_core::KeyId(object);
    layout::name(&format!("{}{}-{random}", layout::DRILLS, at.strftime(TIME)))
}
