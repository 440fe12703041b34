//! A failure at every single call to the store, and a crash after every single call.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::NoObserver;
use backup_repository::PruneOptions;
use backup_testkit::MemoryStore;
use backup_testkit::{Fault, FaultStore};

use crate::world::{Database, back_up, init, key_file, next_day, open, read, rows};

fn small() -> Database {
    let segments = (0..3).map(|place| (place * 2048, rows(1500, place))).collect();
    [(("table/a", false), segments), (("schema", true), [(0, rows(9, 2))].into())].into()
}

#[tokio::test]
async fn a_backup_that_fails_anywhere_loses_nothing_and_its_rerun_succeeds() {
    let honest = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(honest.clone()), &secret).await;
    let before = small();
    let first = back_up(&repository, &before).await.unwrap();
    let mut after = before.clone();
    next_day(&mut after, 5);
    for crash in [false, true] {
        for call in 0.. {
            let copy = honest.snapshot();
            let faulty = FaultStore::new(copy.clone());
            let repository = open(Arc::new(faulty.clone()), &secret).await.unwrap();
            let opened = faulty.calls();
            faulty.add(if crash { Fault::crash_after(call) } else { Fault::fail().nth(call + 1) });
            let result = back_up(&repository, &after).await;
            let reached = faulty.calls() - opened > call;
            let repository = open(Arc::new(copy), &secret).await.unwrap();
            let records = repository.snapshots().await.unwrap();
            // Whoever dies after the commit, before it looked for its packs, leaves a snapshot.
            let whole = crash && records.len() == 2;
            assert_eq!(records.len(), 1 + usize::from(result.is_ok() || whole), "call {call}");
            for record in &records {
                let expected = if record.snapshot.id == first.id { &before } else { &after };
                assert_eq!(&read(&repository, &record.snapshot).await.unwrap(), expected);
            }
            assert_eq!(read(&repository, &first).await.unwrap(), before);
            let again = back_up(&repository, &after).await.unwrap();
            assert_eq!(read(&repository, &again).await.unwrap(), after);
            if !reached {
                assert!(result.is_ok(), "nothing failed, so it must succeed");
                assert!(call > 5, "the fault was never reached");
                break;
            }
            // A base that cannot be read is survived; everything else is an error.
            assert!(!crash || result.is_err(), "crash after call {call} went unnoticed");
        }
    }
}

#[tokio::test]
async fn a_prune_that_crashes_anywhere_loses_nothing_and_its_rerun_succeeds() {
    let honest = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(honest.clone()), &secret).await;
    let mut database = small();
    let first = back_up(&repository, &database).await.unwrap();
    let other: Database = [(("table/b", false), [(0, rows(3000, 9))].into())].into();
    let gone = back_up(&repository, &other).await.unwrap();
    next_day(&mut database, 5);
    let last = back_up(&repository, &database).await.unwrap();
    repository.forget(&[first.id, gone.id]).await.unwrap();
    let options = PruneOptions { grace: Duration::ZERO };
    for call in 0.. {
        let copy = honest.snapshot();
        let faulty = FaultStore::new(copy.clone());
        let repository = open(Arc::new(faulty.clone()), &secret).await.unwrap();
        let opened = faulty.calls();
        faulty.add(Fault::crash_after(call));
        let result = repository.prune(options, Arc::new(NoObserver)).await;
        let reached = faulty.calls() - opened > call;
        let repository = open(Arc::new(copy.clone()), &secret).await.unwrap();
        assert_eq!(read(&repository, &last).await.unwrap(), database, "call {call}");
        for lease in copy.names("leases/") {
            copy.remove(&lease);
        }
        repository.prune(options, Arc::new(NoObserver)).await.unwrap();
        assert_eq!(read(&repository, &last).await.unwrap(), database, "call {call}");
        if !reached {
            assert!(result.is_ok());
            break;
        }
    }
}
