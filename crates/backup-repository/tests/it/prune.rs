use std::sync::Arc;
use std::time::Duration;

use backup_core::ErrorKind;
use backup_core::port::{NoObserver, PartSink};
use backup_core::{Evidence, Layout, PartName};
use backup_repository::{Lease, PruneAction, PruneOptions, Repository};
use backup_testkit::{Call, FakeClock, Fault, FaultStore, MemoryStore, Operation};

use crate::world::{back_up, draft, init, key_file, next_day, open, open_at, read, rows, shop};

const HOUR: Duration = Duration::from_secs(3600);

/// A store on a clock that the test moves.
fn timed() -> (Arc<MemoryStore>, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::manual("2026-11-01T00:00:00Z".parse().unwrap()));
    (Arc::new(MemoryStore::new().near().with_clock(clock.clone())), clock)
}

async fn prune(repository: &Repository, grace: Duration) -> backup_repository::PruneReport {
    repository.prune(PruneOptions { grace }, Arc::new(NoObserver)).await.unwrap()
}

#[tokio::test]
async fn forgotten_data_goes_in_two_phases_and_the_rest_stays() {
    let (store, clock) = timed();
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let first = back_up(&repository, &shop()).await.unwrap();
    let other = [(("table/other", false), [(0, rows(5000, 77))].into())].into();
    let second = back_up(&repository, &other).await.unwrap();
    let packs = store.names("packs/").len();
    repository.forget(&[first.id]).await.unwrap();

    // Young: nothing happens. Then marked, then waited for, then deleted.
    assert_eq!(prune(&repository, 24 * HOUR).await.deleted_packs, 0);
    clock.advance(25 * HOUR);
    let report = prune(&repository, 24 * HOUR).await;
    assert!(report.plan.total(PruneAction::Mark).0 > 0);
    assert_eq!(store.names("packs/").len(), packs);
    clock.advance(23 * HOUR);
    assert_eq!(prune(&repository, 24 * HOUR).await.deleted_packs, 0);
    clock.advance(2 * HOUR);
    let report = prune(&repository, 24 * HOUR).await;
    assert!(report.deleted_packs > 0);
    assert_eq!(store.names("packs/").len(), packs - report.deleted_packs as usize);

    let repository = open(store, &secret).await.unwrap();
    assert_eq!(read(&repository, &second).await.unwrap(), other);
}

#[tokio::test]
async fn bases_of_a_kept_snapshot_are_kept() {
    let (store, clock) = timed();
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let mut database = shop();
    let first = back_up(&repository, &database).await.unwrap();
    next_day(&mut database, 1);
    let second = back_up(&repository, &database).await.unwrap();
    repository.forget(&[first.id]).await.unwrap();
    clock.advance(48 * HOUR);
    prune(&repository, Duration::ZERO).await;
    let repository = open(store, &secret).await.unwrap();
    assert_eq!(read(&repository, &second).await.unwrap(), database);
}

#[tokio::test]
async fn without_grace_marking_and_deleting_happen_at_once() {
    let (store, _clock) = timed();
    let repository = init(store.clone(), &key_file()).await;
    let snapshot = back_up(&repository, &shop()).await.unwrap();
    repository.forget(&[snapshot.id]).await.unwrap();
    let report = prune(&repository, Duration::ZERO).await;
    assert!(report.deleted_packs > 0);
    assert!(store.names("packs/").is_empty());
    assert!(store.names("leases/").len() <= 1);
}

