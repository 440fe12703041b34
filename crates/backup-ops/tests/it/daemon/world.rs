//! A catalog in memory, time that jumps, and work that fails by a chance that is always the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{Catalog, Clock, RunFilter};
use backup_core::{Error, ErrorKind, JobKey, JobKind, Result, Run, RunId, RunState, SourceName};
use backup_ops::Interrupt;
use backup_ops::daemon::{Board, Order, Report, Verdict, Watcher, Worker};
use backup_schedule::{Blackouts, Job, Retry, Timetable};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Tokio's time, which jumps while nobody has anything to do.
#[derive(Debug)]
pub(crate) struct Time {
    start: Timestamp,
    begun: tokio::time::Instant,
}

impl Time {
    pub(crate) fn starting(start: &str) -> Arc<Self> {
        Arc::new(Self { start: at(start), begun: tokio::time::Instant::now() })
    }
}

#[async_trait]
impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.start + SignedDuration::try_from(self.elapsed()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Chance that is the same every time.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn below(&self, most: u64) -> u64 {
        let step = |x: u64| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let old = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(step(x)));
        (step(old.unwrap()) >> 33) % most
    }
}

/// Keeps everything; one call in `fails` fails before it has done anything.
#[derive(Debug)]
pub(crate) struct Remembering {
    pub(crate) runs: Mutex<BTreeMap<RunId, Run>>,
    kept: Mutex<BTreeMap<(String, String), String>>,
    fails: Option<u64>,
    chance: Chance,
    pub(crate) broken: std::sync::atomic::AtomicBool,
}

impl Remembering {
    pub(crate) fn new(fails: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            runs: Mutex::default(),
            kept: Mutex::default(),
            fails,
            chance: Chance::new(11),
            broken: false.into(),
        })
    }

    pub(crate) fn all_runs(&self) -> Vec<Run> {
        self.runs.lock().unwrap().values().cloned().collect()
    }

    fn call(&self) -> Result<()> {
        let unlucky = self.fails.is_some_and(|fails| self.chance.below(fails) == 0);
        if unlucky || self.broken.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Failed, "use catalog").because("disk full"));
        }
        Ok(())
    }
}

#[async_trait]
impl Catalog for Remembering {
    async fn record(&self, run: &Run) -> Result<()> {
        self.call()?;
        self.runs.lock().unwrap().insert(run.id, run.clone());
        Ok(())
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>> {
        Ok(self.runs.lock().unwrap().get(&id).cloned())
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let wanted = |run: &&Run| filter.state.is_none_or(|state| run.state == state);
        Ok(self.runs.lock().unwrap().values().rev().filter(wanted).cloned().collect())
    }

    async fn count(&self, _filter: &RunFilter) -> Result<Vec<(RunState, u64)>> {
        Ok(Vec::new())
    }

    async fn drop_run(&self, id: RunId) -> Result<()> {
        self.call()?;
        self.runs.lock().unwrap().remove(&id);
        Ok(())
    }

    async fn drop_runs(&self, _before: Timestamp) -> Result<u64> {
        Ok(0)
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<String>> {
        Ok(self.kept.lock().unwrap().get(&(space.into(), key.into())).cloned())
    }

    async fn all(&self, space: &str) -> Result<Vec<(String, String)>> {
        let kept = self.kept.lock().unwrap();
        let inside = kept.iter().filter(|((known, _), _)| known == space);
        Ok(inside.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    async fn put(&self, space: &str, values: &[(String, Option<String>)]) -> Result<()> {
        self.call()?;
        for (key, value) in values {
            let key = (space.to_owned(), key.clone());
            match value {
                Some(value) => self.kept.lock().unwrap().insert(key, value.clone()),
                None => self.kept.lock().unwrap().remove(&key),
            };
        }
        Ok(())
    }

    async fn append(&self, _space: &str, _number: u64, _body: &str) -> Result<()> {
        Ok(())
    }

    async fn log(&self, _space: &str, _after: u64, _limit: u32) -> Result<Vec<(u64, String)>> {
        Ok(Vec::new())
    }

    async fn newest(&self, _space: &str) -> Result<Option<(u64, String)>> {
        Ok(None)
    }
}

/// Works for a while; each of its calls fails by chance.
pub(crate) struct Working {
    pub(crate) chance: Chance,
    pub(crate) calls: u64,
    pub(crate) fails: Option<u64>,
    pub(crate) seconds: u64,
    /// Every order carried out to its end, in order.
    pub(crate) done: Mutex<Vec<(Order, bool)>>,
}

impl Working {
    pub(crate) fn new(fails: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            chance: Chance::new(3),
            calls: 6,
            fails,
            seconds: 90,
            done: Mutex::default(),
        })
    }
}

#[async_trait]
impl Worker for Working {
    async fn work(&self, order: &Order, interrupt: &Interrupt) -> Report {
        let seconds = 1 + self.chance.below(self.seconds);
        let working = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        };
        if let Err(error) = interrupt.unless(working).await {
            return Err(error).into();
        }
        let lucky =
            (0..self.calls).all(|_| self.fails.is_none_or(|fails| self.chance.below(fails) > 0));
        self.done.lock().unwrap().push((order.clone(), lucky));
        if lucky {
            Ok(Verdict::Good).into()
        } else {
            Err(Error::new(ErrorKind::StoreUnavailable, "write pack")).into()
        }
    }
}

/// Sees the newest board.
#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) board: Mutex<Arc<Board>>,
    pub(crate) next: Mutex<BTreeMap<JobKey, Timestamp>>,
}

impl Watcher for Watching {
    fn changed(&self, _run: &Run) {}

    fn looked(&self, board: &Arc<Board>) {
        *self.board.lock().unwrap() = Arc::clone(board);
        let mut next = self.next.lock().unwrap();
        for (key, at) in &board.next {
            match at {
                Some(at) => next.insert(key.clone(), *at),
                None => next.remove(key),
            };
        }
    }
}

pub(crate) fn job(kind: JobKind, source: &str, cron: &str, zone: &str) -> Job {
    let source: SourceName = source.parse().unwrap();
    let key = JobKey::of(kind, &source);
    let zone = TimeZone::get(zone).unwrap();
    Job {
        timetable: Some(Timetable {
            cron: cron.parse().unwrap(),
            zone: zone.clone(),
            shift: backup_schedule::jitter(&key.to_string(), Duration::from_secs(1800)),
        }),
        key,
        blackouts: Blackouts::default(),
        zone,
        catch_up: true,
        retry: Retry::default(),
    }
}
