//! One decision at a time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use backup_core::{JobKey, JobKind, RunId, Trigger};
use backup_schedule::{
    Blackouts, Ending, Job, JobState, Request, Retry, Scheduler, Start, Timetable, Why,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn key(kind: JobKind, source: &str) -> JobKey {
    JobKey::of(kind, &source.parse().unwrap())
}

pub(crate) fn job(key: JobKey, cron: &str) -> Job {
    Job {
        key,
        timetable: Some(Timetable {
            cron: cron.parse().unwrap(),
            zone: TimeZone::UTC,
            shift: Duration::ZERO,
        }),
        blackouts: Blackouts::default(),
        zone: TimeZone::UTC,
        catch_up: true,
        retry: Retry::default(),
    }
}

fn backup(source: &str) -> JobKey {
    key(JobKind::Backup, source)
}

fn scheduler(jobs: Vec<Job>, slots: usize, now: &str) -> Scheduler {
    Scheduler::new(jobs, BTreeMap::new(), NonZeroUsize::new(slots).unwrap(), at(now))
}

/// Starts all that may start.
fn step(scheduler: &mut Scheduler, now: &str) -> Vec<Start> {
    let plan = scheduler.plan(at(now));
    for start in &plan.start {
        scheduler.started(start, at(now));
    }
    plan.start
}

#[test]
fn a_new_job_begins_with_its_next_time() {
    let mut s = scheduler(vec![job(backup("shop"), "0 2 * * *")], 1, "2026-01-01T03:00:00Z");
    let plan = s.plan(at("2026-01-01T03:00:00Z"));
    assert_eq!((plan.start.len(), plan.wake_at), (0, Some(at("2026-01-02T02:00:00Z"))));
    let started = step(&mut s, "2026-01-02T02:00:00Z");
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].trigger, Trigger::Schedule);
    assert_eq!(started[0].due, Some(at("2026-01-02T02:00:00Z")));
    assert!(step(&mut s, "2026-01-02T02:00:01Z").is_empty(), "it runs already");
    s.ended(&backup("shop"), Ending::Succeeded, at("2026-01-02T02:10:00Z"));
    assert!(step(&mut s, "2026-01-02T02:10:00Z").is_empty());
}

#[test]
fn downtime_is_made_up_for_by_one_run() {
    let known = JobState::from(at("2026-01-01T02:00:00Z"));
    for (catch_up, expected) in [(true, 1), (false, 0)] {
        let mut job = job(backup("shop"), "0 * * * *");
        job.catch_up = catch_up;
        let states = BTreeMap::from([(backup("shop"), known.clone())]);
        let now = "2026-01-03T02:30:00Z";
        let mut s = Scheduler::new(vec![job], states, NonZeroUsize::MIN, at(now));
        let started = step(&mut s, now);
        assert_eq!(started.len(), expected);
        if let Some(start) = started.first() {
            assert_eq!(start.trigger, Trigger::CatchUp);
            assert_eq!((start.due, start.stands_for), (Some(at("2026-01-01T03:00:00Z")), 48));
        }
        s.ended(&backup("shop"), Ending::Succeeded, at(now));
        assert_eq!(s.next_run(&backup("shop"), at(now)), Some(at("2026-01-03T03:00:00Z")));
    }
}

#[test]
fn failures_are_tried_again_until_enough_and_the_next_time_begins_anew() {
    let mut s = scheduler(vec![job(backup("shop"), "0 2 * * *")], 1, "2026-01-01T00:00:00Z");
    let mut now = at("2026-01-01T02:00:00Z");
    for attempt in 1..=5 {
        let plan = s.plan(now);
        assert_eq!(plan.start.len(), 1, "attempt {attempt}");
        assert_eq!(plan.start[0].attempt, attempt);
        assert_eq!(plan.start[0].due, Some(at("2026-01-01T02:00:00Z")));
        s.started(&plan.start[0], now);
        s.ended(&backup("shop"), Ending::Failed { again: true }, now);
        now = s.next_run(&backup("shop"), now).unwrap();
    }
    assert_eq!(now, at("2026-01-02T02:00:00Z"), "five were enough");
    let plan = s.plan(now);
    assert_eq!((plan.start[0].attempt, plan.start[0].trigger), (1, Trigger::Schedule));
    s.started(&plan.start[0], now);
    s.ended(&backup("shop"), Ending::Failed { again: false }, now);
    assert_eq!(s.next_run(&backup("shop"), now), Some(at("2026-01-03T02:00:00Z")));
}

