//! What to start now, what waits and why, and when to look again.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use backup_core::{JobKey, JobKind, RunId, Trigger};
use jiff::{SignedDuration, Timestamp};

use crate::job::later;
use crate::{Job, JobState};

/// Counting further says nothing more.
const MOST_MISSED: u32 = 1000;

/// A clock that is set back by less is believed to have been right before as well.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

/// How long a job waits when another program is doing it.
const ELSEWHERE: SignedDuration = SignedDuration::from_secs(60);

/// Every job with its state. It holds no clock: each call says what time it is.
#[derive(Clone, Debug)]
pub struct Scheduler {
    entries: BTreeMap<JobKey, Entry>,
    /// When each job that does not run wants to, so that a plan looks only at those that are due.
    queue: BTreeSet<(Timestamp, JobKey)>,
    running: BTreeSet<JobKey>,
    /// Jobs whose next run may have changed since somebody asked.
    touched: BTreeSet<JobKey>,
    concurrency: NonZeroUsize,
    /// What is due since before is made up for.
    since: Timestamp,
    /// The newest time that was seen.
    latest: Timestamp,
}

#[derive(Clone, Debug)]
struct Entry {
    job: Job,
    state: JobState,
    /// The first due time that is not accounted for.
    next: Option<Timestamp>,
    request: Option<Request>,
    /// Its place in the queue.
    queued: Option<Timestamp>,
}

/// Somebody asks for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When.
    pub at: Timestamp,
    /// The run it is to be.
    pub run: RunId,
    /// Who, where that is known.
    pub actor: Option<String>,
}

/// What a [`Scheduler`] wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to start now, in this order.
    pub start: Vec<Start>,
    /// What is due and cannot start yet.
    pub waiting: Vec<Waiting>,
    /// When something changes by time alone; absent when nothing does.
    pub wake_at: Option<Timestamp>,
}

/// A job to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which.
    pub key: JobKey,
    /// Why.
    pub trigger: Trigger,
    /// Since when it is due; absent when somebody asked for it.
    pub due: Option<Timestamp>,
    /// How many due times this one run stands for; zero when somebody asked.
    pub stands_for: u32,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What somebody asked for, if that is why.
    pub request: Option<Request>,
}

/// A job that is due and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub key: JobKey,
    /// Since when.
    pub since: Timestamp,
    /// What for.
    pub why: Why,
}

/// Why a job that is due does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another job of its source is running. Provider snapshots need nothing of those.
    Source,
    /// As many jobs as may are running.
    Slots,
    /// A blackout window lasts until then.
    Blackout(Timestamp),
}

/// How a run ended, as far as the schedule is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did what it should.
    Succeeded,
    /// It failed; whether the same may succeed later.
    Failed {
        /// Whether to try again.
        again: bool,
    },
    /// It was stopped with the program: it runs again when the program does.
    Interrupted,
    /// A person stopped it: it runs when it is due next.
    Cancelled,
    /// Another program has done it.
    DoneElsewhere,
    /// Another program is doing it: look again in a minute.
    HeldElsewhere,
}

impl Scheduler {
    /// Takes jobs with what is known of them; one of which nothing is known begins with `now`.
    #[must_use]
    pub fn new(
        jobs: Vec<Job>,
        mut states: BTreeMap<JobKey, JobState>,
        concurrency: NonZeroUsize,
        now: Timestamp,
    ) -> Self {
        let mut scheduler = Self {
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            running: BTreeSet::new(),
            touched: BTreeSet::new(),
            concurrency,
            since: now,
            // What is known may come from a clock that was ahead.
            latest: Timestamp::MAX,
        };
        for job in jobs {
            let state = states.remove(&job.key).unwrap_or_else(|| JobState::from(now));
            scheduler.insert(Entry::new(job, state, now));
        }
        scheduler.correct(now);
        scheduler
    }

    /// Gets over a clock that was far ahead and has been set back: what was accounted for in its
    /// future is not, or nothing would run until then. Returns the jobs whose state changed.
    pub fn correct(&mut self, now: Timestamp) -> Vec<JobKey> {
        // Only a clock that goes back can have been ahead.
        let back = now < self.latest;
        self.latest = now;
        if !back {
            return Vec::new();
        }
        let latest = now.checked_add(SET_BACK).unwrap_or(now);
        let mut corrected = Vec::new();
        for (key, entry) in &mut self.entries {
            let state = &mut entry.state;
            let longest = SignedDuration::try_from(entry.job.retry.most * 2).unwrap_or(SET_BACK);
            let retry = latest.checked_add(longest).unwrap_or(latest);
            let sound = state.served <= latest
                && state.retry_at.is_none_or(|at| at <= retry)
                && state.wanted_at.is_none_or(|at| at <= latest);
            if sound {
                continue;
            }
            state.served = state.served.min(now);
            state.retry_at = state.retry_at.map(|at| at.min(now));
            state.wanted_at = state.wanted_at.map(|at| at.min(now));
            entry.serve(entry.state.served);
            corrected.push(key.clone());
        }
        for key in &corrected {
            self.requeue(key);
        }
        corrected
    }

