//! The Azure adapter against Azurite.

#![cfg(feature = "azure")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test helpers")]

mod common;

use std::sync::Arc;

use backup_core::{ErrorKind, Secret};
use backup_storage::{AzureCredentials, CreateIfAbsent, StoreOptions, open};
use backup_testkit::{azure, conformance};
use common::{name, options};
use futures::TryStreamExt;

fn with_key(key: &str) -> StoreOptions {
    let azure = AzureCredentials { key: Some(Secret::new(key)), ..AzureCredentials::default() };
    StoreOptions { azure: Some(azure), ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_keeps_the_contract() {
    let Some(server) = azure::Server::start() else { return };
    let options =
        StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..with_key(server.key()) };
    let store = open(&server.url("some/prefix"), &options).await.unwrap();
    assert!(store.capabilities().create_if_absent);
    assert!(store.capabilities().near);
    conformance::store(Arc::clone(&store)).await;
    // The container itself, without a prefix.
    let whole = open(&server.url(""), &options).await.unwrap();
    whole.create(&name("x/y"), "whole".into()).await.unwrap();
    let objects: Vec<_> = whole.list("x/").await.unwrap().try_collect().await.unwrap();
    assert_eq!(objects.len(), 1, "{objects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_container_is_not_an_empty_one() {
    let Some(server) = azure::Server::start() else { return };
    let options = with_key(server.key());
    let store = open(&server.url_in("no-such-container", "x"), &options).await.unwrap();
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
async fn wrong_keys_are_named_without_showing_them() {
    let Some(server) = azure::Server::start() else { return };
    let wrong = "d3Jvbmctc2VjcmV0LWtleS1vZi10aGUtdGVzdA==";
    let store = open(&server.url("x"), &with_key(wrong)).await.unwrap();
    for error in [
        store.get(&name("config")).await.unwrap_err(),
        store.stat(&name("config")).await.unwrap_err(),
        store.create(&name("a"), "x".into()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
        assert!(error.remedy().unwrap().contains("AZURE_STORAGE_KEY"), "{error:?}");
        assert!(!format!("{error:?} {store:?}").contains(wrong), "{error:?}");
    }
}

#[tokio::test]
async fn an_account_must_be_named() {
    let error = open("azure://container/x", &options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.remedy().unwrap().contains("AZURE_STORAGE_ACCOUNT"));
}
