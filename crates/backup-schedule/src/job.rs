//! A job, when it is due, and what is remembered of it.

use std::time::Duration;

use backup_core::JobKey;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Blackouts, Cron, Retry};

/// When a job is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// By the clock on the wall …
    pub cron: Cron,
    /// … of this zone, …
    pub zone: TimeZone,
    /// … and later by this much: the job's [`jitter`](crate::jitter).
    pub shift: Duration,
}

impl Timetable {
    /// Returns the first time after `after`; `None` only at the end of time.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // The shift is constant, so that no time is lost or doubled by it.
        let shift = SignedDuration::try_from(self.shift).ok()?;
        self.cron.next(after.checked_sub(shift).ok()?, &self.zone)?.checked_add(shift).ok()
    }
}

/// Something that is run again and again.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which one.
    pub key: JobKey,
    /// When it is due; without one it runs only by request.
    pub timetable: Option<Timetable>,
    /// When it may not start, unless a person asks.
    pub blackouts: Blackouts,
    /// The zone of those windows.
    pub zone: TimeZone,
    /// Whether what was missed while nobody was there is made up for, by one run.
    pub catch_up: bool,
    /// How often and how soon it is tried again.
    pub retry: Retry,
}

/// What is remembered of a job between two runs; stored before a run begins and after it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Every due time up to here is accounted for.
    pub served: Timestamp,
    /// The due time of the newest run; absent when it ran by request.
    pub due: Option<Timestamp>,
    /// Failures in a row since then.
    pub failures: u32,
    /// When to try again.
    pub retry_at: Option<Timestamp>,
    /// Since when it is wanted for something that happened; absent when nothing waits for it.
    #[serde(default)]
    pub wanted_at: Option<Timestamp>,
    /// The newest thing that it was wanted for: it is wanted once for each.
    #[serde(default)]
    pub wanted_for: Option<String>,
}

impl JobState {
    /// Returns the state of a job that nothing is known of: what was due up to `served` does not
    /// count.
    #[must_use]
    pub fn from(served: Timestamp) -> Self {
        Self { served, due: None, failures: 0, retry_at: None, wanted_at: None, wanted_for: None }
    }

    /// Its run was found to have ended without a word: the program was killed. It is run again,
    /// the first time at once; what is killed every time is not run for ever.
    pub fn killed(&mut self, job: &Job, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = match self.failures {
            1 if job.retry.attempts > 1 => Some(now),
            failures => later(job, failures, now),
        };
    }
}

/// Returns when to try again after so many failures.
pub(crate) fn later(job: &Job, failures: u32, now: Timestamp) -> Option<Timestamp> {
    let delay = job.retry.delay(failures, &job.key.to_string())?;
    now.checked_add(SignedDuration::try_from(delay).ok()?).ok()
}