    /// Exchanges the jobs, as a new configuration says; what is known of them stays.
    pub fn replace(&mut self, jobs: Vec<Job>, concurrency: NonZeroUsize, now: Timestamp) {
        let mut old = std::mem::take(&mut self.entries);
        self.touched.extend(old.keys().cloned());
        self.queue.clear();
        for job in jobs {
            let known = old.remove(&job.key);
            let request = known.as_ref().and_then(|known| known.request.clone());
            let state = known.map_or_else(|| JobState::from(now), |known| known.state);
            self.insert(Entry { request, ..Entry::new(job, state, self.since) });
        }
        self.concurrency = concurrency;
    }

    /// Says what to start at `now`; changes nothing. Follow it with [`Scheduler::started`] for
    /// each that was started.
    #[must_use]
    pub fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let mut due = Vec::new();
        for (at, key) in &self.queue {
            if *at > now {
                plan.wake_at = Some(*at);
                break;
            }
            let Some(entry) = self.entries.get(key) else { continue };
            match entry.blackout(now) {
                Some(until) => {
                    let why = Why::Blackout(until);
                    plan.waiting.push(Waiting { key: key.clone(), since: *at, why });
                }
                None => due.push((entry.rank(*at), key, entry, *at)),
            }
        }
        for waiting in &plan.waiting {
            if let Why::Blackout(until) = waiting.why {
                plan.wake_at = Some(plan.wake_at.map_or(until, |wake| wake.min(until)));
            }
        }
        due.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let mut busy: BTreeSet<_> = self
            .running
            .iter()
            .filter(|key| alone(key))
            .filter_map(|key| key.source.clone())
            .collect();
        let mut free = self.concurrency.get().saturating_sub(self.running.len());
        for (_, key, entry, since) in due {
            let taken = key.source.as_ref().is_some_and(|source| busy.contains(source));
            let why = if taken && alone(key) {
                Some(Why::Source)
            } else {
                (free == 0).then_some(Why::Slots)
            };
            if let Some(why) = why {
                plan.waiting.push(Waiting { key: key.clone(), since, why });
                continue;
            }
            free -= 1;
            busy.extend(key.source.clone().filter(|_| alone(key)));
            plan.start.push(entry.start(now, self.since));
        }
        plan
    }

    /// Takes note that a job runs. Store its state before it does anything.
    pub fn started(&mut self, start: &Start, now: Timestamp) {
        self.running.insert(start.key.clone());
        let Some(entry) = self.entries.get_mut(&start.key) else { return };
        entry.request = None;
        entry.state.retry_at = None;
        entry.state.wanted_at = None;
        if start.trigger != Trigger::Retry {
            entry.state.failures = 0;
            entry.state.due = start.due;
        }
        entry.serve(now);
        self.requeue(&start.key);
    }

    /// Takes note of how a run ended. Store its state.
    pub fn ended(&mut self, key: &JobKey, ending: Ending, now: Timestamp) {
        self.running.remove(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let state = &mut entry.state;
        match ending {
            Ending::Succeeded | Ending::Cancelled | Ending::DoneElsewhere => {
                state.failures = 0;
                state.retry_at = None;
            }
            Ending::Failed { again } => {
                state.failures = state.failures.saturating_add(1);
                state.retry_at = if again { later(&entry.job, state.failures, now) } else { None };
            }
            Ending::Interrupted => state.retry_at = Some(now),
            Ending::HeldElsewhere => state.retry_at = now.checked_add(ELSEWHERE).ok(),
        }
        self.requeue(key);
    }

    /// Asks for a run as soon as may be, blackout or not. Returns false when there is no such job;
    /// an earlier request stands.
    pub fn request(&mut self, key: &JobKey, request: Request) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        entry.request.get_or_insert(request);
        self.requeue(key);
        true
    }

    /// Has a job run when it may, because of something that happened: once for each such thing,
    /// and once for all that happened before it began. Returns whether it is new; then store its
    /// state.
    pub fn want(&mut self, key: &JobKey, what: &str, now: Timestamp) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        let state = &mut entry.state;
        if state.wanted_for.as_deref() == Some(what) {
            return false;
        }
        state.wanted_for = Some(what.to_owned());
        state.wanted_at.get_or_insert(now);
        self.requeue(key);
        true
    }

    /// Takes a request back; returns whether there was one.
    pub fn withdraw(&mut self, key: &JobKey) -> bool {
        let taken = self.entries.get_mut(key).is_some_and(|entry| entry.request.take().is_some());
        self.requeue(key);
        taken
    }

    /// Returns what is to be remembered of a job.
    #[must_use]
    pub fn state(&self, key: &JobKey) -> Option<&JobState> {
        self.entries.get(key).map(|entry| &entry.state)
    }

    /// Returns every job.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.entries.values().map(|entry| &entry.job)
    }

    /// Returns the jobs that run.
    #[must_use]
    pub fn running(&self) -> &BTreeSet<JobKey> {
        &self.running
    }

    /// Returns when a job runs next, `now` when it is due already; `None` when it runs only by
    /// request.
    #[must_use]
    pub fn next_run(&self, key: &JobKey, now: Timestamp) -> Option<Timestamp> {
        let entry = self.entries.get(key)?;
        let at = entry.wants()?.max(now);
        Some(entry.blackout(at).unwrap_or(at))
    }

    /// Returns the jobs whose next run may have changed since the last call, each with its
    /// [`Scheduler::next_run`]; all of them the first time.
    pub fn take_changes(&mut self, now: Timestamp) -> Vec<(JobKey, Option<Timestamp>)> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .map(|key| {
                let next = self.next_run(&key, now);
                (key, next)
            })
            .collect()
    }

    fn insert(&mut self, entry: Entry) {
        let key = entry.job.key.clone();
        self.entries.insert(key.clone(), Entry { queued: None, ..entry });
        self.requeue(&key);
    }

    /// Puts a job where it belongs in the queue.
    fn requeue(&mut self, key: &JobKey) {
        self.touched.insert(key.clone());
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(at) = entry.queued.take() {
            self.queue.remove(&(at, key.clone()));
        }
        if self.running.contains(key) {
            return;
        }
        if let Some(at) = entry.wants() {
            self.queue.insert((at, key.clone()));
            entry.queued = Some(at);
        }
    }
}

