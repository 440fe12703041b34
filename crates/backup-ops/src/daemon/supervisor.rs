//! The loop: what is due begins, what ended is remembered, who asks is heard.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Catalog, Clock};
use backup_core::{Error, ErrorKind, JobKey, Result, Run, RunId, RunState, Trigger};
use backup_schedule::{Ending, Plan, Request, Scheduler, Start};
use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};

use super::handle::{Command, Commands};
use super::{Board, Memory, Order, Report, RunIds, Verdict, Watcher, Worker};
use crate::document::retry_safe;
use crate::interrupt::{Interrupt, Interrupter, interrupt};

/// Looked at least so often, because clocks are set and machines sleep.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a supervisor is made of.
pub struct Setup {
    /// What is due when, with what was [recovered](super::recover).
    pub scheduler: Scheduler,
    /// Runs that were asked for before and have not begun.
    pub queued: Vec<Run>,
    /// What remembers.
    pub catalog: Arc<dyn Catalog>,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// Who works.
    pub worker: Arc<dyn Worker>,
    /// Who watches.
    pub watcher: Arc<dyn Watcher>,
    /// What names runs.
    pub ids: RunIds,
    /// How long runs have to stop when it stops.
    pub patience: Duration,
}

/// Runs jobs until it is asked to stop.
pub struct Supervisor {
    scheduler: Scheduler,
    memory: Memory,
    clock: Arc<dyn Clock>,
    worker: Arc<dyn Worker>,
    watcher: Arc<dyn Watcher>,
    ids: RunIds,
    patience: Duration,
    running: BTreeMap<RunId, Active>,
    queued: BTreeMap<RunId, Run>,
    tasks: JoinSet<(RunId, Report)>,
    names: HashMap<Id, RunId>,
    stopping: bool,
}

struct Active {
    run: Run,
    interrupter: Interrupter,
    cancelled: bool,
}

