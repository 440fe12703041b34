//! The provider against a real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{NoObserver, Provider, SourceOptions};
use backup_core::{ErrorKind, FindingKind, SnapshotKind};
use backup_postgres::tools::ToolPaths;
use backup_provider_postgres::PostgresProvider;
use backup_testkit::postgres::Cluster;

fn options(kind: SnapshotKind) -> SourceOptions {
    SourceOptions {
        kind,
        jobs: NonZeroUsize::new(1).unwrap(),
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    }
}

fn tools(cluster: &Cluster) -> ToolPaths {
    ToolPaths::only(vec![cluster.bin("pg_dump").parent().unwrap().to_path_buf()])
}

#[tokio::test]
async fn discover_tells_what_a_database_is_and_changes_nothing() {
    let Some(cluster) = Cluster::start_newest() else { return };
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", "CREATE TABLE orders AS SELECT 1 AS id");
    let provider = PostgresProvider::new(&cluster.url("shop"), tools(&cluster)).unwrap();
    let found = provider.discover().await.unwrap();
    assert_eq!(found.facts.database, "shop");
    assert_eq!(found.facts.identity.engine, "postgres");
    assert!(found.facts.identity.system.parse::<u64>().is_ok(), "{:?}", found.facts.identity);
    assert!(found.facts.estimated_bytes > 1 << 20);
    let text: String = found.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    assert!(text.contains("1 tables") && text.contains("pg_dump"), "{text}");
    assert!(found.findings.iter().all(|f| f.kind == FindingKind::Note), "{text}");
}

#[tokio::test]
async fn discover_names_what_stands_in_the_way() {
    let Some(cluster) = Cluster::start_newest() else { return };
    cluster.sql("postgres", "CREATE TABLE hidden (a integer); CREATE ROLE weak LOGIN");
    let url = cluster.url("postgres").replace("postgres@", "weak@");
    let provider = PostgresProvider::new(&url, ToolPaths::only(Vec::new())).unwrap();
    let found = provider.discover().await.unwrap();
    let warnings: String = found
        .findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::Warning)
        .map(|finding| format!("{}\n", finding.message))
        .collect();
    assert!(warnings.contains("public.hidden"), "{warnings}");
    assert!(warnings.contains("find pg_dump"), "{warnings}");
}

#[tokio::test]
async fn undeclared_kinds_are_refused_before_anything_happens() {
    let url = "postgres://u:secret@127.0.0.1:1/db";
    let provider = PostgresProvider::new(url, ToolPaths::only(Vec::new())).unwrap();
    let refused = provider.open_source(&options(SnapshotKind::Files)).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let unreachable = provider.open_source(&options(SnapshotKind::Logical)).await.err().unwrap();
    assert_eq!(unreachable.kind(), ErrorKind::SourceUnavailable);
    assert!(!format!("{unreachable:?}").contains("secret"));
    let bad = PostgresProvider::new("postgres://[", ToolPaths::default()).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::ConfigInvalid);
}
