//! What programs built around a daemon look at: its memory, its settings, its snapshots.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use backup_core::port::{Catalog, Clock, OpenProblem};
use backup_core::{HeadRecord, Result, Run, RunId, SetId, SnapshotId, SnapshotRecord};
use backup_ops::SourceStatus;
use backup_ops::alerting::Undelivered;
use backup_ops::group::GroupStatus;
use backup_ops::health::{RepositoryHealth, Room};
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use super::start::Daemon;
use super::work::Loaded;

impl Daemon {
    /// Returns which of the recovery sets among these snapshots passed their drills.
    pub async fn passed_sets(&self, records: &[HeadRecord]) -> Result<BTreeSet<SetId>> {
        backup_ops::forget::passed_sets(&self.inner.work.repository, records).await
    }

    /// Returns the memory of runs.
    #[must_use]
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.inner.catalog
    }

    /// Returns the directory that is its own.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.state.path
    }

    /// Returns the clock it goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Returns the configuration in force.
    #[must_use]
    pub fn loaded(&self) -> Arc<Loaded> {
        self.inner.work.loaded()
    }

    /// Returns when it started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.inner.started_at
    }

    /// Returns how the sources stand; it changes whenever they were judged anew.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Arc<Vec<SourceStatus>>> {
        self.inner.scene.sources.subscribe()
    }

    /// Returns how the groups stand.
    #[must_use]
    pub fn group_standings(&self) -> Arc<Vec<GroupStatus>> {
        self.inner.scene.groups.borrow().clone()
    }

    /// Returns how the repository stands; nothing until it was looked at.
    #[must_use]
    pub fn repository_health(&self) -> Option<Arc<RepositoryHealth>> {
        self.inner.scene.repository.borrow().clone()
    }

    /// Returns every change of every run from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Run> {
        self.inner.scene.changes.subscribe()
    }

    /// Returns the snapshots of the repository in short, as they were when it was listed last;
    /// none where this host cannot read them.
    #[must_use]
    pub fn snapshots(&self) -> Vec<HeadRecord> {
        self.inner.work.repository.known_heads()
    }

    /// Reads one snapshot; `NotFound` when there is none of that id.
    pub async fn snapshot(&self, id: SnapshotId) -> Result<SnapshotRecord> {
        self.inner.work.repository.snapshot(id).await
    }

    /// Returns what is wrong with the repository as far as is known, a sentence each.
    #[must_use]
    pub fn repository_problems(&self) -> Vec<String> {
        self.inner.scene.repository_problems()
    }

    /// Measures the repository; that it could not be is one of its problems until it can.
    pub async fn measure(&self) -> Result<Measured> {
        let contents = self.inner.work.repository.contents().await;
        let failed =
            contents.as_ref().err().map(|error| format!("It cannot be measured: {error}."));
        // A host that only writes has nothing to measure by; that is no fault of the repository.
        let failed = failed.filter(|_| self.inner.work.repository.can_read());
        self.inner.scene.note(|problems| problems.measuring = failed);
        let contents = contents?;
        let loaded = self.inner.work.loaded();
        let url = loaded.settings.repository.as_ref().map(|repository| repository.url.as_str());
        Ok(Measured {
            packs: contents.stored.len() as u64,
            bytes: contents.stored.values().sum(),
            room: url.and_then(crate::machine::room),
        })
    }

    /// Returns the problems people are told about, and what could not be told.
    pub async fn alerts(&self) -> (Vec<OpenProblem>, Vec<Undelivered>) {
        let desk = self.inner.work.voice.desk();
        (desk.problems().await, desk.undelivered().await)
    }

    /// Asks a run to stop; `NotFound` when none of that id waits or runs.
    pub async fn cancel(&self, run: RunId, actor: Option<String>) -> Result<Run> {
        self.inner.handle.cancel(run, actor).await
    }
}

/// What a repository takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Packs in the store.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the disk it is on, and those that are free; absent for other stores.
    pub room: Option<Room>,
}