#[test]
fn one_job_a_source_and_so_many_in_all() {
    let verify = key(JobKind::Verify, "shop");
    let jobs = vec![
        job(backup("shop"), "0 2 * * *"),
        job(verify.clone(), "0 2 * * *"),
        job(backup("blog"), "0 2 * * *"),
        job(backup("crm"), "0 2 * * *"),
        job(JobKey::whole(JobKind::Prune), "0 2 * * *"),
    ];
    let mut s = scheduler(jobs, 2, "2026-01-01T00:00:00Z");
    let now = at("2026-01-01T02:00:00Z");
    let plan = s.plan(now);
    let started: Vec<_> = plan.start.iter().map(|start| start.key.clone()).collect();
    assert_eq!(started, [backup("blog"), backup("crm")], "backups first");
    assert!(plan.waiting.iter().all(|waiting| waiting.why == Why::Slots));
    step(&mut s, "2026-01-01T02:00:00Z");
    s.ended(&backup("blog"), Ending::Succeeded, now);
    assert_eq!(s.plan(now).start[0].key, backup("shop"));
    step(&mut s, "2026-01-01T02:00:00Z");
    s.ended(&backup("crm"), Ending::Succeeded, now);
    let plan = s.plan(now);
    assert_eq!(plan.start[0].key, JobKey::whole(JobKind::Prune));
    assert_eq!((&plan.waiting[0].key, plan.waiting[0].why), (&verify, Why::Source));
}

#[test]
fn a_provider_snapshot_waits_for_no_other_job_of_its_source_and_keeps_none_waiting() {
    let native = key(JobKind::Native, "shop");
    let jobs = vec![job(backup("shop"), "0 2 * * *"), job(native.clone(), "0 * * * *")];
    let mut s = scheduler(jobs, 2, "2026-01-01T01:30:00Z");
    step(&mut s, "2026-01-01T02:00:00Z");
    assert_eq!(s.running().len(), 2, "both at once");
    s.ended(&native, Ending::Succeeded, at("2026-01-01T02:01:00Z"));
    let plan = s.plan(at("2026-01-01T03:00:00Z"));
    assert_eq!(plan.start.iter().map(|start| &start.key).collect::<Vec<_>>(), [&native]);
    step(&mut s, "2026-01-01T03:00:00Z");
    s.ended(&backup("shop"), Ending::Succeeded, at("2026-01-02T01:59:00Z"));
    let plan = s.plan(at("2026-01-02T02:00:00Z"));
    assert_eq!(plan.start.iter().map(|start| &start.key).collect::<Vec<_>>(), [&backup("shop")]);
}

#[test]
fn blackouts_put_off_and_a_person_overrules_them() {
    let mut nightly = job(backup("shop"), "0 2 * * *");
    nightly.blackouts = Blackouts::new(vec!["01:00-05:00".parse().unwrap()]).unwrap();
    let mut s = scheduler(vec![nightly], 1, "2026-01-01T00:00:00Z");
    let now = at("2026-01-01T02:00:00Z");
    let plan = s.plan(now);
    assert_eq!(plan.start, []);
    assert_eq!(plan.waiting[0].why, Why::Blackout(at("2026-01-01T05:00:00Z")));
    assert_eq!(plan.wake_at, Some(at("2026-01-01T05:00:00Z")));
    let request = Request { at: now, run: RunId([1; 16]), actor: Some("ann".into()) };
    assert!(s.request(&backup("shop"), request.clone()));
    let plan = s.plan(now);
    assert_eq!(plan.start[0].trigger, Trigger::Request);
    assert_eq!(plan.start[0].request.as_ref(), Some(&request));
    assert!(s.withdraw(&backup("shop")));
    assert!(!s.request(&backup("blog"), request));
    let started = step(&mut s, "2026-01-01T05:00:00Z");
    assert_eq!(started[0].due, Some(now));
}

#[test]
fn what_was_killed_runs_again_but_not_for_ever() {
    let job = job(backup("shop"), "0 2 * * *");
    let now = at("2026-01-01T02:01:00Z");
    let mut state = JobState::from(now);
    let mut runs = 0;
    while state.retry_at.is_some() || runs == 0 {
        state.killed(&job, now);
        runs += 1;
        assert!(runs < 10);
    }
    assert_eq!(runs, 5);
    let mut state = JobState::from(now);
    state.killed(&job, now);
    assert_eq!(state.retry_at, Some(now), "the first time at once");
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<JobState>(&text).unwrap(), state);
}

#[test]
fn a_stop_runs_again_and_another_program_is_waited_for() {
    let now = at("2026-01-01T02:00:00Z");
    for (ending, next) in [
        (Ending::Interrupted, "2026-01-01T02:00:00Z"),
        (Ending::HeldElsewhere, "2026-01-01T02:01:00Z"),
        (Ending::DoneElsewhere, "2026-01-02T02:00:00Z"),
        (Ending::Cancelled, "2026-01-02T02:00:00Z"),
    ] {
        let mut s = scheduler(vec![job(backup("shop"), "0 2 * * *")], 1, "2026-01-01T00:00:00Z");
        step(&mut s, "2026-01-01T02:00:00Z");
        s.ended(&backup("shop"), ending, now);
        assert_eq!(s.next_run(&backup("shop"), now), Some(at(next)), "{ending:?}");
        assert_eq!(s.state(&backup("shop")).unwrap().failures, 0);
    }
}

