//! The same repository in two places.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{NoObserver, Store};
use backup_core::{ErrorKind, Verified, VerifyLevel};
use backup_repository::{CopyReport, PruneOptions, Repository, Wanted};
use backup_testkit::{Fault, FaultStore, MemoryStore, Operation};

use crate::world::{back_up, init, key_file, next_day, open, read, shop};

async fn copy(from: &Repository, to: &Repository) -> backup_core::Result<CopyReport> {
    from.copy(to, &Wanted::Newer, Arc::new(NoObserver)).await
}

#[tokio::test]
async fn a_copy_is_the_same_repository_and_restores_alone() {
    let (here, there) = (Arc::new(MemoryStore::new().near()), Arc::new(MemoryStore::new().near()));
    let secret = key_file();
    let repository = init(here.clone(), &secret).await;
    let mut database = shop();
    let first = back_up(&repository, &database).await.unwrap();
    let before = database.clone();
    next_day(&mut database, 1);
    let second = back_up(&repository, &database).await.unwrap();
    let proof = Verified { level: VerifyLevel::Read, at: Some(second.finished_at) };
    repository.record_verification(second.id, proof).await.unwrap();
    repository.pin(first.id).await.unwrap();

    let other = repository.second(there.clone(), true).await.unwrap();
    let plan = repository.plan_copy(&other, &Wanted::Newer).await.unwrap();
    assert_eq!(there.names("packs/").len(), 0, "a plan changes nothing");
    let report = copy(&repository, &other).await.unwrap();
    assert_eq!(report.plan.packs.len(), plan.packs.len());
    assert_eq!(report.written_bytes, plan.bytes());
    drop((here, repository));

    let alone = open(there, &secret).await.unwrap();
    assert!(read(&alone, &first).await.unwrap() == before);
    assert!(read(&alone, &second).await.unwrap() == database);
    let records = alone.snapshots().await.unwrap();
    assert!(records[0].pinned && !records[1].pinned);
    // What was read over there was not read here.
    assert_eq!(records[1].verified.level, VerifyLevel::None);
}

#[tokio::test]
async fn only_what_is_new_goes_over_and_what_was_forgotten_there_stays_forgotten() {
    let (here, there) = (Arc::new(MemoryStore::new().near()), Arc::new(MemoryStore::new().near()));
    let repository = init(here, &key_file()).await;
    let mut database = shop();
    let before = database.clone();
    let first = back_up(&repository, &database).await.unwrap();
    let other = repository.second(there.clone(), true).await.unwrap();
    let all = copy(&repository, &other).await.unwrap();
    assert_eq!(copy(&repository, &other).await.unwrap().written_bytes, 0);
    next_day(&mut database, 1);
    let second = back_up(&repository, &database).await.unwrap();
    let next = copy(&repository, &other).await.unwrap();
    assert_eq!(next.plan.snapshots.len(), 1);
    assert!(next.plan.known_packs > 0, "it rests on packs that were there");
    assert!(next.written_bytes < all.written_bytes);

    other.forget(&[first.id]).await.unwrap();
    assert!(copy(&repository, &other).await.unwrap().plan.snapshots.is_empty());
    let none = PruneOptions { grace: Duration::ZERO };
    other.prune(none, Arc::new(NoObserver)).await.unwrap();
    assert!(read(&other, &second).await.unwrap() == database);
    // Unless it is asked for; then packs that prune has dropped there come back, with an index.
    let wanted = Wanted::These(vec![first.id]);
    repository.copy(&other, &wanted, Arc::new(NoObserver)).await.unwrap();
    assert!(read(&other, &first).await.unwrap() == before);
}

#[tokio::test]
async fn packs_that_are_marked_there_are_named_again() {
    let (here, there) = (Arc::new(MemoryStore::new().near()), Arc::new(MemoryStore::new().near()));
    let repository = init(here, &key_file()).await;
    let database = shop();
    let first = back_up(&repository, &database).await.unwrap();
    let other = repository.second(there.clone(), true).await.unwrap();
    copy(&repository, &other).await.unwrap();
    other.forget(&[first.id]).await.unwrap();
    // Everything is a leftover there now, and marked.
    let marks = PruneOptions { grace: Duration::from_nanos(1) };
    other.prune(marks, Arc::new(NoObserver)).await.unwrap();
    let report = repository.copy(&other, &Wanted::Missing, Arc::new(NoObserver)).await.unwrap();
    assert!(!report.plan.renamed.is_empty() || !report.plan.packs.is_empty());
    other.prune(PruneOptions { grace: Duration::ZERO }, Arc::new(NoObserver)).await.unwrap();
    assert!(read(&other, &first).await.unwrap() == database);
}

#[tokio::test]
async fn another_repository_is_never_written_into() {
    let (here, there) = (Arc::new(MemoryStore::new().near()), Arc::new(MemoryStore::new().near()));
    let repository = init(here, &key_file()).await;
    init(there.clone(), &key_file()).await;
    let names = there.names("");
    let error = repository.second(there.clone(), true).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(there.names(""), names);
}

#[tokio::test]
async fn damage_does_not_spread() {
    let here = MemoryStore::new().near();
    let repository = init(Arc::new(here.clone()), &key_file()).await;
    back_up(&repository, &shop()).await.unwrap();
    let faulty = FaultStore::new(here);
    faulty.add(Fault::corrupt(5000).on(Operation::Get).under("packs/"));
    let there = Arc::new(MemoryStore::new().near());
    // The same repository through a store that flips a bit.
    let damaged = repository.second(Arc::new(faulty), true).await.unwrap();
    let other = damaged.second(there.clone(), true).await.unwrap();
    let error = copy(&damaged, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:?}");
    assert!(other.snapshots().await.unwrap().is_empty());
    // With the honest store it goes on from there.
    copy(&repository, &other).await.unwrap();
    assert_eq!(other.snapshots().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_copy_that_fails_anywhere_loses_nothing_and_its_rerun_succeeds() {
    let here = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(here.clone()), &secret).await;
    let mut database = shop();
    let before = database.clone();
    let first = back_up(&repository, &database).await.unwrap();
    let there = MemoryStore::new().near();
    let other = repository.second(Arc::new(there.clone()), true).await.unwrap();
    copy(&repository, &other).await.unwrap();
    next_day(&mut database, 1);
    let second = back_up(&repository, &database).await.unwrap();
    for crash in [false, true] {
        for call in 0.. {
            let place = there.snapshot();
            let faulty = FaultStore::new(place.clone());
            let other = open(Arc::new(faulty.clone()), &secret).await.unwrap();
            let opened = faulty.calls();
            faulty.add(if crash { Fault::crash_after(call) } else { Fault::fail().nth(call + 1) });
            let result = copy(&repository, &other).await;
            let reached = faulty.calls() - opened > call;
            let other = open(Arc::new(place.clone()), &secret).await.unwrap();
            for record in other.snapshots().await.unwrap() {
                let expected = if record.snapshot.id == first.id { &before } else { &database };
                let found = read(&other, &record.snapshot).await.unwrap();
                assert!(found == *expected, "call {call}");
            }
            if result.is_err() {
                // The lease of a killed copy lapses with time; nobody else is there.
                for lease in place.names("leases/") {
                    place.delete(&lease).await.unwrap();
                }
            }
            copy(&repository, &other).await.unwrap();
            assert!(read(&other, &second).await.unwrap() == database);
            if !reached {
                assert!(result.is_ok(), "nothing failed, so it must succeed");
                assert!(call > 10, "the fault was never reached");
                break;
            }
        }
    }
}
