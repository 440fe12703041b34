//! What the daemon knows.

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use backup::daemon::Daemon;
use backup::ops::document::{ForgetDocument, ShowDocument, SnapshotDocument};
use backup_api::port::{Facts, RunFilter, SnapshotFilter};
use backup_api::view::{Fleet, Gap, LiveEvent, Plan, Run, RunDetail, SourceHistory, Window};
use backup_core::{Error, ErrorKind, HeadRecord, Result, SnapshotId, SourceName};
use futures::stream::BoxStream;

use super::{Bridge, gaps, paint, recorded, translate};

/// Snapshots a history shows.
const SHOWN: usize = 400;

#[async_trait]
impl Facts for Bridge {
    async fn fleet(&self) -> Result<Arc<Fleet>> {
        Ok(self.fleet.borrow().clone())
    }

    async fn history(&self, source: &SourceName) -> Result<SourceHistory> {
        self.known(source)?;
        let records = self.records.borrow().clone();
        let mut own = of(&records, source);
        own.reverse();
        let drills = self.daemon.drills(source).await?;
        let own = own.get(own.len().saturating_sub(SHOWN)..).unwrap_or_default();
        Ok(SourceHistory {
            source: source.clone(),
            windows: windows(&self.daemon, source, own),
            gaps: self.gaps(source, own),
            snapshots: own.iter().map(|record| SnapshotDocument::of(record)).collect(),
            sizes: own.iter().map(|record| paint::size(record)).collect(),
            drills: drills.iter().map(translate::held).collect(),
        })
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<SnapshotDocument>> {
        let records = self.records.borrow().clone();
        let mut wanted: Vec<&HeadRecord> = match &filter.source {
            Some(source) => {
                self.known(source)?;
                of(&records, source)
            }
            None => records.iter().collect(),
        };
        wanted.sort_by_key(|record| Reverse((record.snapshot.started_at, record.snapshot.id)));
        let page = wanted.into_iter().skip(filter.offset).take(filter.limit);
        Ok(page.map(SnapshotDocument::of).collect())
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<ShowDocument> {
        let records = self.records.borrow().clone();
        if !records.iter().any(|record| record.snapshot.id == *id) {
            return Err(missing("snapshot", &id.to_string()));
        }
        Ok(ShowDocument::new(&self.daemon.snapshot(*id).await?))
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        if let Some(source) = &filter.source {
            self.known(source)?;
        }
        recorded::runs(self.daemon.catalog(), &self.live, filter).await
    }

    async fn run(&self, id: &str) -> Result<RunDetail> {
        recorded::run(self.daemon.catalog(), &self.live, id).await
    }

    async fn plan(&self, source: &SourceName) -> Result<Plan> {
        self.known(source)?;
        let loaded = self.daemon.loaded();
        let settings = loaded.settings.source(source.as_str())?;
        let now = self.daemon.clock().now();
        let records = self.records.borrow().clone();
        // What belongs to a set with other sources' goes, or stays, together with that.
        let rules = |name: &SourceName| {
            let other = || loaded.settings.source(name.as_str()).ok();
            let own = if name == source { Some(settings) } else { other() };
            own.filter(|own| name == source || !own.retention.is_empty()).map(|own| {
                backup::ops::forget::Retention {
                    policy: own.retention,
                    zone: loaded.settings.zone.clone(),
                    required: own.protection.level,
                }
            })
        };
        let passed = self.daemon.passed_sets(&records).await?;
        let mut plans = backup::ops::forget::plan(&records, &passed, rules, now);
        plans.retain(|plan| plan.source.as_ref() == Some(source));
        let document = ForgetDocument::planned(&plans, true);
        Ok(Plan {
            at: now,
            source: source.clone(),
            decisions: document.decisions,
            warnings: document.warnings,
            prune: None,
        })
    }

    fn subscribe(&self) -> BoxStream<'static, LiveEvent> {
        self.live.stream()
    }
}

impl Bridge {
    /// The holes in what can be brought back, oldest first; `own` is oldest first.
    fn gaps(&self, source: &SourceName, own: &[&HeadRecord]) -> Vec<Gap> {
        let now = self.daemon.clock().now();
        if let Some(stream) = self.daemon.streams().get(source)
            && !gaps::ranges(stream).is_empty()
        {
            return gaps::between(stream, now);
        }
        let good = own.iter().filter(|record| !record.snapshot.is_suspect());
        let good: Vec<_> = good.map(|record| record.snapshot.started_at).collect();
        let fleet = self.fleet.borrow().clone();
        let days = fleet.source(source.as_str()).map(|source| source.days.as_slice());
        gaps::missed(days.unwrap_or_default(), &good, now)
    }

    /// `NotFound` when there is no such source.
    pub(super) fn known(&self, source: &SourceName) -> Result<()> {
        match self.fleet.borrow().source(source.as_str()) {
            Some(_) => Ok(()),
            None => Err(missing("source", source.as_str())),
        }
    }
}

/// The ranges that can be brought back, oldest first: with WAL any instant, else those of
/// snapshots.
fn windows(daemon: &Daemon, source: &SourceName, own: &[&HeadRecord]) -> Vec<Window> {
    let continuous = daemon.streams().get(source).map(gaps::ranges).unwrap_or_default();
    if continuous.is_empty() {
        return paint::window(own).into_iter().collect();
    }
    continuous
}

/// The snapshots of a source, newest first.
pub(super) fn of<'a>(records: &'a [HeadRecord], source: &SourceName) -> Vec<&'a HeadRecord> {
    let mut own: Vec<_> = records.iter().filter(|r| r.snapshot.source == *source).collect();
    own.sort_by_key(|record| Reverse((record.snapshot.sequence, record.stored_at)));
    own
}

fn missing(what: &'static str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("find {what}")).with(what, name.escape_debug())
}