/// Whether a job has its source for itself. A provider snapshot does not touch what the others work
/// with, and an hourly one must not wait for a long dump.
fn alone(key: &JobKey) -> bool {
    key.kind != JobKind::Native
}

impl Entry {
    fn new(job: Job, mut state: JobState, since: Timestamp) -> Self {
        if !job.catch_up {
            state.served = state.served.max(since);
        }
        let mut entry = Self { job, state, next: None, request: None, queued: None };
        entry.serve(entry.state.served);
        entry
    }

    /// Accounts for every due time up to `until`.
    fn serve(&mut self, until: Timestamp) {
        // Never back: a clock that was set back must not make anything due twice.
        self.state.served = self.state.served.max(until);
        self.next = self.job.timetable.as_ref().and_then(|t| t.next(self.state.served));
    }

    /// Since when, or from when on, it should run.
    fn wants(&self) -> Option<Timestamp> {
        let request = self.request.as_ref().map(|request| request.at);
        let own = [self.next, self.state.retry_at, self.state.wanted_at];
        request.or_else(|| own.into_iter().flatten().min())
    }

    /// The end of the blackout that keeps it from starting at `at`.
    fn blackout(&self, at: Timestamp) -> Option<Timestamp> {
        if self.request.is_some() || self.job.blackouts.is_empty() {
            return None;
        }
        self.job.blackouts.until(at, &self.job.zone)
    }

    /// Requests first, then by the time since when it is due. A backup goes before work that can
    /// wait, which is not put off for ever by backups.
    fn rank(&self, since: Timestamp) -> (bool, Timestamp) {
        let patience = match self.job.key.kind {
            JobKind::Backup | JobKind::Native => 0,
            JobKind::Forget => 10,
            JobKind::Verify | JobKind::Prune => 60,
            JobKind::Drill | JobKind::PointDrill | JobKind::DisasterDrill => 120,
        };
        let rank = since.checked_add(SignedDuration::from_mins(patience)).unwrap_or(since);
        (self.request.is_none(), rank)
    }

    fn start(&self, now: Timestamp, since: Timestamp) -> Start {
        let mut start = Start {
            key: self.job.key.clone(),
            trigger: Trigger::Request,
            due: None,
            stands_for: 0,
            attempt: 1,
            request: self.request.clone(),
        };
        if start.request.is_some() {
            return start;
        }
        let Some(due) = self.next.filter(|next| *next <= now) else {
            if let Some(wanted) = self.state.wanted_at.filter(|wanted| *wanted <= now) {
                start.trigger = Trigger::Snapshot;
                start.due = Some(wanted);
                return start;
            }
            start.trigger = Trigger::Retry;
            start.due = self.state.due;
            start.attempt = self.state.failures.saturating_add(1);
            return start;
        };
        start.stands_for = self.count_due(due, now);
        let late = due < since || start.stands_for > 1;
        start.trigger = if late { Trigger::CatchUp } else { Trigger::Schedule };
        start.due = Some(due);
        start
    }

    fn count_due(&self, first: Timestamp, now: Timestamp) -> u32 {
        let (mut count, mut last) = (1, first);
        while count < MOST_MISSED {
            match self.job.timetable.as_ref().and_then(|timetable| timetable.next(last)) {
                Some(next) if next <= now => last = next,
                _ => break,
            }
            count += 1;
        }
        count
    }
}
