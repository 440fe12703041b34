//! What the daemon knows.

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use backup::daemon::Daemon;
use backup::ops::document::{ForgetDocument, ShowDocument, SnapshotDocument};
use backup_api::port::{Facts, RunFilter, SnapshotFilter};
use backup_api::view::{Fleet, LiveEvent, Plan, Run, RunDetail, SourceHistory, Window};
use backup_core::port::RunFilter as CoreFilter;
use backup_core::{Error, ErrorKind, HeadRecord, Result, RunId, SnapshotId, SourceName};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::live::Notes;
use super::{Bridge, ledger, paint, translate};

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
            gaps: Vec::new(),
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
        let most = u32::try_from(filter.offset.saturating_add(filter.limit)).unwrap_or(u32::MAX);
        let mut runs = Vec::new();
        for kind in translate::kinds(filter.job) {
            let wanted = CoreFilter {
                source: filter.source.clone(),
                kind: *kind,
                state: filter.state.map(translate::core_state),
                limit: Some(most),
                ..CoreFilter::default()
            };
            runs.extend(self.daemon.catalog().runs(&wanted).await?);
        }
        let active = |run: &backup_core::Run| translate::state(run.state).is_active();
        runs.sort_by_key(|run| Reverse((active(run), run.id)));
        let page = runs.iter().skip(filter.offset).take(filter.limit);
        Ok(page.map(|run| translate::run(run, self.live.notes(run.id).as_ref())).collect())
    }

    async fn run(&self, id: &str) -> Result<RunDetail> {
        let parsed: RunId = id.parse().map_err(|_| missing("run", id))?;
        let run = self.daemon.catalog().run(parsed).await?.ok_or_else(|| missing("run", id))?;
        let notes = match self.live.notes(parsed) {
            Some(notes) => Some(notes),
            None => {
                let kept = self.daemon.catalog().get(super::keep::NOTES, id).await?;
                kept.map(|text| ledger::read::<Notes>(&text)).transpose()?
            }
        };
        let shown = translate::run(&run, notes.as_ref());
        let (phases, log) = notes.map(|notes| (notes.phases, notes.log)).unwrap_or_default();
        let phases = if phases.is_empty() { translate::phases(&run) } else { phases };
        Ok(RunDetail { run: shown, phases, log })
    }

    async fn plan(&self, source: &SourceName) -> Result<Plan> {
        self.known(source)?;
        let loaded = self.daemon.loaded();
        let settings = loaded.settings.source(source.as_str())?;
        let now = self.daemon.clock().now();
        let records = self.records.borrow().clone();
        let rules = |name: &SourceName| {
            (name == source).then(|| backup::ops::forget::Retention {
                policy: settings.retention,
                zone: loaded.settings.zone.clone(),
                required: settings.protection.level,
            })
        };
        let plans = backup::ops::forget::plan(&records, rules, now);
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
        let events = self.live.subscribe();
        stream::unfold(events, |mut events| async move {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}

impl Bridge {
    /// `NotFound` when there is no such source.
    pub(super) fn known(&self, source: &SourceName) -> Result<()> {
        match self.fleet.borrow().source(source.as_str()) {
            Some(_) => Ok(()),
            None => Err(missing("source", source.as_str())),
        }
    }
}

/// The ranges that can be brought back: with WAL any instant, else those of snapshots.
fn windows(daemon: &Daemon, source: &SourceName, own: &[&HeadRecord]) -> Vec<Window> {
    let stream = daemon.streams().get(source).and_then(translate::continuous);
    stream.or_else(|| paint::window(own)).into_iter().collect()
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
