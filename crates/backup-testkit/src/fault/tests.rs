use std::time::Duration;

use backup_core::port::Store;
use backup_core::{ErrorStatus, ObjectName};
use futures::TryStreamExt;

use crate::{Fault, FaultStore, MemoryStore, Operation};

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

#[tokio::test]
async fn crashes_after_n_calls_whatever_they_are() {
    let store = FaultStore::new(MemoryStore::new()).with(Fault::crash_after(2));
    store.create(&name("a"), "1".into()).await.unwrap();
    store.get(&name("a")).await.unwrap();
    assert!(store.get(&name("a")).await.is_err());
    assert!(store.list("").await.is_err());
    assert_eq!(store.calls(), 4);
    store.heal();
    assert_eq!(store.get(&name("a")).await.unwrap(), "1");
}

#[tokio::test]
async fn narrows_by_operation_prefix_and_count() {
    let fault = Fault::fail_temporarily().on(Operation::Get).under("packs/").nth(2);
    let store = FaultStore::new(MemoryStore::new()).with(fault);
    for object in ["packs/a", "index/a"] {
        store.create(&name(object), "1".into()).await.unwrap();
    }
    store.get(&name("packs/a")).await.unwrap();
    store.get(&name("index/a")).await.unwrap();
    let error = store.get(&name("packs/a")).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Temporary);
    store.get(&name("packs/a")).await.unwrap();
}

#[tokio::test]
async fn lies_tears_and_loses_replies() {
    let memory = MemoryStore::new();
    let store = FaultStore::new(memory.clone())
        .with(Fault::lie().under("lost"))
        .with(Fault::tear(2).under("torn"))
        .with(Fault::lose_reply().under("reply"));
    store.create(&name("lost"), "body".into()).await.unwrap();
    store.create(&name("torn"), "body".into()).await.unwrap();
    store.create(&name("reply"), "body".into()).await.unwrap_err();
    assert_eq!(memory.peek(&name("lost")), None);
    assert_eq!(memory.peek(&name("torn")).unwrap(), "bo");
    assert_eq!(memory.peek(&name("reply")).unwrap(), "body");
}

#[tokio::test]
async fn damages_reads() {
    let store = FaultStore::new(MemoryStore::new())
        .with(Fault::short_read(1).under("s"))
        .with(Fault::corrupt(6).under("c"));
    for object in ["s", "c"] {
        store.create(&name(object), "body".into()).await.unwrap();
    }
    assert_eq!(store.get(&name("s")).await.unwrap(), "bod");
    assert_eq!(store.get(&name("c")).await.unwrap(), "boey");
    assert_eq!(store.get_range(&name("s"), 0..2).await.unwrap(), "b");
}

#[tokio::test]
async fn fills_up_and_hides_new_objects() {
    let store =
        FaultStore::new(MemoryStore::new()).with(Fault::full_after(5)).with(Fault::hide_new(2));
    store.create(&name("a"), "1234".into()).await.unwrap();
    assert!(store.create(&name("b"), "1234".into()).await.is_err());
    store.create(&name("c"), "1".into()).await.unwrap();
    for expected in [0, 0, 2] {
        let seen: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
        assert_eq!(seen.len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn is_slow_and_hangs() {
    let store = FaultStore::new(MemoryStore::new())
        .with(Fault::slow(Duration::from_secs(9)).nth(1))
        .with(Fault::hang().nth(2));
    let started = tokio::time::Instant::now();
    store.create(&name("a"), "1".into()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(9));
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, store.get(&name("a"))).await.is_err());
}
