//! What is stored, day after day.

use std::sync::Arc;

use backup_repository::{DeltaMode, Repository, Settings};
use backup_testkit::MemoryStore;

use crate::world::{Database, back_up, clock, init, key_file, next_day, read, rows, settings};

fn table() -> Database {
    let segments = (0..8).map(|place| (place * 2048, rows(20_000, place))).collect();
    [(("table/public.orders", false), segments)].into()
}

async fn stored_by_days(settings: Settings, days: usize) -> Vec<u64> {
    let store = Arc::new(MemoryStore::new().near());
    let secret = key_file();
    init(store.clone(), &secret).await;
    let repository = Repository::open(store, clock(), &secret, settings).await.unwrap();
    let mut database = table();
    let mut stored = Vec::new();
    for day in 0..days {
        let snapshot = back_up(&repository, &database).await.unwrap();
        assert!(read(&repository, &snapshot).await.unwrap() == database, "day {day}");
        stored.push(snapshot.stored_bytes);
        next_day(&mut database, day);
    }
    stored
}

#[tokio::test]
async fn a_changed_day_costs_a_few_percent_of_the_first() {
    let stored = stored_by_days(settings(), 9).await;
    for (day, bytes) in stored.iter().enumerate().skip(1) {
        // Day 8 is past the longest chain: it is stored whole again.
        let limit = if day == 8 { 110 } else { 6 };
        assert!(bytes * 100 <= stored[0] * limit, "day {day}: {stored:?}");
    }
}

#[tokio::test]
async fn without_deltas_every_changed_chunk_is_stored_whole() {
    let off = Settings { delta: DeltaMode::Off, ..settings() };
    let stored = stored_by_days(off, 2).await;
    assert!(stored[1] * 100 > stored[0] * 90, "{stored:?}");
}
