//! What the server asks: the lobby until the repository is open, the daemon from then on.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup::ops::document::{ShowDocument, SnapshotDocument};
use backup_api::port::{Actions, Facts, RestoreQuestion, RunFilter, SnapshotFilter, Trigger};
use backup_api::view::{Fleet, LiveEvent, Plan, RestorePreview, Run, RunDetail, SourceHistory};
use backup_core::{Result, SnapshotId, SourceName};
use futures::stream::BoxStream;

use super::lobby::Lobby;
use super::{Bridge, Live, recorded};

/// Everything the server asks.
pub(crate) struct Front {
    lobby: Lobby,
    live: Arc<Live>,
    bridge: OnceLock<Arc<Bridge>>,
}

impl Front {
    pub(super) fn new(lobby: Lobby, live: Arc<Live>) -> Self {
        Self { lobby, live, bridge: OnceLock::new() }
    }

    /// From now on the daemon answers.
    pub(super) fn open(&self, bridge: Arc<Bridge>) {
        // It opens once.
        let _ = self.bridge.set(bridge);
    }

    fn bridge(&self, what: &'static str) -> Result<&Bridge> {
        self.bridge.get().map(Arc::as_ref).ok_or_else(|| self.lobby.refusal(what))
    }
}

#[async_trait]
impl Facts for Front {
    async fn fleet(&self) -> Result<Arc<Fleet>> {
        match self.bridge.get() {
            Some(bridge) => bridge.fleet().await,
            None => Ok(self.lobby.fleet().await),
        }
    }

    async fn history(&self, source: &SourceName) -> Result<SourceHistory> {
        self.bridge("read history")?.history(source).await
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<SnapshotDocument>> {
        self.bridge("list snapshots")?.snapshots(filter).await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<ShowDocument> {
        self.bridge("read snapshot")?.snapshot(id).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        match self.bridge.get() {
            Some(bridge) => bridge.runs(filter).await,
            None => recorded::runs(self.lobby.unopened().catalog(), &self.live, filter).await,
        }
    }

    async fn run(&self, id: &str) -> Result<RunDetail> {
        match self.bridge.get() {
            Some(bridge) => bridge.run(id).await,
            None => recorded::run(self.lobby.unopened().catalog(), &self.live, id).await,
        }
    }

    async fn plan(&self, source: &SourceName) -> Result<Plan> {
        self.bridge("plan retention")?.plan(source).await
    }

    fn subscribe(&self) -> BoxStream<'static, LiveEvent> {
        self.live.stream()
    }
}

#[async_trait]
impl Actions for Front {
    async fn trigger(&self, trigger: &Trigger) -> Result<Run> {
        self.bridge("start run")?.trigger(trigger).await
    }

    async fn cancel(&self, run: &str) -> Result<Run> {
        self.bridge("cancel run")?.cancel(run).await
    }

    async fn preview_restore(&self, question: &RestoreQuestion) -> Result<RestorePreview> {
        self.bridge("preview restore")?.preview_restore(question).await
    }
}