#[tokio::test]
async fn a_writer_that_relies_on_long_marked_data_is_refused_and_its_rerun_succeeds() {
    let (store, clock) = timed();
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let database = shop();
    let first = back_up(&repository, &database).await.unwrap();
    // A second host begins, knowing the first snapshot's chunks.
    let slow = open(store.clone(), &secret).await.unwrap();
    let writer = slow.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    let part = PartName::new("table/public.orders");
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    let mut segment = writer.segment(&part, 0).await.unwrap();
    segment.write(&database[&("table/public.orders", false)][&0]).await.unwrap();
    segment.finish().await.unwrap();
    writer.finish_part(&part, Default::default()).await.unwrap();

    repository.forget(&[first.id]).await.unwrap();
    clock.advance(48 * HOUR);
    prune(&repository, 24 * HOUR).await;
    clock.advance(2 * HOUR);
    let refused = writer.commit(Evidence::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
    assert!(store.names("snapshots/").is_empty());

    let again = back_up(&slow, &database).await.unwrap();
    clock.advance(48 * HOUR);
    prune(&repository, 24 * HOUR).await;
    assert_eq!(read(&open(store, &secret).await.unwrap(), &again).await.unwrap(), database);
}

#[tokio::test]
async fn a_snapshot_committed_after_the_mark_saves_its_packs() {
    let (store, clock) = timed();
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let database = shop();
    let first = back_up(&repository, &database).await.unwrap();
    let slow = open(store.clone(), &secret).await.unwrap();
    let writer = slow.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    let part = PartName::new("table/public.orders");
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    let mut segment = writer.segment(&part, 0).await.unwrap();
    let bytes = database[&("table/public.orders", false)][&0].clone();
    segment.write(&bytes).await.unwrap();
    segment.finish().await.unwrap();
    writer.finish_part(&part, Default::default()).await.unwrap();

    clock.advance(48 * HOUR);
    repository.forget(&[first.id]).await.unwrap();
    assert!(prune(&repository, 24 * HOUR).await.plan.total(PruneAction::Mark).0 > 0);
    clock.advance(HOUR / 2);
    let saved = writer.commit(Evidence::default()).await.unwrap();
    clock.advance(48 * HOUR);
    let report = prune(&repository, 24 * HOUR).await;
    assert!(report.plan.total(PruneAction::Unmark).0 > 0);
    let back = read(&open(store, &secret).await.unwrap(), &saved).await.unwrap();
    assert_eq!(back[&("table/public.orders", false)][&0], bytes);
}

#[tokio::test]
async fn only_one_prunes_and_a_killed_holder_blocks_nobody_for_long() {
    let (store, clock) = timed();
    let repository = init(store.clone(), &key_file()).await;
    let store: Arc<dyn backup_core::port::Store> = store;
    let held = Lease::acquire(&store, "prune").await.unwrap();
    let refused =
        repository.prune(PruneOptions::default(), Arc::new(NoObserver)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    drop(held);
    clock.advance(HOUR);
    prune(&repository, 24 * HOUR).await;
    prune(&repository, 24 * HOUR).await;
}

#[tokio::test]
async fn a_store_that_overwrites_is_refused() {
    let store = Arc::new(MemoryStore::new().without_create_if_absent());
    let repository = init(store, &key_file()).await;
    let refused =
        repository.prune(PruneOptions::default(), Arc::new(NoObserver)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_suspended_run_names_too_late_deceives_no_other() {
    let (store, clock) = timed();
    let secret = key_file();
    let host = async |store| open_at(store, clock.clone(), &secret).await.unwrap();
    init(store.clone(), &secret).await;
    // Suspended before its index is written, and again before it looks at what it wrote.
    let pause = || Fault::slow(Duration::from_millis(700)).first(1);
    let slow = FaultStore::around(store.clone())
        .with(pause().on(Operation::Create).under("index/"))
        .with(pause().on(Operation::Stat).under("packs/"));
    let slow = Arc::new(slow);
    let late = host(slow.clone()).await;
    let database = shop();
    let same = database.clone();
    let late = tokio::spawn(async move { back_up(&late, &same).await });
    let names =
        |call: &Call| call.operation == Operation::Create && call.name.starts_with("index/");
    let looks = |call: &Call| call.operation == Operation::Stat && call.name.starts_with("packs/");
    until(|| slow.log().iter().any(names)).await;

    clock.advance(30 * HOUR);
    let pruner = host(store.clone()).await;
    if prune(&pruner, 24 * HOUR).await.deleted_packs == 0 {
        return; // On a machine so slow that the run was not late, nothing is to be seen.
    }
    until(|| slow.log().iter().any(looks)).await;

    match back_up(&host(store.clone()).await, &database).await {
        Err(deceived) => {
            assert_eq!(deceived.kind(), ErrorKind::Integrity, "{deceived:?}");
            assert!(store.names("snapshots/").is_empty());
        }
        // On a slow machine the index is gone by now, and everything is stored once more.
        Ok(own) => assert!(read(&pruner, &own).await.unwrap() == database),
    }
    assert_eq!(late.await.unwrap().unwrap_err().kind(), ErrorKind::Conflict);
    let again = host(store.clone()).await;
    let snapshot = back_up(&again, &database).await.unwrap();
    assert!(read(&again, &snapshot).await.unwrap() == database);
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
