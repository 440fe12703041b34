//! Cancelling, and what happens to the server's side when ours lets go.

use std::time::{Duration, Instant};

use backup_core::{ErrorKind, ErrorStatus};
use backup_postgres::{Client, sqlstate};
use backup_testkit::postgres::Cluster;

use crate::support::{clusters, connect, majors, one, options, value};

/// A query that never ends by itself and cannot be interrupted by a closed socket alone.
const SLEEP: &str = "select pg_sleep(600)";
const ENDLESS: &str = "copy (select repeat('x', 100), generate_series(1, 2000000000)) to stdout";

#[tokio::test]
async fn a_sleeping_query_can_be_cancelled_and_the_session_goes_on() {
    for cluster in clusters(majors()) {
        for url in [cluster.url("postgres"), cluster.socket_url("postgres")] {
            let mut client = connect(&url).await.unwrap();
            let token = client.cancel_token();
            let begun = Instant::now();
            let cancel = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                token.cancel().await.unwrap();
            };
            let (slept, ()) = tokio::join!(client.query(SLEEP), cancel);
            assert_eq!(sqlstate(&slept.unwrap_err()), Some("57014"));
            assert!(begun.elapsed() < Duration::from_secs(60));
            assert_eq!(value(&mut client, "select 1").await, "1");
        }
    }
}

#[tokio::test]
async fn a_running_copy_can_be_cancelled() {
    for cluster in clusters(majors()) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let token = client.cancel_token();
        let mut copy = client.copy_out(ENDLESS).await.unwrap();
        let mut rows = Vec::new();
        assert!(copy.read(&mut rows).await.unwrap());
        token.cancel().await.unwrap();
        let error = loop {
            rows.clear();
            match copy.read(&mut rows).await {
                Ok(more) => assert!(more, "a cancelled COPY may not look complete"),
                Err(error) => break error,
            }
        };
        assert_eq!(sqlstate(&error), Some("57014"), "{error:?}");
        assert_eq!(copy.rows(), None);
        assert!(copy.read(&mut rows).await.is_err());
        drop(copy);
        assert_eq!(value(&mut client, "select 1").await, "1");
    }
}

/// Waits until the server has no session but this one busy.
async fn quiet(cluster: &Cluster) {
    let mut watcher = connect(&cluster.socket_url("postgres")).await.unwrap();
    let busy = "select count(*) from pg_stat_activity where backend_type = 'client backend' \
                and pid <> pg_backend_pid()";
    let begun = Instant::now();
    while value(&mut watcher, busy).await != "0" {
        assert!(begun.elapsed() < Duration::from_secs(30), "the server still works for nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_is_dropped_halfway_ends_on_the_server_and_is_never_used_again() {
    for cluster in clusters(one(0)) {
        // A query's future.
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let late = tokio::time::timeout(Duration::from_millis(200), client.query(SLEEP)).await;
        assert!(late.is_err());
        let error = client.query("select 1").await.unwrap_err();
        assert!(error.to_string().contains("in the middle"), "{error:?}");
        assert!(error.remedy().unwrap().contains("new connection"));
        assert!(client.execute("select 1").await.is_err());
        quiet(&cluster).await;

        // The client with it.
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let late = tokio::time::timeout(Duration::from_millis(200), client.query(SLEEP)).await;
        assert!(late.is_err());
        drop(client);
        quiet(&cluster).await;

        // COPY in either direction; the client stays, and stays unusable.
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        drop(client.copy_out(ENDLESS).await.unwrap());
        assert!(client.query("select 1").await.is_err());
        let mut other = connect(&cluster.url("postgres")).await.unwrap();
        other.execute("create table if not exists halfway (a int)").await.unwrap();
        let mut copy = other.copy_in("copy halfway from stdin").await.unwrap();
        copy.write(b"1\n2\n").await.unwrap();
        drop(copy);
        assert!(other.query("select 1").await.is_err());
        quiet(&cluster).await;
        assert_eq!(cluster.sql("postgres", "select count(*) from halfway").trim(), "0");
    }
}

#[tokio::test]
async fn silence_during_a_copy_ends_it_where_a_limit_is_set() {
    for cluster in clusters(one(1)) {
        let limit = Some(Duration::from_millis(700));
        let options = options(&cluster.url("postgres")).with_stall_timeout(limit);
        let mut client = Client::connect(&options).await.unwrap();
        // Ordinary statements may take their time.
        client.execute("select pg_sleep(1.5)").await.unwrap();
        let slow =
            "copy (select repeat('x', 9000), pg_sleep(0.3) from generate_series(1, 5) n) to stdout";
        let mut copy = client.copy_out(slow).await.unwrap();
        let mut rows = Vec::new();
        while copy.read(&mut rows).await.unwrap() {
            // A slow reader is not a silent server.
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        assert_eq!(copy.rows(), Some(5));
        drop(copy);
        // Servers send nothing before their buffer is full: not even that the COPY begins.
        let sleep = "copy (select pg_sleep(600)) to stdout";
        let error = client.copy_out(sleep).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
        assert_eq!(error.status(), ErrorStatus::Temporary);
        assert!(error.to_string().contains("0.7 seconds"), "{error}");
        assert!(client.query("select 1").await.is_err());
        quiet(&cluster).await;
    }
}
