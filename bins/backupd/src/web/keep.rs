//! Keeps what is served up to date: after every change of a run, and now and then.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backup::daemon::{Daemon, Loaded, remember_size, sizes};
use backup::ops::health::{GrowthPoint, forecast};
use backup_api::view::{self, Forecast, Growth, Repository};
use backup_core::{Result, Run, RunState};
use tokio::sync::{broadcast, watch};

use super::ledger::write;
use super::paint::{self, Facts};
use super::past::Past;
use super::{Bridge, Live, translate};

/// The space of the catalog that holds what was noted about runs.
pub(super) const NOTES: &str = "run notes";
/// Runs whose notes are kept.
const NOTED: usize = 1000;
/// So often everything is looked at while nothing happens.
const QUIET: Duration = Duration::from_secs(30);
/// So often it is looked at how far WAL is behind.
const STREAMS: Duration = Duration::from_secs(2);
/// So often the repository is measured.
const MEASURE: Duration = Duration::from_secs(3600);
/// Points of a growth chart.
const POINTS: usize = 400;

impl Bridge {
    pub(super) async fn new(daemon: Daemon, live: Arc<Live>) -> Self {
        let fleet = paint::fleet(&Facts::empty(&daemon), &Past::default());
        let repository = watch::Sender::new(unmeasured(&daemon.loaded()));
        let records = daemon.snapshots();
        let bridge = Self {
            daemon,
            live,
            fleet: watch::Sender::new(Arc::new(fleet)),
            records: watch::Sender::new(Arc::new(records)),
            repository,
            past: Mutex::default(),
        };
        bridge.remember().await;
        bridge.look_around().await;
        bridge
    }

    /// Goes on for ever.
    pub(crate) async fn keep(&self) {
        tokio::join!(self.keep_runs(), self.keep_fleet(), self.keep_streams(), self.keep_measure());
    }

