//! Keeps what is served up to date: after every change of a run, and now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backup::daemon::Daemon;
use backup_api::view::{Forecast, Growth, Repository};
use backup_core::port::RunFilter;
use backup_core::{Result, Run, RunState};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, watch};

use super::ledger::{read, write};
use super::paint::{self, Facts};
use super::{Bridge, Live, translate};

/// The space of the catalog that holds what was noted about runs.
pub(super) const NOTES: &str = "run notes";
const SIZES: &str = "repository sizes";
/// Runs whose notes are kept.
const NOTED: usize = 1000;
/// So often everything is looked at while nothing happens.
const QUIET: Duration = Duration::from_secs(30);
/// So often the repository is measured.
const MEASURE: Duration = Duration::from_secs(3600);
/// Points of a growth chart, and how far back the forecast looks.
const POINTS: usize = 400;
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Runs looked at for strips and rates: ninety days of a busy fleet.
const LOOKED_AT: u32 = 100_000;

impl Bridge {
    pub(super) async fn new(daemon: Daemon, live: Arc<Live>) -> Self {
        let fleet = paint::fleet(&Facts::empty(&daemon));
        let bridge = Self {
            daemon,
            live,
            fleet: watch::Sender::new(Arc::new(fleet)),
            records: watch::Sender::default(),
            repository: watch::Sender::default(),
        };
        bridge.look_around().await;
        bridge
    }

    /// Goes on for ever.
    pub(super) async fn keep(&self) {
        tokio::join!(self.keep_runs(), self.keep_fleet(), self.keep_measure());
    }

    /// Tells how runs stand, and keeps the notes of those that ended.
    async fn keep_runs(&self) {
        let mut changes = self.daemon.changes();
        let kept = self.daemon.catalog().all(NOTES).await.unwrap_or_default();
        let mut noted: BTreeSet<String> = kept.into_iter().map(|(id, _)| id).collect();
        loop {
            match changes.recv().await {
                Ok(run) => {
                    let notes = self.live.notes(run.id);
                    let shown = translate::run(&run, notes.as_ref());
                    if !shown.state.is_active()
                        && let Some(notes) = notes
                    {
                        self.note(&run, &notes, &mut noted).await;
                    }
                    self.look_around().await;
                    self.live.tell_run(shown, self.daemon.clock().now());
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                // The daemon ends.
                Err(broadcast::error::RecvError::Closed) => return,
            }
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
            match self.daemon.snapshots().await {
                Ok(records) => {
                    self.records.send_replace(Arc::new(records));
                }
                // Said by the daemon itself, as a problem.
                Err(error) => tracing::debug!(%error, "snapshots could not be read"),
            }
            self.look_around().await;
            self.live.tell_fleet(self.daemon.clock().now());
        }
    }

    /// Puts everything together anew.
    async fn look_around(&self) {
        match self.gather().await {
            Ok(facts) => {
                self.fleet.send_replace(Arc::new(paint::fleet(&facts)));
            }
            Err(error) => tracing::warn!(%error, "the catalog cannot be read"),
        }
    }

    async fn gather(&self) -> Result<Facts> {
        let mut facts = Facts::empty(&self.daemon);
        let since = facts.now.checked_sub(SignedDuration::from_hours(90 * 24)).ok();
        let filter = RunFilter { since, limit: Some(LOOKED_AT), ..RunFilter::default() };
        facts.runs = self.daemon.catalog().runs(&filter).await?;
        for source in &facts.loaded.settings.sources {
            let of_source = RunFilter { source: Some(source.name.clone()), ..RunFilter::default() };
            for kind in backup_core::JobKind::ALL {
                let wanted = RunFilter { kind: Some(kind), ..of_source.clone() };
                let counts = self.daemon.catalog().count(&wanted).await?;
                facts.totals.push((source.name.clone(), kind, counts));
            }
        }
        (facts.problems, facts.undelivered) = self.daemon.alerts().await;
        facts.records = self.records.borrow().clone();
        facts.repository = self.repository.borrow().clone();
        Ok(facts)
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
        let today = now.strftime("%Y-%m-%d").to_string();
        let point = Growth { at: now, stored_bytes: measured.bytes };
        catalog.put(SIZES, &[(today, Some(write(&point)?))]).await?;
        let kept = catalog.all(SIZES).await?;
        let points: Result<Vec<Growth>> = kept.iter().map(|(_, text)| read(text)).collect();
        let mut growth = points?;
        growth.drain(..growth.len().saturating_sub(POINTS));
        let url = self.daemon.loaded().settings.repository.as_ref().map(|r| r.url.clone());
        let available = measured.room.map(|(_, free)| free);
        self.repository.send_replace(Some(Repository {
            name: "main".into(),
            location: url.unwrap_or_default(),
            measured_at: Some(now),
            stored_bytes: Some(measured.bytes),
            objects: Some(measured.packs),
            source_bytes: None,
            unused_bytes: None,
            snapshots: 0,
            capacity_bytes: measured.room.map(|(all, _)| all),
            available_bytes: available,
            forecast: forecast(&growth, available, now),
            growth,
            problems: Vec::new(),
        }));
        self.look_around().await;
        Ok(())
    }
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

/// A straight line through the last weeks; needs three days at least.
fn forecast(growth: &[Growth], available: Option<u64>, now: Timestamp) -> Option<Forecast> {
    let begin = now.checked_sub(LOOK_BACK).ok()?;
    let recent: Vec<_> = growth.iter().filter(|point| point.at >= begin).collect();
    let first = recent.first()?.at;
    let days = |at: Timestamp| at.duration_since(first).as_secs_f64() / 86_400.0;
    let span = days(recent.last()?.at);
    if recent.len() < 3 || span < 2.0 {
        return None;
    }
    let count = recent.len() as f64;
    let mean_x = recent.iter().map(|p| days(p.at)).sum::<f64>() / count;
    let mean_y = recent.iter().map(|p| p.stored_bytes as f64).sum::<f64>() / count;
    let both = |p: &&&Growth| (days(p.at) - mean_x) * (p.stored_bytes as f64 - mean_y);
    let slope = recent.iter().map(|p| both(&p)).sum::<f64>()
        / recent.iter().map(|p| (days(p.at) - mean_x).powi(2)).sum::<f64>();
    let left = available.filter(|_| slope > 0.0).map(|free| free as f64 / slope * 86_400.0);
    // Centuries away is never.
    let left = left.filter(|seconds| *seconds < 100.0 * 365.0 * 86_400.0);
    let full_at = left.and_then(|s| now.checked_add(SignedDuration::from_secs_f64(s)).ok());
    Some(Forecast { bytes_a_day: slope, days: span, full_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64, bytes: u64) -> Growth {
        let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Growth { at: first + SignedDuration::from_hours(24 * number), stored_bytes: bytes }
    }

    #[test]
    fn a_line_needs_days_and_says_when_it_is_full() {
        let growth: Vec<_> = (0..10).map(|n| day(n, 1000 + 100 * n as u64)).collect();
        let now = growth[9].at;
        assert!(forecast(&growth[..2], Some(500), now).is_none());
        let line = forecast(&growth, Some(500), now).unwrap();
        assert!((line.bytes_a_day - 100.0).abs() < 1e-6);
        let full_in = line.full_at.unwrap().duration_since(now).as_secs_f64() / 86_400.0;
        assert!((full_in - 5.0).abs() < 1e-3, "{full_in}");
        let shrinking: Vec<_> = (0..10).map(|n| day(n, 2000 - 100 * n as u64)).collect();
        assert_eq!(forecast(&shrinking, Some(500), now).unwrap().full_at, None);
    }
}
