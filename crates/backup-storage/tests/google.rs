//! The Google Cloud Storage adapter against a server that answers as its JSON API is documented.
//! Nothing here has met the service itself.

#![cfg(feature = "google")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test helpers")]

mod common;

use std::sync::Arc;

use backup_core::ErrorKind;
use backup_storage::{CreateIfAbsent, StoreOptions, open};
use backup_testkit::conformance;
use common::{FakeGoogle, name, options};
use futures::TryStreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn the_json_api_keeps_the_contract() {
    let server = FakeGoogle::start().await;
    let probing = StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..options() };
    let store = open(&server.url("bucket"), &probing).await.unwrap();
    assert!(store.capabilities().create_if_absent);
    conformance::store(Arc::clone(&store)).await;
    for number in 0..5 {
        store.create(&name(&format!("a/{number}")), "x".into()).await.unwrap();
    }
    let before = server.pages();
    let objects: Vec<_> = store.list("a/").await.unwrap().try_collect().await.unwrap();
    assert_eq!((objects.len(), server.pages() - before), (5, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_not_an_empty_one() {
    let server = FakeGoogle::start().await;
    let store = open(&server.url("other"), &options()).await.unwrap();
    let listing = async { store.list("").await?.try_collect::<Vec<_>>().await.map(|_| ()) };
    let outcomes = [
        ("get", store.get(&name("config")).await.map(|_| ())),
        ("get_range", store.get_range(&name("config"), 0..1).await.map(|_| ())),
        ("stat", store.stat(&name("config")).await.map(|_| ())),
        ("list", listing.await),
        ("create", store.create(&name("a"), "x".into()).await),
    ];
    for (call, outcome) in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{call}: {error:?}");
        assert!(error.remedy().unwrap().contains("Create the bucket"), "{call}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again_and_what_does_not_is_explained() {
    let server = FakeGoogle::start().await;
    let store = open(&server.url("bucket"), &options()).await.unwrap();
    server.refuse(503, "backendError");
    server.refuse(429, "rateLimitExceeded");
    store.create(&name("a"), "x".into()).await.unwrap();
    server.refuse(403, "forbidden");
    let error = store.get(&name("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(error.remedy().unwrap().contains("storage.objects"), "{error:?}");
    assert_eq!(store.get(&name("a")).await.unwrap(), "x");
}
