//! What it knows.

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use backup_api::port::{Facts, RunFilter, SnapshotFilter};
use backup_api::view::{Fleet, LiveEvent, Plan, Run, RunDetail, SourceHistory};
use backup_core::{Result, SnapshotId, SourceName};
use backup_ops::document::{ShowDocument, SnapshotDocument};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::BoxStream;

use super::{World, missing};

#[async_trait]
impl Facts for World {
    async fn fleet(&self) -> Result<Arc<Fleet>> {
        Ok(self.lock().fleet.clone())
    }

    async fn history(&self, source: &SourceName) -> Result<SourceHistory> {
        let state = self.lock();
        state.known(source)?;
        Ok(state.histories.get(source).cloned().unwrap_or_else(|| SourceHistory {
            source: source.clone(),
            windows: Vec::new(),
            gaps: Vec::new(),
            snapshots: Vec::new(),
            sizes: Vec::new(),
            drills: Vec::new(),
        }))
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<SnapshotDocument>> {
        let state = self.lock();
        if let Some(source) = &filter.source {
            state.known(source)?;
        }
        let mut found: Vec<_> = state
            .snapshots
            .iter()
            .filter(|snapshot| {
                filter.source.as_ref().is_none_or(|source| source.as_str() == snapshot.source)
            })
            .cloned()
            .collect();
        found.sort_by_key(|snapshot| Reverse((snapshot.started_at, snapshot.id.clone())));
        Ok(found.into_iter().skip(filter.offset).take(filter.limit).collect())
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<ShowDocument> {
        let id = id.to_string();
        let state = self.lock();
        let found = state.snapshots.iter().find(|snapshot| snapshot.id == id);
        Ok(ShowDocument {
            schema: "backupctl.show.v1".into(),
            snapshot: found.cloned().ok_or_else(|| missing("snapshot", &id))?,
            tables: Vec::new(),
            facts: std::collections::BTreeMap::new(),
        })
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let state = self.lock();
        if let Some(source) = &filter.source {
            state.known(source)?;
        }
        let mut found: Vec<Run> = state
            .runs
            .values()
            .map(|detail| &detail.run)
            .filter(|run| filter.source.is_none() || run.source == filter.source)
            .filter(|run| filter.job.is_none_or(|job| run.job == job))
            .filter(|run| filter.state.is_none_or(|state| run.state == state))
            .cloned()
            .collect();
        found.sort_by_key(|run| Reverse((run.state.is_active(), run.queued_at, run.id.clone())));
        Ok(found.into_iter().skip(filter.offset).take(filter.limit).collect())
    }

    async fn run(&self, id: &str) -> Result<RunDetail> {
        self.lock().runs.get(id).cloned().ok_or_else(|| missing("run", id))
    }

    async fn plan(&self, source: &SourceName) -> Result<Plan> {
        let state = self.lock();
        state.known(source)?;
        Ok(state.plans.get(source).cloned().unwrap_or_else(|| Plan {
            at: state.now,
            source: source.clone(),
            decisions: Vec::new(),
            warnings: vec!["There is no snapshot.".into()],
            prune: None,
        }))
    }

    fn subscribe(&self) -> BoxStream<'static, LiveEvent> {
        let (sender, receiver) = mpsc::channel(256);
        self.lock().listeners.push(sender);
        receiver.boxed()
    }
}
