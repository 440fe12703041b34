//! Runs that went wrong: nothing of them is committed, and the next one goes on.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{NoObserver, PartSink, Store};
use backup_core::{ErrorKind, Evidence, Layout, PartName};
use backup_repository::{Lease, PruneOptions};
use backup_testkit::{FakeClock, Fault, FaultStore, MemoryStore, Operation};
use futures::FutureExt;

use crate::world::{
    Database, back_up, back_up_slowly, draft, init, key_file, open, open_at, read, rows,
};

const HOUR: Duration = Duration::from_secs(3600);

fn timed() -> (Arc<MemoryStore>, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::manual("2026-11-01T00:00:00Z".parse().unwrap()));
    (Arc::new(MemoryStore::new().near().with_clock(clock.clone())), clock)
}

#[tokio::test]
async fn a_part_that_failed_to_finish_is_never_left_out_of_a_snapshot() {
    let store = Arc::new(MemoryStore::new());
    let repository = init(store.clone(), &key_file()).await;
    let part = PartName::new("table/a");
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    for _ in 0..2 {
        writer.segment(&part, 7).await.unwrap().finish().await.unwrap();
    }
    assert!(writer.finish_part(&part, Default::default()).await.is_err(), "address used twice");
    // An engine that goes on regardless.
    assert!(writer.commit(Evidence::default()).await.is_err());

    // Finishing was given up in the middle, as by a timeout.
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    let mut segment = writer.segment(&part, 0).await.unwrap();
    segment.write(&rows(10_000, 1)).await.unwrap();
    segment.finish().await.unwrap();
    let given_up = writer.finish_part(&part, Default::default()).now_or_never();
    assert!(given_up.is_none());
    assert!(writer.segment(&part, 1).await.is_err(), "a part that ends takes nothing more");
    assert!(writer.commit(Evidence::default()).await.is_err());
    assert!(store.names("snapshots/").is_empty());
}

#[tokio::test]
async fn a_snapshot_is_committed_once() {
    let store = Arc::new(MemoryStore::new());
    let repository = init(store.clone(), &key_file()).await;
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    writer.clone().commit(Evidence::default()).await.unwrap();
    assert!(writer.commit(Evidence::default()).await.is_err());
    assert_eq!(store.names("snapshots/").len(), 1);
}

#[tokio::test]
async fn a_failed_upload_is_remembered_by_everyone() {
    let store = MemoryStore::new();
    let secret = key_file();
    init(Arc::new(store.clone()), &secret).await;
    let faulty = FaultStore::new(store.clone());
    let repository = open(Arc::new(faulty.clone()), &secret).await.unwrap();
    faulty.add(Fault::fail().on(Operation::Create).under("packs/").nth(1));
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    let mut told = 0;
    for number in 0..20 {
        let part = PartName::new(format!("table/{number}"));
        if writer.begin_part(&part, Layout::Segments).await.is_err() {
            told += 1;
            continue;
        }
        let mut segment = writer.segment(&part, 0).await.unwrap();
        told += usize::from(segment.write(&crate::world::noise(100_000)).await.is_err());
        told += usize::from(segment.finish().await.is_err());
        told += usize::from(writer.finish_part(&part, Default::default()).await.is_err());
    }
    assert!(told > 0);
    assert!(writer.commit(Evidence::default()).await.is_err());
    assert!(store.names("snapshots/").is_empty());
}

#[tokio::test]
async fn a_run_that_was_suspended_commits_nothing_that_prune_may_have_taken() {
    let (store, clock) = timed();
    let secret = key_file();
    init(store.clone(), &secret).await;
    let host = open_at(store.clone(), clock.clone(), &secret).await.unwrap();
    let database: Database = [
        (("table/a", false), [(0, crate::world::noise(300_000))].into()),
        (("table/b", false), [(0, rows(100, 2)), (1, rows(100, 3))].into()),
    ]
    .into();
    // Its first pack is stored; then the machine sleeps for days, and prune runs twice.
    let mut segments = 0;
    let sleep = {
        let clock = clock.clone();
        move || {
            segments += 1;
            if segments == 3 {
                clock.advance(50 * HOUR);
            }
        }
    };
    let refused = back_up_slowly(&host, "shop", &database, sleep).await;
    if let Err(error) = &refused {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    }
    let again = back_up(&host, &database).await.unwrap();
    let pruner = open_at(store.clone(), clock.clone(), &secret).await.unwrap();
    for _ in 0..3 {
        pruner.prune(PruneOptions::default(), Arc::new(NoObserver)).await.unwrap();
        clock.advance(30 * HOUR);
    }
    assert_eq!(read(&pruner, &again).await.unwrap(), database);
    if let Ok(first) = refused {
        assert_eq!(read(&pruner, &first).await.unwrap(), database);
    }
}

