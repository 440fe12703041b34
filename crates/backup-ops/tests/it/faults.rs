//! Every call to the store fails once, in every way, in every operation; afterwards nothing is
//! lost, and the same command succeeds.

use std::sync::Arc;
use std::time::Duration;

use backup_core::Result;
use backup_core::port::Store;
use backup_ops::Interrupt;
use backup_ops::verify::{Depth, Request, verify};
use backup_repository::Repository;
use backup_testkit::{Fault, FaultStore, MemoryStore};

use crate::fixture::{
    Server, back_up, clock, initialized, observer, open, open_in, request, restored, tables,
};

/// No operation here makes this many calls.
const MANY: u64 = 2_000;

type Break = fn(u64) -> Fault;

const BREAKS: [(&str, Break); 3] = [
    ("one call fails", |n| Fault::fail().nth(n)),
    ("the process dies", |n| Fault::crash_after(n - 1)),
    ("a reply is lost", |n| Fault::lose_reply().nth(n)),
];

/// Runs `work` on a copy of `start` with the Nth call broken, for every N until nothing breaks
/// any more, and hands each outcome to `check`.
async fn for_every_call<W, C>(start: &MemoryStore, work: W, check: C)
where
    W: AsyncFn(Repository) -> Result<()>,
    C: AsyncFn(String, MemoryStore, Result<()>),
{
    for (name, fault) in BREAKS {
        let mut broken = 0;
        for n in 1..MANY {
            let store = start.snapshot();
            let faulty = Arc::new(FaultStore::new(store.clone()).with(fault(n)));
            let result = match open_in(Arc::clone(&faulty) as Arc<dyn Store>).await {
                Ok(repository) => work(repository).await,
                Err(error) => Err(error),
            };
            let finished = faulty.calls() < n;
            broken += u64::from(result.is_err());
            check(format!("{name}, call {n}"), store, result).await;
            if finished {
                break;
            }
            assert!(n + 1 < MANY, "{name}: never finishes");
        }
        assert!(broken > 5, "{name}: only {broken} calls mattered");
    }
}

/// Everything that is listed reads back, and every snapshot restores to one of `states`.
async fn nothing_lost(about: &str, store: &MemoryStore, states: &[&Server], at_least: usize) {
    let repository = open(store.clone()).await.unwrap();
    let records = repository.snapshots().await.unwrap_or_else(|e| panic!("{about}: {e:?}"));
    assert!(records.len() >= at_least, "{about}: {} snapshots", records.len());
    for record in records {
        let tables = restored(&repository, &record.snapshot)
            .await
            .unwrap_or_else(|e| panic!("{about}: {e:?}"));
        assert!(states.iter().any(|state| state.tables() == tables), "{about}: other rows");
    }
}

#[tokio::test]
async fn backup() {
    let start = initialized().await;
    let (first, second) = (Server::new(tables(0)), Server::new(tables(1)));
    back_up(&open(start.clone()).await.unwrap(), &first, &request()).await.unwrap();
    for_every_call(
        &start,
        async |repository| back_up(&repository, &second, &request()).await.map(|_| ()),
        async |about, store, result| {
            nothing_lost(&about, &store, &[&first, &second], 1).await;
            let repository = open(store.clone()).await.unwrap();
            let before = repository.snapshots().await.unwrap().len();
            if result.is_ok() {
                assert_eq!(before, 2, "{about}: success without a snapshot");
            }
            let receipt = back_up(&repository, &second, &request())
                .await
                .unwrap_or_else(|e| panic!("{about}: the rerun failed: {e:?}"));
            assert!(!receipt.record.snapshot.is_suspect(), "{about}");
            let after = repository.snapshots().await.unwrap().len();
            assert_eq!(after, before + 1, "{about}");
            nothing_lost(&about, &store, &[&first, &second], 2).await;
        },
    )
    .await;
}

#[tokio::test]
async fn forget_and_prune() {
    let start = initialized().await;
    let (first, second) = (Server::new(tables(0)), Server::new(tables(7)));
    let repository = open(start.clone()).await.unwrap();
    let old = back_up(&repository, &first, &request()).await.unwrap().record.snapshot.id;
    back_up(&repository, &second, &request()).await.unwrap();
    let prune = async |repository: Repository| {
        let never = Interrupt::never();
        backup_ops::forget::execute(&repository, &[old]).await?;
        backup_ops::prune::prune(&repository, Duration::ZERO, &observer(), &never).await?;
        Ok(())
    };
    for_every_call(&start, prune, async |about, store, _| {
        nothing_lost(&about, &store, &[&first, &second], 1).await;
        // The lease of a process that died runs out.
        release_leases(&store).await;
        prune(open(store.clone()).await.unwrap())
            .await
            .unwrap_or_else(|e| panic!("{about}: the rerun failed: {e:?}"));
        nothing_lost(&about, &store, &[&second], 1).await;
    })
    .await;
}

async fn release_leases(store: &MemoryStore) {
    for name in store.names("leases/") {
        store.delete(&name).await.unwrap();
    }
}

#[tokio::test]
async fn verify_and_restore() {
    let start = initialized().await;
    let server = Server::new(tables(0));
    back_up(&open(start.clone()).await.unwrap(), &server, &request()).await.unwrap();
    for_every_call(
        &start,
        async |repository| {
            let all = Request { snapshots: Vec::new(), depth: Depth::Read };
            let never = Interrupt::never();
            let report = verify(&repository, &all, &clock(), &observer(), &never).await?;
            backup_ops::verify::demand(&report)?;
            let records = repository.snapshots().await?;
            restored(&repository, &records[0].snapshot).await.map(|_| ())
        },
        async |about, store, _| nothing_lost(&about, &store, &[&server], 1).await,
    )
    .await;
}
