//! Snapshots in short: read once, never believed for ever.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Store;
use backup_core::{ErrorKind, HeadRecord, Verified, VerifyLevel};
use backup_repository::Repository;
use backup_testkit::MemoryStore;

use crate::world::{Database, back_up, back_up_slowly, clock, init, key_file, open_at, rows};

fn small(day: u64) -> Database {
    [(("table/a", false), [(0, rows(40, day))].into())].into()
}

/// What it cost, in objects read.
async fn scan(repository: &Repository, store: &MemoryStore) -> (Vec<HeadRecord>, u64) {
    let before = store.requests().gets;
    let heads = repository.heads().await.unwrap();
    (heads, store.requests().gets - before)
}

#[tokio::test]
async fn only_what_is_new_is_read_and_what_is_said_is_what_manifests_say() {
    let store = MemoryStore::new().near();
    let repository = init(Arc::new(store.clone()), &key_file()).await;
    for day in 0..4 {
        back_up(&repository, &small(day)).await.unwrap();
        back_up_slowly(&repository, "blog", &small(day + 10), || {}).await.unwrap();
    }
    let (heads, _) = scan(&repository, &store).await;
    let full = repository.snapshots().await.unwrap();
    let in_short: Vec<_> = full.iter().map(HeadRecord::from).collect();
    assert_eq!(heads, in_short, "the same, in the same order");
    assert_eq!(scan(&repository, &store).await.1, 0, "nothing is new");

    let id = full[0].snapshot.id;
    let verified =
        Verified { level: VerifyLevel::Read, at: Some("2026-11-01T01:00:00Z".parse().unwrap()) };
    repository.record_verification(id, verified).await.unwrap();
    repository.pin(full[1].snapshot.id).await.unwrap();
    let (heads, cost) = scan(&repository, &store).await;
    assert_eq!(cost, 2, "its manifest and its proof");
    assert_eq!((heads[0].verified, heads[1].pinned), (verified, true));

    repository.forget(&[id]).await.unwrap();
    back_up(&repository, &small(9)).await.unwrap();
    let (heads, _) = scan(&repository, &store).await;
    assert_eq!(heads.len(), 8);
    assert!(heads.iter().all(|head| head.snapshot.id != id));
    assert_eq!(heads.last().unwrap().snapshot.sequence, 5, "order is by sequence");
}

#[tokio::test]
async fn what_is_kept_spares_the_next_start_and_damage_is_noticed_within_days() {
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    for day in 0..6 {
        back_up(&repository, &small(day)).await.unwrap();
    }
    repository.heads().await.unwrap();
    let kept = repository.head_changes();
    assert_eq!(kept.len(), 6);
    assert!(repository.head_changes().is_empty(), "told once");
    let kept: Vec<_> = kept.into_iter().filter_map(|(_, head)| head).collect();
    let text = serde_json::to_string(&kept).unwrap();

    // What was kept before there were recovery sets does not say that a snapshot is in none: it is
    // read again.
    let before = text.replace(r#","set":null"#, "");
    assert_ne!(before, text);
    assert!(serde_json::from_str::<Vec<backup_repository::KnownHead>>(&before).is_err());

    let clock = clock();
    let reopen = || open_at(Arc::new(store.clone()), clock.clone(), &secret);
    let again = reopen().await.unwrap();
    again.recall_heads(serde_json::from_str::<Vec<_>>(&text).unwrap());
    let (heads, cost) = scan(&again, &store).await;
    assert_eq!((heads.len(), cost), (6, 0));

    let name = store.names("snapshots/").remove(2);
    assert!(store.corrupt(&name, 300, 1), "in place: neither its size nor its time changes");
    clock.advance(Duration::from_secs(25 * 3600));
    let scanned = again.scan_heads().await.unwrap();
    assert_eq!((scanned.records.len(), scanned.unreadable.len()), (5, 1));
    assert_eq!(again.heads().await.unwrap_err().kind(), ErrorKind::Integrity, "and stays so");
    assert!(store.corrupt(&name, 300, 1));
    assert_eq!(again.heads().await.unwrap().len(), 6, "healed is healed");
    // Another object under an old name is no old news.
    let other = store.peek(&store.names("snapshots/")[0]).unwrap();
    store.plant(&name, other);
    assert_eq!(again.heads().await.unwrap_err().kind(), ErrorKind::Integrity);
}
