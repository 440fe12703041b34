use std::sync::Arc;

use backup_core::port::{NoObserver, PartSink};
use backup_core::{ErrorKind, Evidence, Layout, PartName, Verified, VerifyLevel};
use backup_testkit::MemoryStore;

use crate::world::{
    back_up, clock, draft, init, key_file, next_day, open, passphrase, read, rows, shop,
};

#[tokio::test]
async fn what_goes_in_comes_out() {
    let store = Arc::new(MemoryStore::new().near());
    let secret = key_file();
    let database = shop();
    let first = back_up(&init(store.clone(), &secret).await, &database).await.unwrap();
    let repository = open(store, &secret).await.unwrap();
    let records = repository.snapshots().await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].snapshot, first);
    assert_eq!(read(&repository, &first).await.unwrap(), database);
    let bytes: usize = database.values().flat_map(|s| s.values()).map(Vec::len).sum();
    assert_eq!(first.read_bytes, bytes as u64);
}

#[tokio::test]
async fn an_unchanged_database_adds_next_to_nothing() {
    let store = Arc::new(MemoryStore::new().near());
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let database = shop();
    let first = back_up(&repository, &database).await.unwrap();
    let second = back_up(&repository, &database).await.unwrap();
    assert_eq!(second.added_bytes, 0);
    assert!(second.stored_bytes < 1000, "{}", second.stored_bytes);
    assert_eq!((first.sequence, second.sequence), (1, 2));
    assert_eq!(second.previous, Some(first.id));
    assert_eq!(read(&repository, &second).await.unwrap(), database);
}

#[tokio::test]
async fn snapshots_do_not_depend_on_each_other() {
    let store = Arc::new(MemoryStore::new().near());
    let secret = key_file();
    let repository = init(store.clone(), &secret).await;
    let mut database = shop();
    let mut days = Vec::new();
    for day in 0..10 {
        days.push((back_up(&repository, &database).await.unwrap(), database.clone()));
        next_day(&mut database, day);
    }
    // Forget all but the last: it must still be whole.
    let (last, expected) = days.pop().unwrap();
    let ids: Vec<_> = days.iter().map(|(snapshot, _)| snapshot.id).collect();
    repository.forget(&ids).await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap().len(), 1);
    assert_eq!(read(&repository, &last).await.unwrap(), expected);
}

#[tokio::test]
async fn a_segment_larger_than_a_chunk_is_cut_and_joined() {
    let store = Arc::new(MemoryStore::new().near());
    let repository = init(store, &key_file()).await;
    let mut large = Vec::new();
    while large.len() < 20 << 20 {
        large.extend_from_slice(&rows(20_000, large.len() as u64));
    }
    let database = [(("table/large", false), [(0, large)].into())].into();
    let snapshot = back_up(&repository, &database).await.unwrap();
    assert!(read(&repository, &snapshot).await.unwrap() == database);
}

#[tokio::test]
async fn nothing_unfinished_is_committed() {
    let store = Arc::new(MemoryStore::new());
    let repository = init(store.clone(), &key_file()).await;
    let part = PartName::new("table/a");

    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    assert!(writer.clone().commit(Evidence::default()).await.is_err(), "unfinished part");
    let segment = writer.segment(&part, 0).await.unwrap();
    drop(segment);
    assert!(writer.finish_part(&part, Default::default()).await.is_err(), "dropped segment");
    assert!(writer.begin_part(&part, Layout::Segments).await.is_err(), "name used twice");
    assert!(writer.segment(&PartName::new("other"), 0).await.is_err(), "part not begun");

    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    for _ in 0..2 {
        writer.segment(&part, 7).await.unwrap().finish().await.unwrap();
    }
    assert!(writer.finish_part(&part, Default::default()).await.is_err(), "address used twice");
    assert!(store.names("snapshots/").is_empty());
}

#[tokio::test]
async fn proofs_and_pins_are_remembered() {
    let store = Arc::new(MemoryStore::new());
    let repository = init(store, &key_file()).await;
    let id = back_up(&repository, &shop()).await.unwrap().id;
    let level = |record: &backup_core::SnapshotRecord| record.verified.level;
    assert_eq!(level(&repository.snapshot(id).await.unwrap()), VerifyLevel::None);
    for proved in [VerifyLevel::Exists, VerifyLevel::Read, VerifyLevel::Exists] {
        let verified =
            Verified { level: proved, at: Some("2026-11-02T00:00:00Z".parse().unwrap()) };
        repository.record_verification(id, verified).await.unwrap();
    }
    repository.pin(id).await.unwrap();
    repository.pin(id).await.unwrap();
    let record = repository.snapshot(id).await.unwrap();
    assert_eq!(level(&record), VerifyLevel::Read);
    assert!(record.pinned);
    repository.unpin(id).await.unwrap();
    assert!(!repository.snapshot(id).await.unwrap().pinned);
    repository.forget(&[id]).await.unwrap();
    let gone = repository.snapshot(id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn opening_says_what_is_wrong() {
    let store = Arc::new(MemoryStore::new());
    let kind =
        |result: backup_core::Result<backup_repository::Repository>| result.unwrap_err().kind();
    let none = open(store.clone(), &key_file()).await;
    assert_eq!(kind(none), ErrorKind::StoreUnavailable);
    init(store.clone(), &passphrase("right")).await;
    assert_eq!(kind(open(store.clone(), &passphrase("wrong")).await), ErrorKind::WrongKey);
    assert_eq!(kind(open(store.clone(), &key_file()).await), ErrorKind::WrongKey);
    assert!(open(store.clone(), &passphrase("right")).await.is_ok());
    let again = backup_repository::Repository::init(
        store.clone(),
        clock(),
        vec![backup_repository::NewKey { secret: key_file(), label: "x".into() }],
        Default::default(),
    );
    assert_eq!(kind(again.await), ErrorKind::Conflict);

    let config = "config".parse().unwrap();
    let text = String::from_utf8(store.peek(&config).unwrap().to_vec()).unwrap();
    store.plant(&config, text.replace("{\"format\":1", "{\"format\":2"));
    assert_eq!(kind(open(store.clone(), &passphrase("right")).await), ErrorKind::Unsupported);
    store.plant(&config, text.replace("2026", "2027"));
    assert_eq!(kind(open(store.clone(), &passphrase("right")).await), ErrorKind::Integrity);
    store.plant(&config, "hello");
    assert_eq!(kind(open(store.clone(), &passphrase("right")).await), ErrorKind::Integrity);
}
