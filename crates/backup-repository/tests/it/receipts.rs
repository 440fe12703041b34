//! Receipts of drills: each is read once, whoever asks how often.

use std::sync::Arc;

use backup_core::port::Store as _;
use backup_repository::Repository;
use backup_testkit::MemoryStore;

use crate::world::{init, key_file, open};

/// What was drilled, newest first, and what it cost, in objects read.
async fn all(repository: &Repository, store: &MemoryStore, most: usize) -> (Vec<String>, u64) {
    let before = store.requests().gets;
    let mut seen = 0;
    let receipts = repository.drills(|_: &String| {
        seen += 1;
        seen < most
    });
    (receipts.await.unwrap(), store.requests().gets - before)
}

#[tokio::test]
async fn what_was_read_once_is_not_read_again_and_damage_is_not_believed() {
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    let at = |day: u32| format!("2026-11-{day:02}T00:00:00Z").parse().unwrap();
    for day in 1..=20 {
        repository.record_drill(at(day), &format!("day {day}")).await.unwrap();
    }
    let (receipts, cost) = all(&repository, &store, 100).await;
    assert_eq!((receipts.len(), cost), (20, 20));
    assert_eq!(receipts[0], "day 20");
    assert_eq!(all(&repository, &store, 100).await, (receipts, 0), "nothing is new");
    repository.record_drill(at(21), &"day 21".to_owned()).await.unwrap();
    let (receipts, cost) = all(&repository, &store, 100).await;
    assert_eq!((receipts.len(), cost), (21, 1));
    assert_eq!(all(&repository, &store, 1).await.0, ["day 21"]);

    // Another handle knows nothing, and passes over what is damaged.
    let mut names = store.names("drills/");
    names.sort();
    assert!(store.corrupt(&names[0], 40, 1));
    let other = open(Arc::new(store.clone()), &secret).await.unwrap();
    let (receipts, _) = all(&other, &store, 100).await;
    assert_eq!(receipts.len(), 20);
    assert_eq!(receipts.last().map(String::as_str), Some("day 2"));
}
