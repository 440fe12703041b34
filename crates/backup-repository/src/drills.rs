//! Receipts of drills: kept with the repository, signed, for as long as it lives.

use backup_core::{Error, ErrorKind, ObjectName, Result};
use backup_crypto::ObjectKind;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::repository::{PARALLEL, Repository};
use crate::signed::{from_writer_signed, to_writer_signed};
use crate::{blob, layout, random};

const DOMAIN: &str = "drill";

/// The time in a name: sorts as it is.
const TIME: &str = "%Y%m%dt%H%M%Sz";

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
    /// damaged, are passed over.
    pub async fn drills<T: DeserializeOwned>(
        &self,
        mut more: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>> {
        let listed = self.store().list(layout::DRILLS).await?;
        let mut names: Vec<ObjectName> = listed.map_ok(|o| o.name).try_collect().await?;
        names.sort_by(|a, b| b.as_str().cmp(a.as_str()));
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

    async fn read_drill<T: DeserializeOwned>(&self, name: &ObjectName) -> Result<T> {
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
        from_writer_signed(&keys, DOMAIN, &payload)
    }
}

/// `drills/<time>-<32 hexadecimal digits>`.
fn name(at: Timestamp, object: [u8; 16]) -> Result<ObjectName> {
    let random = backup_core::KeyId(object);
    layout::name(&format!("{}{}-{random}", layout::DRILLS, at.strftime(TIME)))
}