#[test]
fn a_clock_that_was_ahead_stops_nothing() {
    let states = BTreeMap::from([(backup("shop"), JobState::from(at("2031-01-01T00:00:00Z")))]);
    let jobs = vec![job(backup("shop"), "0 2 * * *")];
    let now = at("2026-01-01T00:00:00Z");
    let mut s = Scheduler::new(jobs, states, NonZeroUsize::MIN, now);
    assert_eq!(s.next_run(&backup("shop"), now), Some(at("2026-01-01T02:00:00Z")));
    // A little back is no reason to run twice.
    step(&mut s, "2026-01-01T02:00:00Z");
    s.ended(&backup("shop"), Ending::Succeeded, at("2026-01-01T02:00:30Z"));
    assert!(s.correct(at("2026-01-01T01:59:00Z")).is_empty());
    assert!(step(&mut s, "2026-01-01T02:00:00Z").is_empty());
    assert_eq!(s.correct(at("2025-06-01T00:00:00Z")), [backup("shop")]);
}

#[test]
fn a_new_configuration_keeps_what_is_known() {
    let mut s = scheduler(vec![job(backup("shop"), "0 2 * * *")], 1, "2026-01-01T00:00:00Z");
    step(&mut s, "2026-01-01T02:00:00Z");
    let now = at("2026-01-01T02:05:00Z");
    let jobs = vec![job(backup("shop"), "0 3 * * *"), job(backup("blog"), "0 4 * * *")];
    s.replace(jobs, NonZeroUsize::MIN, now);
    assert!(s.plan(now).start.is_empty(), "it still runs");
    s.ended(&backup("shop"), Ending::Succeeded, now);
    assert_eq!(s.next_run(&backup("shop"), now), Some(at("2026-01-01T03:00:00Z")));
    s.replace(Vec::new(), NonZeroUsize::MIN, now);
    assert_eq!(s.plan(now), Default::default());
}

#[test]
fn what_is_wanted_runs_once_whatever_happens_meanwhile() {
    let drill = key(JobKind::Drill, "shop");
    let mut only = job(drill.clone(), "0 2 * * *");
    only.timetable = None;
    only.blackouts = Blackouts::new(vec!["08:00-18:00".parse().unwrap()]).unwrap();
    let mut s = scheduler(vec![only.clone()], 1, "2026-01-01T00:00:00Z");
    assert!(!s.want(&backup("shop"), "a", at("2026-01-01T00:00:00Z")), "no such job");
    assert!(s.want(&drill, "a", at("2026-01-01T09:00:00Z")));
    // Unlike what a person asks for, it waits for the end of a blackout.
    assert!(step(&mut s, "2026-01-01T09:00:00Z").is_empty());
    assert!(!s.want(&drill, "a", at("2026-01-01T10:00:00Z")), "known");
    assert!(s.want(&drill, "b", at("2026-01-01T11:00:00Z")), "takes the place of the first");
    // A restart forgets nothing: states are kept as text.
    let state = serde_json::to_string(s.state(&drill).unwrap()).unwrap();
    let again = |state: &str| {
        let states = BTreeMap::from([(drill.clone(), serde_json::from_str(state).unwrap())]);
        Scheduler::new(vec![only.clone()], states, NonZeroUsize::MIN, at("2026-01-01T17:00:00Z"))
    };
    let mut s = again(&state);
    assert!(!s.want(&drill, "b", at("2026-01-01T17:30:00Z")));
    let started = step(&mut s, "2026-01-01T18:00:00Z");
    assert_eq!((started.len(), started[0].trigger), (1, Trigger::Snapshot));
    assert_eq!(started[0].due, Some(at("2026-01-01T09:00:00Z")));
    // Killed now, it is tried again as any run is; wanted again it is not.
    let state = serde_json::to_string(s.state(&drill).unwrap()).unwrap();
    let mut killed = again(&state);
    assert!(!killed.want(&drill, "b", at("2026-01-01T18:01:00Z")));
    assert!(step(&mut killed, "2026-01-01T18:01:00Z").is_empty());
    // What comes while it runs is run after it.
    assert!(s.want(&drill, "c", at("2026-01-01T18:05:00Z")));
    assert!(step(&mut s, "2026-01-01T18:05:00Z").is_empty());
    s.ended(&drill, Ending::Succeeded, at("2026-01-01T18:10:00Z"));
    assert_eq!(step(&mut s, "2026-01-01T18:10:00Z").len(), 1);
    s.ended(&drill, Ending::Succeeded, at("2026-01-01T18:20:00Z"));
    assert!(step(&mut s, "2026-01-01T19:00:00Z").is_empty());
    // States of before say nothing of it.
    let old = r#"{"served":"2026-01-01T00:00:00Z","due":null,"failures":0,"retry_at":null}"#;
    assert_eq!(again(old).next_run(&drill, at("2026-01-01T19:00:00Z")), None);
}
