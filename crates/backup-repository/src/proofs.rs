//! Proofs: what verification recorded about snapshots.

use std::collections::HashMap;

use backup_core::{Error, ErrorKind, ObjectName, Result, SnapshotId, Verified, VerifyLevel};
use backup_crypto::ObjectKind;
use futures::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::signed::{from_writer_signed, to_writer_signed};
use crate::{blob, layout, random};

const VERIFIED_DOMAIN: &str = "verification";

#[derive(Serialize, Deserialize)]
struct Verification {
    snapshot: SnapshotId,
    level: VerifyLevel,
    at: Timestamp,
}

impl Repository {
    /// Records that a snapshot was proved, signed by this writer, in place of what was recorded of
    /// that level or a lower one.
    pub async fn record_verification(&self, id: SnapshotId, verified: Verified) -> Result<()> {
        let Some(at) = verified.at.filter(|_| verified.level > VerifyLevel::None) else {
            return Ok(());
        };
        let before = self.proofs_of(id).await?;
        let keys = self.keys_now()?;
        let object = random::bytes()?;
        let document = Verification { snapshot: id, level: verified.level, at };
        let payload = to_writer_signed(&keys, VERIFIED_DOMAIN, &document)?;
        let sealed = blob::seal(&keys, ObjectKind::Verification, object, &payload)?;
        self.store().create(&proof_name(id, verified.level, object)?, sealed).await?;
        // One proof of a level is enough: daily verifications must not pile up.
        for name in before.iter().filter(|name| level_of(name) <= Some(verified.level)) {
            self.store().delete(name).await?;
        }
        Ok(())
    }

    /// Takes back every proof of a snapshot: damage was found, so it counts as proved no more.
    pub async fn withdraw_verification(&self, id: SnapshotId) -> Result<()> {
        for name in self.proofs_of(id).await? {
            self.store().delete(&name).await?;
        }
        Ok(())
    }

    async fn proofs_of(&self, id: SnapshotId) -> Result<Vec<ObjectName>> {
        let folder = format!("{}{id}/", layout::VERIFIED);
        let listed = self.store().list(&folder).await?;
        listed.map_ok(|object| object.name).try_collect().await
    }

    /// Lists the proofs by snapshot.
    pub(crate) async fn proofs(&self) -> Result<HashMap<SnapshotId, Vec<ObjectName>>> {
        let listed: Vec<_> = self.store().list(layout::VERIFIED).await?.try_collect().await?;
        let mut proofs: HashMap<SnapshotId, Vec<ObjectName>> = HashMap::new();
        for object in listed {
            let folder = object.name.as_str().split('/').nth(1).and_then(|id| id.parse().ok());
            if let Some(id) = folder {
                proofs.entry(id).or_default().push(object.name);
            }
        }
        Ok(proofs)
    }

    /// Returns the highest, then newest, proof that a writer of ours signed. Names say the
    /// level, so that one read is enough; the signed content decides.
    pub(crate) async fn best_proof(
        &self,
        id: SnapshotId,
        names: &[ObjectName],
    ) -> Result<Verified> {
        let mut best = Verified::default();
        let mut names: Vec<_> =
            names.iter().filter_map(|name| Some((level_of(name)?, name))).collect();
        names.sort_by(|a, b| b.cmp(a));
        for (level, name) in names {
            if level < best.level {
                break;
            }
            match self.read_proof(id, name).await {
                Ok(proof) => {
                    if (proof.level, proof.at) > (best.level, best.at) {
                        best = proof;
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    tracing::warn!(object = %name, %error, "a proof is not believed");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(best)
    }

    async fn read_proof(&self, id: SnapshotId, name: &ObjectName) -> Result<Verified> {
        let damaged = || Error::new(ErrorKind::Integrity, "read verification").with("object", name);
        let object = name
            .file_name()
            .split('-')
            .nth(1)
            .and_then(|text| text.parse::<backup_core::KeyId>().ok())
            .ok_or_else(damaged)?
            .0;
        let sealed = self.store().get(name).await?;
        let keys = self.keys_now()?;
        let payload = blob::open(&keys, ObjectKind::Verification, object, &sealed)?;
        let proof: Verification = from_writer_signed(&keys, VERIFIED_DOMAIN, &payload)?;
        if proof.snapshot != id {
            return Err(damaged());
        }
        Ok(Verified { level: proof.level, at: Some(proof.at) })
    }
}

/// `verified/<snapshot>/<level>-<32 hexadecimal digits>`.
fn proof_name(id: SnapshotId, level: VerifyLevel, object: [u8; 16]) -> Result<ObjectName> {
    let random = backup_core::KeyId(object);
    layout::name(&format!("{}{id}/{}-{random}", layout::VERIFIED, level.as_str()))
}

fn level_of(name: &ObjectName) -> Option<VerifyLevel> {
    match name.file_name().split('-').next()? {
        "exists" => Some(VerifyLevel::Exists),
        "read" => Some(VerifyLevel::Read),
        "drilled" => Some(VerifyLevel::Drilled),
        _ => None,
    }
}
