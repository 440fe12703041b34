//! A simulated week with a thousand sources: every due time is served once, by one run.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use backup_core::{JobKey, JobKind};
use backup_schedule::{Ending, Job, JobState, Scheduler, Timetable, jitter};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::decisions::{at, job, key};

const SOURCES: usize = 1000;
const SLOTS: usize = 8;

/// The last Sunday of October is in it: in Berlin an hour comes twice.
const BEGIN: &str = "2026-10-20T00:00:00Z";
const END: &str = "2026-10-27T00:00:00Z";

fn jobs() -> Vec<Job> {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"];
    let mut jobs = Vec::new();
    for number in 0..SOURCES {
        let source = format!("source-{number}");
        // Most nightly, some every six hours, a few hourly; verification on Sundays.
        let backup = match number % 20 {
            0 => "0 * * * *",
            1..=4 => "30 */6 * * *",
            _ => "30 2 * * *",
        };
        for (kind, cron) in [(JobKind::Backup, backup), (JobKind::Verify, "0 5 * * 0")] {
            let key = key(kind, &source);
            let mut job = job(key, cron);
            let zone = TimeZone::get(zones[number % zones.len()]).unwrap();
            job.timetable = Some(Timetable {
                cron: cron.parse().unwrap(),
                zone,
                shift: jitter(&job.key.to_string(), Duration::from_secs(45 * 60)),
            });
            jobs.push(job);
        }
    }
    jobs
}

/// Chance that is the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % most
    }
}

#[derive(Default)]
struct Tally {
    runs: u64,
    served: BTreeMap<JobKey, Vec<(Timestamp, u32)>>,
    plans: u64,
    most_running: usize,
}

/// Lives through the week; now and then everything but the stored states is lost.
fn live(killed_every: Option<u64>) -> Tally {
    let mut chance = Chance(7);
    let mut tally = Tally::default();
    let mut now = at(BEGIN);
    let slots = NonZeroUsize::new(SLOTS).unwrap();
    let all = jobs();
    let mut scheduler = Scheduler::new(all.clone(), BTreeMap::new(), slots, now);
    let mut stored: BTreeMap<JobKey, JobState> = BTreeMap::new();
    let mut ends: BTreeSet<(Timestamp, JobKey)> = BTreeSet::new();
    while now < at(END) {
        let plan = scheduler.plan(now);
        tally.plans += 1;
        for start in &plan.start {
            scheduler.started(start, now);
            stored.insert(start.key.clone(), scheduler.state(&start.key).unwrap().clone());
            tally.runs += 1;
            if start.stands_for > 0 {
                let served = tally.served.entry(start.key.clone()).or_default();
                served.push((start.due.unwrap(), start.stands_for));
            }
            let seconds = i64::try_from(5 + chance.below(60)).unwrap();
            ends.insert((now + SignedDuration::from_secs(seconds), start.key.clone()));
        }
        let running: Vec<_> = scheduler.running().iter().cloned().collect();
        tally.most_running = tally.most_running.max(running.len());
        let sources: BTreeSet<_> = running.iter().map(|key| key.source.clone()).collect();
        assert_eq!(sources.len(), running.len(), "one job a source");
        if killed_every.is_some_and(|every| tally.plans.is_multiple_of(every)) {
            // Killed: what ran is found running when it comes back, a few minutes later.
            now += SignedDuration::from_secs(i64::try_from(chance.below(600)).unwrap());
            ends.clear();
            for job in all.iter().filter(|job| running.contains(&job.key)) {
                stored.get_mut(&job.key).unwrap().killed(job, now);
            }
            scheduler = Scheduler::new(all.clone(), known(&all, &stored), slots, now);
            continue;
        }
        let next = [plan.wake_at, ends.first().map(|(at, _)| *at)].into_iter().flatten().min();
        now = next.unwrap().max(now);
        while let Some((_, key)) = ends.first().filter(|(at, _)| *at <= now).cloned() {
            ends.pop_first();
            // One run in a hundred fails, and is tried again.
            let ending = match chance.below(100) {
                0 => Ending::Failed { again: true },
                _ => Ending::Succeeded,
            };
            scheduler.ended(&key, ending, now);
            stored.insert(key.clone(), scheduler.state(&key).unwrap().clone());
        }
    }
    tally
}

/// What a program knows when it comes back: jobs that have not run yet began with the week.
fn known(jobs: &[Job], stored: &BTreeMap<JobKey, JobState>) -> BTreeMap<JobKey, JobState> {
    let begin = JobState::from(at(BEGIN));
    let all = jobs.iter().map(|job| (job.key.clone(), begin.clone()));
    all.chain(stored.clone()).collect()
}

/// Fails unless every due time of the week was served by exactly one run, in order.
fn check(tally: &Tally) -> u64 {
    let mut due_times = 0;
    for job in jobs() {
        let timetable = job.timetable.unwrap();
        let served = tally.served.get(&job.key).cloned().unwrap_or_default();
        let mut at_time = at(BEGIN);
        for (due, stands_for) in served {
            for step in 0..stands_for {
                at_time = timetable.next(at_time).unwrap();
                due_times += 1;
                assert!(step > 0 || at_time == due, "{}: {at_time} was not served", job.key);
            }
        }
        let next = timetable.next(at_time).unwrap();
        let slack = SignedDuration::from_mins(45);
        assert!(next >= at(END) - slack, "{}: {next} was not served", job.key);
    }
    due_times
}

#[test]
fn a_week_of_a_thousand_sources() {
    let tally = live(None);
    let due = check(&tally);
    assert!(due > 14_000, "{due}");
    let scheduled: u64 =
        tally.served.values().flatten().map(|(_, stands_for)| u64::from(*stands_for)).sum();
    assert_eq!(scheduled, due);
    assert_eq!(tally.most_running, SLOTS);
    // Retries come on top, about one in a hundred.
    let retries = tally.runs - tally.served.values().map(|s| s.len() as u64).sum::<u64>();
    assert!((50..400).contains(&retries), "{retries} retries");
}

#[test]
fn killed_again_and_again_nothing_is_lost_or_doubled() {
    let tally = live(Some(997));
    assert!(check(&tally) > 14_000);
}
