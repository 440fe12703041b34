//! The worker: one run on the repository, leased, watched, told.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use backup_config::Settings;
use backup_core::port::{Catalog, Clock, Observer};
use backup_core::{Error, ErrorKind, Event, JobKey, JobKind, Result, RunId, RunPhase, VerifyLevel};
use backup_ops::Interrupt;
use backup_ops::daemon::{Order, Report, Verdict, Worker};
use backup_repository::Repository;
use futures::FutureExt;

use super::alerts::Voice;
use super::guard::{Guard, LEASE, Movement, panicked, while_leased};
use super::natives::Natives;
use crate::Composer;

/// A configuration, and what builds what it describes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Builds what they describe.
    pub composer: Composer,
}

/// Is told what happens inside runs.
pub type Feed = Arc<dyn Fn(RunId, &Event) + Send + Sync>;

pub(super) struct Work {
    pub(super) loaded: RwLock<Arc<Loaded>>,
    pub(super) repository: Repository,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) voice: Voice,
    pub(super) feed: Feed,
    /// What vendors said.
    pub(super) natives: Natives,
    /// Who takes leases.
    pub(super) holder: String,
}

impl Work {
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs that begin from now on go by this configuration.
    pub(super) fn load(&self, loaded: Loaded) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
    }

    async fn leased(&self, task: &Task<'_>, report: &mut Report) -> Result<Verdict> {
        let name = task.order.key.to_string();
        let lease = task.guard.asked.unless(self.repository.lease(&name, &self.holder, LEASE));
        let lease = match lease.await {
            Ok(lease) => lease,
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(Verdict::HeldElsewhere),
            // Nothing can be agreed on in such a store; one daemon is all there may be.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::debug!(%error, "this run is not leased");
                return self.step(task, report).await;
            }
            Err(error) => return Err(error),
        };
        let work = Box::pin(async {
            if self.done_elsewhere(task.order).await? {
                return Ok(Verdict::DoneElsewhere);
            }
            self.step(task, report).await
        });
        while_leased(lease, &self.clock, work).await
    }

    /// Whether another daemon has served this due time while this one waited for the lease.
    async fn done_elsewhere(&self, order: &Order) -> Result<bool> {
        let (Some(due), Some(source)) = (order.due, &order.key.source) else { return Ok(false) };
        if let Some(group) = crate::group(&self.loaded().settings, source) {
            return self.group_done_elsewhere(order, group).await;
        }
        match order.key.kind {
            _ if !self.repository.can_read() => return Ok(false),
            JobKind::Backup => {}
            JobKind::Drill | JobKind::PointDrill | JobKind::DisasterDrill => {
                return match self.followed(order).await? {
                    Some(held) => Ok(held),
                    None => self.drilled_since(order.key.kind, source, due).await,
                };
            }
            _ => return Ok(false),
        }
        let records = self.repository.scan_heads().await?.records;
        // One that was committed and, the daemon being stopped, never proved is not done.
        let loaded = self.loaded();
        let protection = loaded.settings.source(source.as_str())?.protection;
        let asked = protection.level.min(VerifyLevel::Read);
        Ok(records.iter().any(|record| {
            let snapshot = &record.snapshot;
            snapshot.source == *source
                && snapshot.started_at >= due
                && !snapshot.is_suspect()
                && record.verified.level >= asked
        }))
    }

    async fn step(&self, task: &Task<'_>, report: &mut Report) -> Result<Verdict> {
        let source = || {
            task.order.key.source.clone().ok_or_else(|| {
                Error::new(ErrorKind::Usage, "run job")
                    .with("job", &task.order.key)
                    .hint("Name a source.")
            })
        };
        let settings = &task.loaded.settings;
        let name = task.order.key.source.as_ref();
        if let Some(group) = name.and_then(|name| crate::group(settings, name)) {
            return match task.order.key.kind {
                JobKind::Backup => self.backup_group(task, group, report).await,
                JobKind::Drill => Box::pin(self.drill_group(task, group, report)).await,
                kind => Err(Error::new(ErrorKind::Unsupported, "run job of group")
                    .with("job", kind.as_str())
                    .hint("Ask for it of a member.")),
            };
        }
        match task.order.key.kind {
            JobKind::Backup => self.backup(task, &source()?, report).await,
            JobKind::Native => self.native(task, &source()?, report).await,
            JobKind::Verify => self.verify(task, &source()?, report).await,
            JobKind::Drill | JobKind::PointDrill | JobKind::DisasterDrill => {
                self.drill(task, &source()?, report).await
            }
            JobKind::Forget => self.forget(task, &source()?, report).await,
            JobKind::Prune => self.prune(task, report).await,
        }
    }
}

/// What every step needs.
pub(super) struct Task<'a> {
    pub(super) order: &'a Order,
    pub(super) loaded: &'a Loaded,
    pub(super) guard: Guard<'a>,
    pub(super) observer: Arc<dyn Observer>,
}

#[async_trait]
impl Worker for Work {
    async fn work(&self, order: &Order, interrupt: &Interrupt) -> Report {
        let loaded = self.loaded();
        let phases = Phases::new(order.run, Arc::clone(&self.feed), Arc::clone(&self.clock));
        let movement =
            Movement::new(Arc::clone(&phases) as Arc<dyn Observer>, Arc::clone(&self.clock));
        let task = Task {
            order,
            loaded: &loaded,
            guard: Guard {
                clock: &self.clock,
                asked: interrupt,
                movement: &movement,
                stall: loaded.settings.daemon.stall_timeout.as_duration(),
            },
            observer: Arc::clone(&movement) as Arc<dyn Observer>,
        };
        let mut report = Report::from(Ok(Verdict::Good));
        tracing::info!(run = %order.run, job = %order.key, why = order.trigger.as_str(), "run begins");
        let working = AssertUnwindSafe(Box::pin(self.leased(&task, &mut report)));
        let worked = working.catch_unwind().await;
        report.result = worked.unwrap_or_else(|panic| Err(panicked("finish run", &*panic)));
        report.phases = phases.take();
        self.note(&order.key, &report).await;
        report
    }
}

impl Work {
    /// Logs how a run ended and tells of it. An orderly stop is no news.
    async fn note(&self, key: &JobKey, report: &Report) {
        match &report.result {
            Ok(verdict) => tracing::info!(job = %key, ?verdict, "run ended"),
            Err(error) => {
                tracing::error!(job = %key, %error, hint = error.remedy(), "run failed");
                if !matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) {
                    self.voice.failed(key, error, self.clock.now()).await;
                }
            }
        }
    }
}

/// Measures phases and passes events on.
struct Phases {
    run: RunId,
    feed: Feed,
    clock: Arc<dyn Clock>,
    begun: Mutex<Vec<(String, Duration)>>,
}

impl Phases {
    fn new(run: RunId, feed: Feed, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { run, feed, clock, begun: Mutex::default() })
    }

    fn take(&self) -> Vec<RunPhase> {
        let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
        let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([self.clock.elapsed()]);
        let ends: Vec<Duration> = ends.collect();
        begun
            .into_iter()
            .zip(ends)
            .map(|((name, at), end)| RunPhase {
                name,
                seconds: end.saturating_sub(at).as_secs_f64(),
            })
            .collect()
    }
}

impl Observer for Phases {
    fn on_event(&self, event: &Event) {
        if let Event::PhaseStarted { phase } = event {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            // An engine that goes back and forth between phases must not fill the memory.
            if begun.len() < 200 {
                begun.push((phase.clone(), self.clock.elapsed()));
            }
        }
        (self.feed)(self.run, event);
    }
}
