//! Thousands of tiny tables.

use std::sync::Arc;
use std::time::Instant;

use backup_core::port::{NoObserver, Store};
use backup_repository::PruneOptions;
use backup_testkit::MemoryStore;
use backup_verification::{Depth, Request, verify};

use crate::world::{Database, back_up, clock, init, key_file, read, rows};

const PARTS: u64 = 5000;

fn database(day: u64) -> Database {
    let table = |number: u64| {
        let name: &'static str = format!("table/public.t{number:05}").leak();
        // One in a hundred changes from day to day.
        let seed = if number % 100 == day % 100 { number + 100_000 * day } else { number };
        ((name, false), [(0, rows(2, seed))].into())
    };
    (0..PARTS).map(table).collect()
}

#[tokio::test]
async fn requests_do_not_grow_with_the_number_of_tables() {
    let store = Arc::new(MemoryStore::new().near());
    let repository = init(store.clone(), &key_file()).await;
    let asked = || {
        let requests = store.requests();
        requests.gets + requests.creates + requests.lists + requests.stats
    };
    let mut last = (asked(), Instant::now());
    let mut step = |what: &str, most: u64| {
        let requests = asked() - last.0;
        eprintln!("{what}: {requests} requests, {:?}", last.1.elapsed());
        assert!(requests <= most, "{what}: {requests} requests");
        last = (asked(), Instant::now());
    };
    let (today, tomorrow) = (database(1), database(2));
    let first = back_up(&repository, &today).await.unwrap();
    step("first backup", 40);
    let second = back_up(&repository, &tomorrow).await.unwrap();
    step("next day", 60);
    assert!(second.added_bytes * 20 < first.added_bytes);
    assert!(read(&repository, &second).await.unwrap() == tomorrow);
    step("restore", 60);
    let all = Request { snapshots: Vec::new(), depth: Depth::Read };
    let clock: Arc<dyn backup_core::port::Clock> = clock();
    let observer: Arc<dyn backup_core::port::Observer> = Arc::new(NoObserver);
    let report = verify(&repository, &all, &clock, &observer).await.unwrap();
    assert!(report.is_clean());
    step("verify", 120);
    repository.prune(PruneOptions::default(), Arc::new(NoObserver)).await.unwrap();
    step("prune", 120);
}
