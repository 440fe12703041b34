//! Backups of the service's volume. Creating one does not tell its id: it is found again by its
//! name, which is one of its own.

use std::cmp::Reverse;

use backup_core::port::{Done, Handle, NativeSnapshot, NativeState, Progress};
use backup_core::{Error, Result};
use backup_http::Fate;
use serde_json::json;

use super::RailwayPlatform;
use super::wait::{Outcome, for_workflow};
use crate::client::Backup;
use crate::documents;

impl RailwayPlatform {
    pub(super) async fn list_snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let found = self.find().await?;
        let backups = self.client.backups(found.volume()?).await?;
        let mut snapshots: Vec<NativeSnapshot> = backups.into_iter().map(native).collect();
        snapshots.sort_by_key(|one| Reverse(one.created_at));
        Ok(snapshots)
    }

    async fn named(&self, name: &str) -> Result<Option<NativeSnapshot>> {
        Ok(self.list_snapshots().await?.into_iter().find(|one| one.name == name))
    }

    pub(super) async fn begin_snapshot(&self, handle: Handle, name: &str) -> Result<Handle> {
        if let Some(there) = self.named(name).await? {
            return Ok(handle.begun(Vec::new(), Some(there.id)));
        }
        let volume = self.find().await?.volume()?;
        let variables = json!({ "volume": volume, "name": name });
        let field = "volumeInstanceBackupCreate";
        match self.client.start("create backup", documents::BACK_UP, field, variables).await {
            Ok(workflow) => Ok(handle.begun(for_workflow(workflow), None)),
            // It may have begun; then it appears under its name.
            Err(failure) if failure.fate == Fate::Unknown => Ok(handle.begun(Vec::new(), None)),
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn poll_snapshot(&self, handle: &Handle, name: &str) -> Result<Progress> {
        match self.workflow(handle).await? {
            Outcome::Running(progress) => return Ok(progress),
            Outcome::Failed(reason) => return Ok(Progress::Failed { reason }),
            Outcome::Complete | Outcome::Unknown => {}
        }
        Ok(match self.named(name).await? {
            Some(one) => Progress::Done(Done { id: Some(one.id), notes: Vec::new() }),
            None if self.may_appear(handle) => self.running(handle, "not listed yet"),
            None => Progress::Failed { reason: "no backup of that name appeared".to_owned() },
        })
    }

    pub(super) async fn begin_deletion(&self, handle: Handle, id: &str) -> Result<Handle> {
        if !self.list_snapshots().await?.iter().any(|one| one.id == id) {
            return Ok(handle.begun(Vec::new(), None));
        }
        let volume = self.find().await?.volume()?;
        let variables = json!({ "volume": volume, "backup": id });
        let field = "volumeInstanceBackupDelete";
        let started =
            self.client.start("delete backup", documents::DELETE_BACKUP, field, variables).await;
        match started {
            Ok(workflow) => Ok(handle.begun(for_workflow(workflow), None)),
            Err(failure) if failure.fate == Fate::Unknown => Ok(handle.begun(Vec::new(), None)),
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn poll_deletion(&self, handle: &Handle, id: &str) -> Result<Progress> {
        if let Outcome::Failed(reason) = self.workflow(handle).await? {
            return Ok(Progress::Failed { reason });
        }
        let there = self.list_snapshots().await?.iter().any(|one| one.id == id);
        Ok(match there {
            false => Progress::Done(Done { id: Some(id.to_owned()), notes: Vec::new() }),
            true if self.may_appear(handle) => self.running(handle, "still listed"),
            true => Progress::Failed { reason: "the backup is still there".to_owned() },
        })
    }

    pub(super) async fn lock(&self, handle: Handle, id: &str) -> Result<Handle> {
        let volume = self.find().await?.volume()?;
        let variables = json!({ "volume": volume, "backup": id });
        let field = "volumeInstanceBackupLock";
        let _: bool = self
            .client
            .ask("lock backup", documents::LOCK_BACKUP, field, variables)
            .await
            .map_err(Error::from)?;
        Ok(handle.begun(Vec::new(), Some(id.to_owned())))
    }
}

fn native(backup: Backup) -> NativeSnapshot {
    NativeSnapshot {
        id: backup.id,
        name: backup.name.unwrap_or_default(),
        created_at: backup.created_at,
        expires_at: backup.expires_at,
        // What is listed can be restored; what is being made is not listed.
        state: NativeState::Ready,
        bytes: backup.used_mb.map(|mb| mb.saturating_mul(1_000_000)),
        // Railway does not tell what it has locked: a backup that somebody asked for never had an
        // expiry that could be gone. What was locked by us is in the book.
        protected: false,
        automatic: backup.schedule_id.is_some(),
    }
}
