//! What can be asked.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Result, SnapshotId, SourceName};
use backup_ops::document::{ShowDocument, SnapshotDocument};
use futures::stream::BoxStream;

use super::Job;
use crate::view::{Fleet, LiveEvent, Plan, Run, RunDetail, RunState, SourceHistory};

/// What a daemon knows. Nothing here changes anything.
///
/// Contract: [`Facts::fleet`] is asked for on every page, scrape and probe, so it answers from
/// memory, within milliseconds and without touching the store or a database. Everything else may
/// read the catalog. Lists are newest first.
#[async_trait]
pub trait Facts: Send + Sync {
    /// Returns everything at one instant: each source, the storage, open alerts.
    async fn fleet(&self) -> Result<Arc<Fleet>>;

    /// Returns the days, drills and recoverable ranges of one source; `NotFound` when there is
    /// no such source.
    async fn history(&self, source: &SourceName) -> Result<SourceHistory>;

    /// Returns snapshots, newest first.
    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<SnapshotDocument>>;

    /// Returns what the manifest of one snapshot says; `NotFound` when there is none.
    async fn snapshot(&self, id: &SnapshotId) -> Result<ShowDocument>;

    /// Returns runs, newest first; those that wait or run come before all that ended.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>>;

    /// Returns one run with its phases and its log; `NotFound` when there is none.
    async fn run(&self, id: &str) -> Result<RunDetail>;

    /// Returns what retention and prune would do to a source now; changes nothing.
    async fn plan(&self, source: &SourceName) -> Result<Plan>;

    /// Returns what happens from now on. A subscriber that is too slow misses events rather
    /// than slowing the daemon; the stream ends when the daemon stops.
    fn subscribe(&self) -> BoxStream<'static, LiveEvent>;
}

/// Which snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// Of one source only.
    pub source: Option<SourceName>,
    /// At most so many.
    pub limit: usize,
    /// After so many.
    pub offset: usize,
}

/// Which runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFilter {
    /// Of one source only.
    pub source: Option<SourceName>,
    /// Of one job only.
    pub job: Option<Job>,
    /// In one state only.
    pub state: Option<RunState>,
    /// At most so many.
    pub limit: usize,
    /// After so many.
    pub offset: usize,
}
