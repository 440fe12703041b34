//! The SFTP adapter against OpenSSH.

#![cfg(feature = "sftp")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stderr, reason = "test helpers")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use backup_core::ErrorKind;
use backup_storage::{CreateIfAbsent, StoreOptions, open};
use backup_testkit::{conformance, sftp};
use common::{name, options};
use futures::TryStreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn openssh_keeps_the_contract() {
    let Some(server) = sftp::Server::start() else { return };
    let probing = StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..options() };
    let store = open(&server.url("some/repository"), &probing).await.unwrap();
    assert!(store.capabilities().create_if_absent);
    assert!(store.capabilities().near);
    conformance::store(Arc::clone(&store)).await;
    let leftovers: Vec<_> =
        std::fs::read_dir(server.data().join("some/repository/TMP")).unwrap().collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_whole_files_of_their_owner() {
    let Some(server) = sftp::Server::start() else { return };
    let store = open(&server.url("repository"), &options()).await.unwrap();
    let body = bytes::Bytes::from(vec![0x5a; 9_000_001]);
    let begun = Instant::now();
    store.create(&name("packs/aa/one"), body.clone()).await.unwrap();
    let put = begun.elapsed();
    let file = server.data().join("repository/packs/aa/one");
    assert_eq!(std::fs::read(&file).unwrap(), body);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let begun = Instant::now();
    assert_eq!(store.get(&name("packs/aa/one")).await.unwrap(), body);
    eprintln!("put {put:?}, get {:?}", begun.elapsed());
    // Strangers' files, and names that no object has, are passed over.
    std::fs::write(server.data().join("repository/packs/READ ME"), "x").unwrap();
    let objects: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[0].size, 9_000_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_opened_again() {
    let Some(server) = sftp::Server::start() else { return };
    let store = open(&server.url("repository"), &options()).await.unwrap();
    store.create(&name("a/one"), "1".into()).await.unwrap();
    server.cut().unwrap();
    assert_eq!(store.get(&name("a/one")).await.unwrap(), "1");
    server.cut().unwrap();
    store.create(&name("a/two"), "2".into()).await.unwrap();
    server.cut().unwrap();
    let error = store.create(&name("a/two"), "3".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    server.cut().unwrap();
    let objects: Vec<_> = store.list("a/").await.unwrap().try_collect().await.unwrap();
    assert_eq!(objects.len(), 2, "{objects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why() {
    let Some(server) = sftp::Server::start() else { return };
    for (identity, hosts, word) in
        [("stranger", "known_hosts", "public key"), ("user", "nobody", "known_hosts")]
    {
        let url = server.url_with("repository", identity, hosts);
        let store = open(&url, &options()).await.unwrap();
        let begun = Instant::now();
        let error = store.get(&name("config")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
        assert!(error.remedy().unwrap().contains(word), "{error:?}\n{}", server.log());
        assert!(begun.elapsed().as_secs() < 20, "it was tried again and again");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("sftp://127.0.0.1:{closed}/srv/x");
    let error = open(&url, &options()).await.unwrap().get(&name("config")).await.unwrap_err();
    assert!(format!("{error:?}").contains("refused"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_refuses_writes_and_nothing_else() {
    let Some(server) = sftp::Server::start_with("ForceCommand internal-sftp -R") else { return };
    std::fs::create_dir_all(server.data().join("repository/a")).unwrap();
    std::fs::write(server.data().join("repository/a/one"), "1").unwrap();
    let store = open(&server.url("repository"), &options()).await.unwrap();
    assert_eq!(store.get(&name("a/one")).await.unwrap(), "1");
    let error = store.create(&name("a/two"), "2".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
    let error = store.delete(&name("a/one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
    assert_eq!(store.get(&name("a/one")).await.unwrap(), "1");
}