    /// Tells how runs stand, and keeps the notes of those that ended.
    async fn keep_runs(&self) {
        let mut changes = self.daemon.changes();
        let kept = self.daemon.catalog().all(NOTES).await.unwrap_or_default();
        let mut noted: BTreeSet<String> = kept.into_iter().map(|(id, _)| id).collect();
        loop {
            match changes.recv().await {
                Ok(run) => {
                    // Whatever else has changed meanwhile is looked at once.
                    let mut changed = vec![self.changed(&run, &mut noted).await];
                    while let Ok(run) = changes.try_recv() {
                        changed.push(self.changed(&run, &mut noted).await);
                    }
                    self.look_around().await;
                    let now = self.daemon.clock().now();
                    changed.into_iter().for_each(|shown| self.live.tell_run(shown, now));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.remember().await,
                // The daemon ends.
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Notes how a run stands, and returns how it is shown.
    async fn changed(&self, run: &Run, noted: &mut BTreeSet<String>) -> view::Run {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).saw(run);
        let notes = self.live.notes(run.id);
        let shown = translate::run(run, notes.as_ref());
        if !shown.state.is_active()
            && let Some(notes) = notes
        {
            self.note(run, &notes, noted).await;
        }
        shown
    }

    /// Whether the configuration names a source of which the past was not read.
    fn is_new_to_somebody(&self) -> bool {
        let loaded = self.daemon.loaded();
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.settings.sources.iter().any(|source| past.of(&source.name).is_none())
    }

    /// Reads what is known of runs.
    async fn remember(&self) {
        let loaded = self.daemon.loaded();
        let sources: Vec<_> = loaded.settings.sources.iter().map(|s| s.name.clone()).collect();
        let now = self.daemon.clock().now();
        match Past::load(self.daemon.catalog().as_ref(), &sources, now).await {
            Ok(past) => *self.past.lock().unwrap_or_else(PoisonError::into_inner) = past,
            Err(error) => tracing::warn!(%error, "the catalog cannot be read"),
        }
    }

    async fn note(&self, run: &Run, notes: &super::live::Notes, noted: &mut BTreeSet<String>) {
        let id = run.id.to_string();
        let mut values = vec![(id.clone(), write(notes).ok())];
        noted.insert(id);
        while noted.len() > NOTED {
            values.extend(noted.pop_first().map(|oldest| (oldest, None)));
        }
        if let Err(error) = self.daemon.catalog().put(NOTES, &values).await {
            tracing::warn!(%error, run = %run.id, "the log of a run could not be kept");
        }
    }

    async fn keep_fleet(&self) {
        let mut standings = self.daemon.standings();
        loop {
            tokio::select! {
                changed = standings.changed() => if changed.is_err() { return },
                () = self.daemon.clock().sleep(QUIET) => {}
            }
            self.records.send_replace(Arc::new(self.daemon.snapshots()));
            let now = self.daemon.clock().now();
            self.past.lock().unwrap_or_else(PoisonError::into_inner).age(now);
            if self.is_new_to_somebody() {
                self.remember().await;
            }
            self.look_around().await;
            self.live.tell_fleet(self.daemon.clock().now());
        }
    }

    /// How far WAL is behind changes by the second; nothing else is put together for that.
    async fn keep_streams(&self) {
        loop {
            self.daemon.clock().sleep(STREAMS).await;
            let (streams, now) = (self.daemon.streams(), self.daemon.clock().now());
            if streams.is_empty() {
                continue;
            }
            self.fleet.send_modify(|fleet| {
                let fleet = Arc::make_mut(fleet);
                // Or what was stored just now would lie in the future.
                fleet.at = now;
                for source in &mut fleet.sources {
                    if let Some(stream) = streams.get(&source.name) {
                        source.wal = translate::wal(stream, now);
                        source.window = translate::continuous(stream).or(source.window.take());
                    }
                }
            });
        }
    }

    /// Puts everything together anew.
    async fn look_around(&self) {
        let mut facts = Facts::empty(&self.daemon);
        (facts.problems, facts.undelivered) = self.daemon.alerts().await;
        facts.records = self.records.borrow().clone();
        facts.repository = self.repository.borrow().clone();
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        self.fleet.send_replace(Arc::new(paint::fleet(&facts, &past)));
    }

    async fn keep_measure(&self) {
        loop {
            if let Err(error) = self.measure().await {
                tracing::debug!(%error, "the repository could not be measured");
            }
            let mut changes = self.daemon.changes();
            tokio::select! {
                () = self.daemon.clock().sleep(MEASURE) => {}
                () = ended(&mut changes) => {}
            }
        }
    }

    /// Measures the repository, and remembers one size a day.
    async fn measure(&self) -> Result<()> {
        let measured = self.daemon.measure().await?;
        let now = self.daemon.clock().now();
        let catalog = self.daemon.catalog();
        let catalog = catalog.as_ref();
        remember_size(catalog, GrowthPoint { at: now, stored_bytes: measured.bytes }).await?;
        let mut kept = sizes(catalog).await?;
        kept.drain(..kept.len().saturating_sub(POINTS));
        let available = measured.room.map(|room| room.available_bytes);
        self.repository.send_replace(unmeasured(&self.daemon.loaded()).map(|known| {
            Repository {
                measured_at: Some(now),
                stored_bytes: Some(measured.bytes),
                objects: Some(measured.packs),
                capacity_bytes: measured.room.map(|room| room.capacity_bytes),
                available_bytes: available,
                forecast: forecast(&kept, available, now).map(|line| Forecast {
                    bytes_a_day: line.bytes_a_day,
                    days: line.days,
                    full_at: line.full_at,
                }),
                growth: kept
                    .iter()
                    .map(|point| Growth { at: point.at, stored_bytes: point.stored_bytes })
                    .collect(),
                ..known
            }
        }));
        self.look_around().await;
        Ok(())
    }
}

/// The repository before it was measured; nothing where none is configured.
pub(super) fn unmeasured(loaded: &Loaded) -> Option<Repository> {
    let settings = loaded.settings.repository.as_ref()?;
    Some(Repository {
        name: "main".into(),
        location: settings.url.clone(),
        measured_at: None,
        stored_bytes: None,
        objects: None,
        source_bytes: None,
        unused_bytes: None,
        snapshots: 0,
        capacity_bytes: None,
        available_bytes: None,
        forecast: None,
        growth: Vec::new(),
        conditions: Vec::new(),
        problems: Vec::new(),
    })
}

/// Waits until some run has ended.
async fn ended(changes: &mut broadcast::Receiver<Run>) {
    loop {
        match changes.recv().await {
            Ok(run) if !matches!(run.state, RunState::Queued | RunState::Running) => return,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
        }
    }
}