impl Supervisor {
    /// Takes everything in; nothing starts yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut scheduler = setup.scheduler;
        let mut queued = BTreeMap::new();
        for run in setup.queued {
            let request = Request { at: run.started_at, run: run.id, actor: run.actor.clone() };
            if scheduler.request(&run.job, request) {
                queued.insert(run.id, run);
            }
        }
        Self {
            scheduler,
            memory: Memory::new(setup.catalog),
            clock: setup.clock,
            worker: setup.worker,
            watcher: setup.watcher,
            ids: setup.ids,
            patience: setup.patience,
            running: BTreeMap::new(),
            queued,
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stopping: false,
        }
    }

    /// Runs until `stop` is asked for; then asks every run to stop, waits for them as long as its
    /// patience lasts, and remembers that they go on next time.
    pub async fn run(mut self, mut commands: Commands, stop: Interrupt) {
        loop {
            let plan = self.step().await;
            let wait = self.wait(&plan);
            tokio::select! {
                biased;
                _ = stop.requested() => break,
                Some(ended) = self.tasks.join_next_with_id() => self.joined(ended).await,
                Some(command) = commands.0.recv() => self.heed(command).await,
                () = self.clock.sleep(wait) => {}
            }
        }
        self.stop().await;
    }

    /// Starts what is due and shows how everything stands.
    async fn step(&mut self) -> Plan {
        let now = self.clock.now();
        let corrected = self.scheduler.correct(now);
        if !corrected.is_empty() {
            tracing::warn!(jobs = corrected.len(), "the clock was ahead and has been set back");
            let states = corrected.into_iter().filter_map(|key| {
                let state = self.scheduler.state(&key)?.clone();
                Some((key, state))
            });
            let states = states.collect();
            self.memory.keep_states(states).await;
        }
        if self.memory.problem().is_some() {
            self.memory.flush().await;
        }
        let mut plan = self.scheduler.plan(now);
        for start in std::mem::take(&mut plan.start) {
            self.begin(start, now).await;
        }
        self.show(&plan);
        plan
    }

    fn wait(&self, plan: &Plan) -> Duration {
        let Some(at) = plan.wake_at else { return LONGEST_WAIT };
        let left = at.duration_since(self.clock.now());
        Duration::try_from(left).unwrap_or(Duration::ZERO).min(LONGEST_WAIT)
    }

    async fn begin(&mut self, start: Start, now: Timestamp) {
        let id = match &start.request {
            Some(request) => request.run,
            None => self.ids.next(now),
        };
        let queued = self.queued.remove(&id);
        let mut run = Run::begin(id, start.key.clone(), start.trigger, now);
        run.attempt = start.attempt;
        run.actor = queued.and_then(|queued| queued.actor);
        self.scheduler.started(&start, now);
        // Written before anything is done: whoever comes after a kill knows what was under way,
        // and that this due time is accounted for.
        self.memory.keep(&run, self.scheduler.state(&start.key)).await;
        let (interrupter, interrupt) = interrupt();
        let order = Order { run: id, key: start.key, trigger: start.trigger, due: start.due, now };
        let worker = Arc::clone(&self.worker);
        let task = self.tasks.spawn(async move {
            let report = worker.work(&order, &interrupt).await;
            (id, report)
        });
        self.names.insert(task.id(), id);
        self.watcher.changed(&run);
        self.running.insert(id, Active { run, interrupter, cancelled: false });
    }

    async fn joined(&mut self, ended: Result<(Id, (RunId, Report)), JoinError>) {
        match ended {
            Ok((task, (id, report))) => {
                self.names.remove(&task);
                self.end(id, report).await;
            }
            Err(error) => {
                let Some(id) = self.names.remove(&error.id()) else { return };
                let kind =
                    if error.is_cancelled() { ErrorKind::Terminated } else { ErrorKind::Failed };
                let error = Error::new(kind, "finish run")
                    .because(error)
                    .hint("This is a fault of the program; look at its log.");
                self.end(id, Report::from(Err(error))).await;
            }
        }
    }

    async fn end(&mut self, id: RunId, report: Report) {
        let Some(active) = self.running.remove(&id) else { return };
        let now = self.clock.now();
        let mut run = active.run;
        run.ended_at = Some(now);
        run.snapshot = report.snapshot;
        run.numbers = report.numbers;
        run.phases = report.phases;
        let (state, ending) = match &report.result {
            Ok(Verdict::Good) => (RunState::Succeeded, Ending::Succeeded),
            // Taking it again would not make it believable: a person must look.
            Ok(Verdict::Suspect) => (RunState::Suspect, Ending::Failed { again: false }),
            Ok(Verdict::DoneElsewhere) => (RunState::Cancelled, Ending::DoneElsewhere),
            Ok(Verdict::HeldElsewhere) => (RunState::Cancelled, Ending::HeldElsewhere),
            Err(error) => {
                run.error = Some(error.into());
                let stopped =
                    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated);
                match (stopped, active.cancelled, self.stopping) {
                    (true, true, _) => (RunState::Cancelled, Ending::Cancelled),
                    (true, false, true) => (RunState::Interrupted, Ending::Interrupted),
                    _ => (RunState::Failed, Ending::Failed { again: retry_safe(error.kind()) }),
                }
            }
        };
        run.state = state;
        self.scheduler.ended(&run.job, ending, now);
        let state = self.scheduler.state(&run.job);
        if matches!(report.result, Ok(Verdict::DoneElsewhere | Verdict::HeldElsewhere)) {
            self.memory.drop(&run, state).await;
        } else {
            self.memory.keep(&run, state).await;
        }
        self.watcher.changed(&run);
    }

    async fn heed(&mut self, command: Command) {
        // Whoever asked may be gone; then nobody hears the answer.
        match command {
            Command::Request { key, actor, answer } => {
                let _ = answer.send(self.request(key, actor).await);
            }
            Command::Want { key, what, answer } => {
                let _ = answer.send(Ok(self.want(key, &what).await));
            }
            Command::Cancel { run, actor, answer } => {
                let _ = answer.send(self.cancel(run, actor).await);
            }
            Command::Replace { jobs, concurrency, patience } => {
                self.patience = patience;
                self.scheduler.replace(jobs, concurrency, self.clock.now());
                let known: Vec<JobKey> = self.scheduler.jobs().map(|job| job.key.clone()).collect();
                let gone: Vec<RunId> = self
                    .queued
                    .values()
                    .filter(|run| !known.contains(&run.job))
                    .map(|run| run.id)
                    .collect();
                for id in gone {
                    self.withdraw(id).await;
                }
            }
        }
    }

    async fn request(&mut self, key: JobKey, actor: Option<String>) -> Result<Run> {
        let failed = |kind| Error::new(kind, "request run").with("job", &key);
        if self.queued.values().any(|run| run.job == key) || self.scheduler.running().contains(&key)
        {
            return Err(failed(ErrorKind::Conflict).hint("It waits or runs already."));
        }
        let now = self.clock.now();
        let id = self.ids.next(now);
        let request = Request { at: now, run: id, actor: actor.clone() };
        if !self.scheduler.request(&key, request) {
            return Err(failed(ErrorKind::NotFound)
                .hint("There is no such source, or it has no such job; see `backupctl status`."));
        }
        let mut run = Run::begin(id, key, Trigger::Request, now);
        run.actor = actor;
        run.state = RunState::Queued;
        self.memory.keep(&run, None).await;
        self.queued.insert(id, run.clone());
        self.watcher.changed(&run);
        Ok(run)
    }

    /// Notes that a job is wanted; returns whether it waits or runs.
    async fn want(&mut self, key: JobKey, what: &str) -> bool {
        let new = self.scheduler.want(&key, what, self.clock.now());
        let runs = self.scheduler.running().contains(&key);
        let Some(state) = self.scheduler.state(&key).cloned() else { return false };
        let waits = state.wanted_at.is_some() || state.retry_at.is_some();
        if new {
            tracing::info!(job = %key, what, "a job is wanted");
            self.memory.keep_states(vec![(key, state)]).await;
        }
        runs || waits
    }

    async fn cancel(&mut self, id: RunId, actor: Option<String>) -> Result<Run> {
        tracing::info!(run = %id, actor, "asked to cancel");
        if let Some(active) = self.running.get_mut(&id) {
            active.cancelled = true;
            active.interrupter.request(ErrorKind::Interrupted);
            return Ok(active.run.clone());
        }
        self.withdraw(id).await.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "cancel run")
                .with("run", id)
                .hint("Only what waits or runs can be cancelled.")
        })
    }

    /// Takes a request back.
    async fn withdraw(&mut self, id: RunId) -> Option<Run> {
        let mut run = self.queued.remove(&id)?;
        self.scheduler.withdraw(&run.job);
        run.state = RunState::Cancelled;
        run.ended_at = Some(self.clock.now());
        self.memory.keep(&run, None).await;
        self.watcher.changed(&run);
        Some(run)
    }

    async fn stop(&mut self) {
        self.stopping = true;
        for active in self.running.values() {
            active.interrupter.request(ErrorKind::Terminated);
        }
        self.show(&Plan::default());
        let clock = Arc::clone(&self.clock);
        let mut patience = clock.sleep(self.patience);
        while !self.tasks.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.joined(ended).await,
                () = &mut patience => {
                    tracing::warn!(runs = self.tasks.len(), "runs that do not stop are dropped");
                    self.tasks.abort_all();
                    while let Some(ended) = self.tasks.join_next_with_id().await {
                        self.joined(ended).await;
                    }
                }
            }
        }
        if !self.memory.flush().await {
            tracing::error!("what happened last could not be remembered");
        }
    }

    fn show(&mut self, plan: &Plan) {
        let next = self.scheduler.take_changes(self.clock.now());
        self.watcher.looked(&Arc::new(Board {
            running: self.running.values().map(|active| active.run.clone()).collect(),
            queued: self.queued.values().cloned().collect(),
            waiting: plan.waiting.clone(),
            next,
            problem: self.memory.problem().map(str::to_owned),
            stopping: self.stopping,
        }));
    }
}