/// The content of a table comes back after the base of its difference was pruned.
#[tokio::test]
async fn content_that_comes_back_is_stored_again_when_its_base_is_gone() {
    let (store, clock) = timed();
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let keep = (("table/keep", false), [(0, rows(50, 9))].into());
    let state = |edits: usize, more: bool| -> Database {
        let mut text = rows(400, 1);
        for at in (0..edits * 40).step_by(40) {
            text[at] = b'#';
        }
        let table = (("table/a", false), [(0, text)].into());
        if more { [table, keep.clone()].into() } else { [table].into() }
    };
    let first = back_up(&repository, &state(0, false)).await.unwrap();
    // The difference shares its pack with something that is kept.
    let second = back_up(&repository, &state(5, true)).await.unwrap();
    let kept = back_up(&repository, &[keep.clone()].into()).await.unwrap();
    repository.forget(&[first.id, second.id]).await.unwrap();
    for _ in 0..2 {
        clock.advance(48 * HOUR);
        repository.prune(PruneOptions::default(), Arc::new(NoObserver)).await.unwrap();
        let back = back_up(&repository, &state(5, true)).await.unwrap();
        let repository = open(store.clone(), &secret).await.unwrap();
        assert_eq!(read(&repository, &back).await.unwrap(), state(5, true));
        repository.forget(&[back.id]).await.unwrap();
    }
    assert_eq!(read(&repository, &kept).await.unwrap(), [keep].into());
}

#[tokio::test]
async fn a_lease_that_lapsed_and_was_cleared_by_another_is_not_renewed() {
    let (store, clock) = timed();
    let store: Arc<dyn Store> = store;
    let mut slow = Lease::acquire(&store, "prune").await.unwrap();
    clock.advance(HOUR);
    let other = Lease::acquire(&store, "prune").await.unwrap();
    assert!(other.token() > slow.token());
    other.release().await.unwrap();
    assert_eq!(slow.renew().await.unwrap_err().kind(), ErrorKind::Conflict);
    Lease::acquire(&store, "prune").await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_lease_nobody_can_read_lapses_like_any() {
    let (memory, clock) = timed();
    memory.plant(&"leases/prune/0000000000000004".parse().unwrap(), "torn");
    let store: Arc<dyn Store> = memory.clone();
    let refused = Lease::acquire(&store, "prune").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    clock.advance(HOUR);
    let lease = Lease::acquire(&store, "prune").await.unwrap();
    assert_eq!(lease.token(), 5);
    memory.plant(&format!("leases/keys/{}", u64::MAX).parse().unwrap(), "{}");
    clock.advance(HOUR);
    let refused = Lease::acquire(&store, "keys").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn repair_and_prune_exclude_each_other() {
    let (memory, clock) = timed();
    let repository = init(memory.clone(), &key_file()).await;
    let store: Arc<dyn Store> = memory;
    let held = Lease::acquire(&store, "prune").await.unwrap();
    let refused = repository.repair_index(Arc::new(NoObserver)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    drop(held);
    clock.advance(HOUR);
    repository.repair_index(Arc::new(NoObserver)).await.unwrap();
}

/// Prune took a pack that no index named yet for the leftover of a killed run.
#[tokio::test]
async fn no_index_names_a_pack_that_prune_took_before() {
    let (store, clock) = timed();
    let secret = key_file();
    init(store.clone(), &secret).await;
    let host = open_at(store.clone(), clock.clone(), &secret).await.unwrap();
    let database: Database = [
        (("table/a", false), [(0, crate::world::noise(300_000))].into()),
        (("table/b", false), [(0, rows(100, 2)), (1, rows(100, 3))].into()),
    ]
    .into();
    let taking = store.clone();
    let take = move || {
        for name in taking.names("packs/") {
            taking.remove(&name);
        }
    };
    let refused = back_up_slowly(&host, "shop", &database, take).await;
    if let Err(error) = refused {
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error:?}");
    }
    let again = back_up(&host, &database).await.unwrap();
    assert_eq!(read(&host, &again).await.unwrap(), database);
}
