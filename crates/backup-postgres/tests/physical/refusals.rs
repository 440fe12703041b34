//! What a restore refuses, before it writes anything.

use std::sync::Arc;

use backup_core::ErrorKind;
use backup_core::port::Target;
use backup_postgres::ConnectOptions;
use backup_postgres::logical::discover;
use backup_postgres::physical::DirectoryTarget;
use backup_postgres::tools::ToolPaths;
use backup_testkit::parts::{Wrong, WrongParts};
use backup_testkit::postgres::Cluster;

use crate::support::{majors, one, restore, restore_options, start, take};

#[tokio::test]
async fn nothing_that_is_there_is_ever_overwritten() {
    let Some(mut cluster) = Cluster::start(majors()[0]) else { return };
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    std::fs::write(&kept, "mine").unwrap();
    let error = restore(&taken, folder.path(), restore_options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let mut options = restore_options();
    options.delta = true;
    let error = restore(&taken, folder.path(), options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "no data directory: {error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(&kept).unwrap(), b"mine");

    // Neither over a running server, nor over one that died.
    let data = cluster.data_directory();
    for _ in 0..2 {
        let error = restore(&taken, &data, options.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("postmaster.pid"), "{error}");
        cluster.kill9();
    }
}

#[tokio::test]
async fn a_restore_that_breaks_off_leaves_nothing_that_starts() {
    let Some(cluster) = Cluster::start(one()) else { return };
    cluster.sql("postgres", "create table t as select generate_series(1, 1000) as n");
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let last = taken.snapshot.part("data/wal").unwrap().segments - 1;
    let position = usize::try_from(last).unwrap();
    let wrong = Wrong::DroppedSegment { part: "data/wal".into(), position };
    let parts = Arc::new(WrongParts::new(taken.parts.clone(), wrong));
    let mut target = DirectoryTarget::new(&root, restore_options());
    target.plan(&taken.snapshot).await.unwrap();
    let error = target.restore(&taken.snapshot, parts).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:?}");
    assert!(root.join("PG_VERSION").exists() && !root.join("global/pg_control").exists());
    assert!(start(cluster.major(), &root).is_err());
    // Going on writes what is missing.
    let mut options = restore_options();
    options.delta = true;
    restore(&taken, &root, options).await.unwrap();
    let copy = start(cluster.major(), &root).unwrap();
    assert_eq!(copy.sql("postgres", "select count(*) from t").trim(), "1000");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let Some(cluster) = Cluster::start(majors()[0]) else { return };
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("data");
    let mut options = restore_options();
    options.tables = vec!["t".into()];
    let error = restore(&taken, &target, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut options = restore_options();
    options.tablespaces = vec![("/nowhere".into(), "/else".into())];
    let error = restore(&taken, &target, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let mut logical = taken.snapshot.clone();
    logical.kind = backup_core::SnapshotKind::Logical;
    let error = DirectoryTarget::new(&target, restore_options()).plan(&logical).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!target.exists());
}

#[tokio::test]
async fn a_look_names_what_is_wrong_with_archiving_and_the_statement_that_mends_it() {
    let builder = Cluster::builder(majors()[0])
        .setting("archive_mode", "on")
        .setting("archive_command", "echo backupctl %p; false");
    let Some(cluster) = builder.start() else { return };
    cluster.sql(
        "postgres",
        "select pg_create_physical_replication_slot('abandoned', true); \
         create table t (n int); select pg_switch_wal()",
    );
    let begun = std::time::Instant::now();
    while cluster.sql("postgres", "select failed_count > 0 from pg_stat_archiver").trim() != "t" {
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "archiving never failed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let look = || async {
        let connect = ConnectOptions::parse(&cluster.url("postgres")).unwrap();
        let found = discover(&connect, &ToolPaths::system()).await.unwrap();
        let messages = found.findings.into_iter().map(|finding| finding.message);
        messages.collect::<Vec<_>>().join("\n")
    };
    let said = look().await;
    for words in [
        "archive_command is failing",
        "SET archive_timeout = '60s'; SELECT pg_reload_conf();",
        "SET max_slot_wal_keep_size",
        "physical backups and recovery to a point in time are possible",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The statements are those of the server's own language.
    cluster.sql("postgres", "alter system set archive_timeout = '60s'");
    cluster.sql("postgres", "alter system set max_slot_wal_keep_size = '64GB'");
    cluster.sql("postgres", "select pg_drop_replication_slot('abandoned'), pg_reload_conf()");
    let begun = std::time::Instant::now();
    while look().await.contains("archive_timeout") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "the setting has no effect");
    }
    assert!(!look().await.contains("max_slot_wal_keep_size"));
}
