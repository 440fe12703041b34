//! Bad luck: full disks, everybody at once, clocks that jump, stores that lie.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Clock, Store};
use backup_core::{ErrorKind, VerifyLevel};
use backup_ops::verify::{Depth, Request, demand, verify};
use backup_ops::{Interrupt, Promise, Selector, Standing, assess, select};
use backup_repository::Repository;
use backup_testkit::{FakeClock, Fault, FaultStore, MemoryStore};
use jiff::SignedDuration;

use crate::fixture::{
    Server, back_up, clock, initialized, observer, open, open_in, request, restored, secret,
    settings, tables,
};

async fn all_read(repository: &Repository) {
    let all = Request { snapshots: Vec::new(), depth: Depth::Read };
    let never = Interrupt::never();
    let report = verify(repository, &all, &clock(), &observer(), &never).await.unwrap();
    demand(&report).unwrap();
}

#[tokio::test]
async fn a_full_store_is_said_loses_nothing_and_goes_on_when_there_is_space() {
    let (first, second) = (Server::new(tables(0)), Server::new(tables(5)));
    let start = initialized().await;
    back_up(&open(start.clone()).await.unwrap(), &first, &request()).await.unwrap();
    let mut failed = 0;
    for bytes in (0..).step_by(700) {
        let store = start.snapshot();
        let faulty = Arc::new(FaultStore::new(store.clone()).with(Fault::full_after(bytes)));
        let repository = open_in(Arc::clone(&faulty) as Arc<dyn Store>).await.unwrap();
        match back_up(&repository, &second, &request()).await {
            Ok(_) => break,
            Err(error) => {
                failed += 1;
                assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
            }
        }
        faulty.heal();
        let receipt = back_up(&repository, &second, &request()).await.unwrap();
        assert_eq!(restored(&repository, &receipt.record.snapshot).await.unwrap(), second.tables());
        all_read(&open(store).await.unwrap()).await;
    }
    assert!(failed > 2, "only {failed} sizes were too small");
}

#[tokio::test]
async fn two_backups_and_a_prune_at_once() {
    let store = initialized().await;
    let (shop, blog) = (Server::new(tables(0)), Server::new(tables(3)));
    let seed = open(store.clone()).await.unwrap();
    let old = back_up(&seed, &shop, &request()).await.unwrap().record.snapshot.id;
    seed.forget(&[old]).await.unwrap();

    let (one, two, three) = (
        open(store.clone()).await.unwrap(),
        open(store.clone()).await.unwrap(),
        open(store.clone()).await.unwrap(),
    );
    let blog_request = backup_ops::BackupRequest { source: "blog".parse().unwrap(), ..request() };
    let never = Interrupt::never();
    let observer = observer();
    let asked = request();
    let (a, b, pruned) = tokio::join!(
        back_up(&one, &shop, &asked),
        back_up(&two, &blog, &blog_request),
        backup_ops::prune::prune(&three, Duration::from_secs(86_400), &observer, &never),
    );
    pruned.unwrap();
    let (a, b) = (a.unwrap(), b.unwrap());
    let fresh = open(store).await.unwrap();
    assert_eq!(restored(&fresh, &a.record.snapshot).await.unwrap(), shop.tables());
    assert_eq!(restored(&fresh, &b.record.snapshot).await.unwrap(), blog.tables());
    all_read(&fresh).await;
}

#[tokio::test]
async fn two_backups_of_one_source_at_once_are_two_snapshots() {
    let store = initialized().await;
    let server = Server::new(tables(0));
    let (one, two) = (open(store.clone()).await.unwrap(), open(store.clone()).await.unwrap());
    let asked = request();
    let (a, b) = tokio::join!(back_up(&one, &server, &asked), back_up(&two, &server, &asked));
    let (a, b) = (a.unwrap().record.snapshot, b.unwrap().record.snapshot);
    assert_ne!(a.id, b.id);
    let fresh = open(store).await.unwrap();
    for snapshot in [a, b] {
        assert_eq!(restored(&fresh, &snapshot).await.unwrap(), server.tables());
    }
    all_read(&fresh).await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_changes_neither_order_nor_protection() {
    let time = Arc::new(FakeClock::new("2026-03-10T02:00:00Z".parse().unwrap()));
    let ticking: Arc<dyn Clock> = time.clone();
    let store = MemoryStore::new().near().with_clock(Arc::clone(&ticking));
    let key = backup_repository::NewKey { secret: secret(), label: "test".into() };
    let repository = Repository::init(Arc::new(store), Arc::clone(&ticking), vec![key], settings())
        .await
        .unwrap();
    let server = Server::new(tables(0));
    let take = async || {
        let read = backup_ops::BackupRequest { verify: Depth::Read, ..request() };
        backup_ops::backup(&repository, &server, &read, &ticking, &observer(), &Interrupt::never())
            .await
            .unwrap()
            .record
    };
    let before = take().await;
    time.skew(SignedDuration::from_hours(-24 * 30));
    let after = take().await;
    assert!(after.snapshot.started_at < before.snapshot.started_at);
    assert_eq!(after.snapshot.sequence, before.snapshot.sequence + 1);

    let records = repository.heads().await.unwrap();
    let latest = select(&records, &"shop@latest".parse::<Selector>().unwrap()).unwrap();
    assert_eq!(latest.snapshot.id, after.snapshot.id);
    let promises = [("shop".parse().unwrap(), Promise::default())].into();
    // By the clock that jumped, the snapshot is fresh; nothing overflows or goes negative.
    let status = assess(&records, &promises, ticking.now());
    assert_eq!(status[0].standing, Standing::Protected, "{:?}", status[0].reasons);
    assert_eq!(status[0].newest.as_ref().unwrap().verified.level, VerifyLevel::Read);

    let keep_one = |_: &_| {
        Some(backup_ops::forget::Retention {
            policy: "1 daily".parse().unwrap(),
            required: VerifyLevel::Read,
            zone: jiff::tz::TimeZone::UTC,
        })
    };
    let plans = backup_ops::forget::plan(&records, &[].into(), keep_one, ticking.now());
    let kept: Vec<_> = plans[0].keep.iter().map(|kept| kept.snapshot.id).collect();
    assert!(kept.contains(&after.snapshot.id), "the newest by order stays, whatever its time");
}

#[tokio::test]
async fn a_store_that_lies_about_writing_is_found_out_by_the_same_command() {
    let store = initialized().await;
    let server = Server::new(tables(0));
    let lying = FaultStore::new(store).with(Fault::lie().under("packs/").nth(1));
    let repository = open(lying).await.unwrap();
    let error = back_up(&repository, &server, &request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:?}");
    assert!(error.remedy().unwrap().contains("repair index"), "{error:?}");
    repository.repair_index(observer()).await.unwrap();
    let receipt = back_up(&repository, &server, &request()).await.unwrap();
    assert_eq!(restored(&repository, &receipt.record.snapshot).await.unwrap(), server.tables());
}
