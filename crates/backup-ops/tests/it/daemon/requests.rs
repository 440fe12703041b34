//! Asking, cancelling, stopping, exchanging the jobs, and a catalog that cannot be written.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backup_core::port::{Catalog, Clock, RunFilter};
use backup_core::{ErrorKind, JobKey, JobKind, RunState, Trigger};
use backup_ops::daemon::{Handle, RunIds, Setup, Supervisor, handle, recover};
use backup_ops::{Interrupter, interrupt};
use backup_schedule::{Job, Scheduler};
use tokio::task::JoinHandle;

use super::world::{Remembering, Time, Watching, Working, job};

struct World {
    catalog: Arc<Remembering>,
    worker: Arc<Working>,
    watching: Arc<Watching>,
    clock: Arc<Time>,
}

impl World {
    fn new() -> Self {
        Self {
            catalog: Remembering::new(None),
            worker: Working::new(None),
            watching: Arc::default(),
            clock: Time::starting("2026-01-01T00:00:00Z"),
        }
    }

    async fn start(&self, jobs: Vec<Job>, number: u8) -> (Handle, Interrupter, JoinHandle<()>) {
        let now = self.clock.now();
        let recovered = recover(self.catalog.as_ref(), &jobs, now).await.unwrap();
        let supervisor = Supervisor::new(Setup {
            scheduler: Scheduler::new(jobs, recovered.states, NonZeroUsize::MIN, now),
            queued: recovered.queued,
            catalog: Arc::clone(&self.catalog) as _,
            clock: Arc::clone(&self.clock) as _,
            worker: Arc::clone(&self.worker) as _,
            watcher: Arc::clone(&self.watching) as _,
            ids: RunIds::new([number; 8]),
            patience: Duration::from_secs(30),
        });
        let (handle, commands) = handle();
        let (interrupter, stop) = interrupt();
        (handle, interrupter, tokio::spawn(supervisor.run(commands, stop)))
    }
}

fn nightly(source: &str) -> Job {
    job(JobKind::Backup, source, "0 2 * * *", "UTC")
}

fn backup(source: &str) -> JobKey {
    JobKey::of(JobKind::Backup, &source.parse().unwrap())
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_person_asks_and_takes_it_back() {
    let world = World::new();
    let jobs = vec![nightly("shop"), nightly("blog"), nightly("crm")];
    let (handle, stop, life) = world.start(jobs, 1).await;
    let shop = handle.request(backup("shop"), Some("ann".into())).await.unwrap();
    assert_eq!(shop.state, RunState::Queued);
    let twice = handle.request(backup("shop"), None).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let absent = handle.request(backup("nothing"), None).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    // One slot: the second waits, and is withdrawn.
    let blog = handle.request(backup("blog"), None).await.unwrap();
    let withdrawn = handle.cancel(blog.id, None).await.unwrap();
    assert_eq!(withdrawn.state, RunState::Cancelled);
    handle.cancel(shop.id, None).await.unwrap();
    pass(5).await;
    let ended = world.catalog.run(shop.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.trigger), (RunState::Cancelled, Trigger::Request));
    assert_eq!(ended.actor.as_deref(), Some("ann"));
    let gone = handle.cancel(shop.id, None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let crm = handle.request(backup("crm"), None).await.unwrap();
    pass(200).await;
    let ended = world.catalog.run(crm.id).await.unwrap().unwrap();
    assert_eq!(ended.state, RunState::Succeeded);
    assert!(ended.seconds().unwrap() >= 1.0);
    stop.request(ErrorKind::Terminated);
    life.await.unwrap();
    assert_eq!(
        handle.request(backup("crm"), None).await.unwrap_err().kind(),
        ErrorKind::Terminated
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_goes_on_next_time_and_requests_are_not_lost() {
    let world = World::new();
    let jobs = || vec![nightly("shop"), nightly("blog")];
    let (handle, stop, life) = world.start(jobs(), 1).await;
    let shop = handle.request(backup("shop"), None).await.unwrap();
    let blog = handle.request(backup("blog"), Some("ann".into())).await.unwrap();
    stop.request(ErrorKind::Terminated);
    life.await.unwrap();
    let state = |id| {
        let catalog = Arc::clone(&world.catalog);
        async move { catalog.run(id).await.unwrap().unwrap().state }
    };
    assert_eq!(state(shop.id).await, RunState::Interrupted);
    assert_eq!(state(blog.id).await, RunState::Queued);

    let (_handle, stop, life) = world.start(jobs(), 2).await;
    pass(600).await;
    assert_eq!(state(blog.id).await, RunState::Succeeded, "asked for before the stop");
    let again: Vec<_> = world
        .catalog
        .all_runs()
        .into_iter()
        .filter(|run| run.job == backup("shop") && run.state == RunState::Succeeded)
        .collect();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].trigger, Trigger::Retry);
    stop.request(ErrorKind::Terminated);
    life.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_cannot_be_written_stops_no_backup() {
    let world = World::new();
    let (_handle, stop, life) = world.start(vec![nightly("shop")], 1).await;
    world.catalog.broken.store(true, Ordering::Relaxed);
    pass(3 * 86_400).await;
    assert_eq!(world.worker.done.lock().unwrap().len(), 3);
    assert_eq!(world.catalog.all_runs().len(), 0);
    let problem = world.watching.board.lock().unwrap().problem.clone();
    assert!(problem.is_some_and(|problem| problem.contains("disk full")));
    world.catalog.broken.store(false, Ordering::Relaxed);
    pass(120).await;
    let runs = world.catalog.runs(&RunFilter::default()).await.unwrap();
    assert_eq!(runs.len(), 3, "what could not be written was written later");
    assert_eq!(world.watching.board.lock().unwrap().problem, None);
    stop.request(ErrorKind::Terminated);
    life.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_takes_effect_at_once() {
    let world = World::new();
    let (handle, stop, life) = world.start(vec![nightly("shop")], 1).await;
    let minute = std::time::Duration::from_secs(60);
    handle.replace(vec![nightly("blog")], NonZeroUsize::MIN, minute).await.unwrap();
    pass(86_400).await;
    let done: Vec<_> =
        world.worker.done.lock().unwrap().iter().map(|(order, _)| order.key.clone()).collect();
    assert_eq!(done, [backup("blog")]);
    let next = world.watching.next.lock().unwrap().clone();
    assert_eq!(next.into_keys().collect::<Vec<_>>(), [backup("blog")]);
    stop.request(ErrorKind::Terminated);
    life.await.unwrap();
}
