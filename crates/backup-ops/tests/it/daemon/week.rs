//! A week of a thousand sources: port calls fail, the program is killed, and every due time is
//! served.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Clock;
use backup_core::{JobKey, JobKind, RunState};
use backup_ops::daemon::{RunIds, Setup, Supervisor, handle, recover};
use backup_ops::{Interrupt, interrupt};
use backup_schedule::{Job, JobState, Scheduler};
use jiff::{SignedDuration, Timestamp};

use super::world::{Chance, Remembering, Time, Watching, Working, at, job};

const BEGIN: &str = "2026-10-20T00:00:00Z";
const END: &str = "2026-10-27T00:00:00Z";

fn jobs() -> Vec<Job> {
    let zones = ["UTC", "Europe/Berlin", "America/New_York"];
    (0..1000)
        .map(|number: usize| {
            let cron = match number % 20 {
                0 => "0 * * * *",
                1..=3 => "30 */6 * * *",
                _ => "30 2 * * *",
            };
            job(JobKind::Backup, &format!("source-{number}"), cron, zones[number % 3])
        })
        .collect()
}

/// One life of the program: until it is told to stop, or dropped in the middle of everything.
async fn live(
    catalog: &Arc<Remembering>,
    worker: &Arc<Working>,
    clock: &Arc<Time>,
    number: u8,
    length: Duration,
    kill: bool,
) {
    let jobs = jobs();
    let now = clock.now();
    // A catalog that cannot be read is tried until it can: here one call in a hundred fails.
    let recovered = loop {
        match recover(catalog.as_ref(), &jobs, now).await {
            Ok(recovered) => break recovered,
            Err(_) => clock.sleep(Duration::from_secs(1)).await,
        }
    };
    let mut states: BTreeMap<JobKey, JobState> =
        jobs.iter().map(|job| (job.key.clone(), JobState::from(at(BEGIN)))).collect();
    states.extend(recovered.states);
    let slots = NonZeroUsize::new(8).unwrap();
    let supervisor = Supervisor::new(Setup {
        scheduler: Scheduler::new(jobs, states, slots, now),
        queued: recovered.queued,
        catalog: Arc::clone(catalog) as _,
        clock: Arc::clone(clock) as _,
        worker: Arc::clone(worker) as _,
        watcher: Arc::new(Watching::default()),
        ids: RunIds::new([number; 8]),
        patience: Duration::from_secs(30),
    });
    let (_handle, commands) = handle();
    let (interrupter, stop) = interrupt();
    if kill {
        let life = supervisor.run(commands, Interrupt::never());
        assert!(tokio::time::timeout(length, life).await.is_err(), "it was dropped");
    } else {
        let stopper = async {
            tokio::time::sleep(length).await;
            interrupter.request(backup_core::ErrorKind::Terminated);
        };
        tokio::join!(supervisor.run(commands, stop), stopper);
    }
}

/// Returns how many due times there were, and how many of them a good run stands for.
fn served(worker: &Working) -> (u64, u64) {
    let mut good: BTreeMap<JobKey, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    for (order, lucky) in worker.done.lock().unwrap().iter() {
        if *lucky {
            let runs = good.entry(order.key.clone()).or_default();
            runs.push((order.due.unwrap(), order.now));
        }
    }
    let (mut due, mut served) = (0, 0);
    for job in jobs() {
        let timetable = job.timetable.unwrap();
        let mut time = at(BEGIN);
        let runs = good.remove(&job.key).unwrap_or_default();
        let mut firsts: Vec<_> = runs.iter().map(|(due, _)| *due).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), runs.len(), "{}: a due time was served twice", job.key);
        while let Some(next) = timetable.next(time) {
            if next > at(END) - SignedDuration::from_hours(1) {
                break;
            }
            due += 1;
            // By a run for it, or by one that made up for several.
            served += u64::from(runs.iter().any(|(first, begun)| *first <= next && *begun >= next));
            time = next;
        }
    }
    (due, served)
}

#[tokio::test(start_paused = true)]
async fn one_port_call_in_a_hundred_fails() {
    let (catalog, worker) = (Remembering::new(Some(100)), Working::new(Some(100)));
    let clock = Time::starting(BEGIN);
    live(&catalog, &worker, &clock, 1, Duration::from_secs(7 * 86_400), false).await;
    let (due, served) = served(&worker);
    assert!(due > 12_000, "{due}");
    assert!(served as f64 / due as f64 >= 0.999, "{served} of {due}");
    let runs = catalog.all_runs();
    let failed = runs.iter().filter(|run| run.state == RunState::Failed).count();
    assert!(failed > 300, "{failed} failures were had");
    assert!(!runs.iter().any(|run| run.state == RunState::Running));
    println!("{due} due times, {} runs, {failed} failed, {served} served", runs.len());
}

#[tokio::test(start_paused = true)]
async fn killed_at_random_every_run_ends_or_is_marked_and_runs_again() {
    let (catalog, worker) = (Remembering::new(None), Working::new(Some(100)));
    let clock = Time::starting(BEGIN);
    let chance = Chance::new(5);
    let mut lives = 0;
    while clock.now() < at(END) {
        lives += 1;
        let length = Duration::from_secs(600 + chance.below(7 * 3600));
        live(&catalog, &worker, &clock, lives, length, true).await;
        tokio::time::sleep(Duration::from_secs(chance.below(300))).await;
    }
    live(&catalog, &worker, &clock, lives + 1, Duration::from_secs(3600), false).await;
    let (due, served) = served(&worker);
    assert!(lives > 20 && due > 12_000, "{lives} lives, {due} due times");
    assert!(served as f64 / due as f64 >= 0.999, "{served} of {due}");
    let runs = catalog.all_runs();
    let interrupted = runs.iter().filter(|run| run.state == RunState::Interrupted).count();
    assert!(interrupted > 10, "{interrupted} were interrupted");
    assert!(!runs.iter().any(|run| run.state == RunState::Running));
    println!("{lives} lives, {interrupted} runs interrupted, {served} of {due} served");
}
