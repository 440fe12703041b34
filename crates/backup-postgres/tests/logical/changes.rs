//! A database that does not hold still.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use backup_core::ErrorKind;
use backup_core::port::Source;
use backup_postgres::Client;
use backup_postgres::logical::LogicalSource;
use backup_postgres::tools::ToolPaths;
use backup_testkit::postgres::Cluster;
use tokio::task::JoinHandle;

use crate::round_trip::start;
use crate::support::{
    MemoryParts, back_up, connect, finish, restore, restore_options, source_options, tools,
};

/// Runs statements over and over until told to stop; counts those that succeeded.
fn keep_running(
    cluster: &Cluster,
    sql: &[&str],
    pause: Duration,
    stop: &Arc<AtomicBool>,
    done: &Arc<AtomicU64>,
) -> JoinHandle<()> {
    let options = connect(&cluster.url("shop"));
    let sql: Vec<String> = sql.iter().map(ToString::to_string).collect();
    let (stop, done) = (Arc::clone(stop), Arc::clone(done));
    tokio::spawn(async move {
        let mut client = Client::connect(&options).await.unwrap();
        while !stop.load(Relaxed) {
            for statement in &sql {
                // Deadlocks among these sessions are theirs to bear.
                match client.execute(statement).await {
                    Ok(_) => done.fetch_add(1, Relaxed),
                    Err(_) => u64::from(client.execute("ROLLBACK").await.is_err()),
                };
                tokio::time::sleep(pause).await;
            }
        }
    })
}

async fn until(done: &AtomicU64, enough: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while done.load(Relaxed) < enough {
        assert!(Instant::now() < deadline, "{} of {enough}", done.load(Relaxed));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_in_flight_never_show_half() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql(
        "shop",
        "CREATE TABLE one (id integer PRIMARY KEY, v bigint, pad text); \
         CREATE TABLE two (id integer PRIMARY KEY, v bigint, pad text); \
         INSERT INTO one SELECT g, 100, repeat('x', 500) FROM generate_series(1, 60000) g; \
         INSERT INTO two SELECT g, 100, repeat('y', 500) FROM generate_series(1, 60000) g",
    );
    let (stop, done) = (Arc::default(), Arc::default());
    // A subquery, so that each UPDATE draws one number and changes one row.
    let transfer = "BEGIN; \
         UPDATE one SET v = v - 7 WHERE id = (SELECT 1 + floor(random() * 60000)::int); \
         UPDATE two SET v = v + 7 WHERE id = (SELECT 1 + floor(random() * 60000)::int); COMMIT";
    let writers: Vec<_> =
        (0..3).map(|_| keep_running(&cluster, &[transfer], Duration::ZERO, &stop, &done)).collect();
    until(&done, 50).await;
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let during = done.load(Relaxed);
    until(&done, during + 50).await;
    stop.store(true, Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let segments = taken.parts.addressed("table/public.one").len();
    assert!(segments >= 2, "{segments}");
    restore(&taken, &cluster.url("copy"), &tools, restore_options(3)).await.unwrap();
    let sums = "SELECT (SELECT sum(v) FROM one) + (SELECT sum(v) FROM two), \
         (SELECT count(*) FROM one) + (SELECT count(*) FROM two)";
    assert_eq!(cluster.sql("shop", sums).trim(), "12000000|120000");
    assert_eq!(cluster.sql("copy", sums).trim(), "12000000|120000");
    // The copy is of an instant in between, not of the beginning or the end.
    let moved = "SELECT count(*) FROM one WHERE v <> 100";
    let count = |database: &str| cluster.sql(database, moved).trim().parse::<u64>().unwrap();
    assert!(count("copy") >= 20 && count("copy") < count("shop"), "{}", count("copy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rewritten_tables_are_never_read_as_empty() {
    let Some(cluster) = start(16).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql(
        "shop",
        "CREATE TABLE t (id integer, v integer); \
         INSERT INTO t SELECT g, g FROM generate_series(1, 2000) g; CREATE TABLE other AS TABLE t",
    );
    let (stop, done) = (Arc::default(), Arc::default());
    let rewriting = [
        "BEGIN; TRUNCATE t; INSERT INTO t SELECT g, g FROM generate_series(1, 2000) g; COMMIT",
        "ALTER TABLE t ALTER COLUMN v TYPE bigint",
        "ALTER TABLE t ALTER COLUMN v TYPE integer",
        "CREATE TABLE IF NOT EXISTS passing AS TABLE t; DROP TABLE passing",
    ];
    let changer = keep_running(&cluster, &rewriting, Duration::from_millis(100), &stop, &done);
    for _ in 0..6 {
        let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
        let rows = |name: &str| {
            let tables = &taken.snapshot.evidence.tables;
            tables.iter().find(|table| table.name == name).map(|table| table.rows)
        };
        assert_eq!((rows("t"), rows("other")), (Some(2000), Some(2000)));
        assert!(matches!(rows("passing"), None | Some(2000)), "{:?}", rows("passing"));
        let changes = done.load(Relaxed);
        until(&done, changes + 2).await;
    }
    stop.store(true, Relaxed);
    changer.await.unwrap();
}

/// A pg_dump in front of which, the first time, a schema change asks for its lock. It waits for
/// the backup's locks, and pg_dump waits behind it.
fn pg_dump_behind_a_change(cluster: &Cluster, folder: &Path) -> ToolPaths {
    let real = cluster.bin("pg_dump");
    let change = "SET lock_timeout = '50s'; ALTER TABLE t ADD COLUMN late integer";
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *--snapshot=*) if mkdir '{once}' 2>/dev/null; then\n\
         '{psql}' -X -q -c \"{change}\" '{url}' >/dev/null 2>&1 </dev/null &\n\
         sleep 1\nfi ;; esac\nexec '{real}' \"$@\"\n",
        once = folder.join("once").display(),
        psql = cluster.bin("psql").display(),
        url = cluster.url("shop"),
        real = real.display(),
    );
    let program = folder.join("pg_dump");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(cluster.bin("pg_dumpall"), folder.join("pg_dumpall")).unwrap();
    ToolPaths::only(vec![folder.to_path_buf()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_change_in_the_way_of_pg_dump_goes_first() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let folder = tempfile::tempdir().unwrap();
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 2000) g");
    let tools = pg_dump_behind_a_change(&cluster, folder.path());
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    assert!(folder.path().join("once").exists(), "the change was never made");
    assert_eq!(taken.snapshot.evidence.tables[0].rows, 2000);
    // Rows and schema are of the same instant, which is after the change.
    let part = taken.snapshot.parts.iter().find(|part| part.name.as_str() == "table/public.t");
    assert_eq!(part.unwrap().attributes["columns"], r#"["id","late"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_cannot_be_had_is_named() {
    let Some(cluster) = start(15).or_else(|| start(17)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", "CREATE TABLE busy AS SELECT 1 AS a");
    let mut blocker = Client::connect(&connect(&cluster.url("shop"))).await.unwrap();
    blocker.execute("BEGIN; LOCK TABLE busy").await.unwrap();
    let options = source_options(2);
    let source = LogicalSource::open(connect(&cluster.url("shop")), &tools, &options);
    let mut source = source.await.unwrap().with_lock_wait(Duration::from_millis(300));
    let error = finish(&mut source, MemoryParts::default()).await.err().unwrap();
    assert!(error.to_string().contains("busy"), "{error}");
    assert_eq!(error.status(), backup_core::ErrorStatus::Temporary);
    blocker.execute("ROLLBACK").await.unwrap();
    finish(&mut source, MemoryParts::default()).await.unwrap();
}

/// Server processes of our own sessions, by what they are doing.
fn sessions(cluster: &Cluster) -> String {
    cluster.sql(
        "postgres",
        "SELECT pid FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'",
    )
}

fn large(cluster: &Cluster) {
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql(
        "shop",
        "CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 20) AS v \
         FROM generate_series(1, 100000) g",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_session_fails_the_backup() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    large(&cluster);
    for which in ["state = 'active' AND query LIKE 'COPY%'", "state = 'idle in transaction'"] {
        let mut options = source_options(2);
        options.max_rate = Some(8 << 20);
        let source = LogicalSource::open(connect(&cluster.url("shop")), &tools, &options);
        let mut source = source.await.unwrap();
        let backup = tokio::spawn(async move {
            let parts = MemoryParts::default();
            let result = source.copy_to(&parts).await.map(drop);
            (result, parts.commit().is_ok())
        });
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'shop' \
             AND (SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%') > 0 AND {which}"
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while cluster.sql("postgres", &kill).trim() == "0" {
            assert!(Instant::now() < deadline, "the backup never came to {which}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (result, _) = backup.await.unwrap();
        let error = result.expect_err(which);
        assert!(!error.to_string().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_backup_ends_its_sessions() {
    let Some(cluster) = start(16).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    large(&cluster);
    let mut options = source_options(2);
    options.max_rate = Some(4 << 20);
    let source = LogicalSource::open(connect(&cluster.url("shop")), &tools, &options);
    let mut source = source.await.unwrap();
    let parts = MemoryParts::default();
    let cut = tokio::time::timeout(Duration::from_secs(4), source.copy_to(&parts)).await;
    assert!(cut.is_err(), "the backup was to be cut short");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !sessions(&cluster).trim().is_empty() {
        assert!(Instant::now() < deadline, "sessions left: {}", sessions(&cluster));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_kept() {
    let Some(cluster) = start(15).or_else(|| start(17)) else { return };
    let tools = tools(&[&cluster]);
    large(&cluster);
    let mut options = source_options(4);
    options.max_rate = Some(20 << 20);
    let source = LogicalSource::open(connect(&cluster.url("shop")), &tools, &options);
    let mut source = source.await.unwrap();
    let begun = Instant::now();
    let taken = finish(&mut source, MemoryParts::default()).await.unwrap();
    let bytes: u64 = taken.snapshot.evidence.tables.iter().map(|table| table.bytes).sum();
    let fastest = bytes as f64 / (20 << 20) as f64;
    let took = begun.elapsed().as_secs_f64();
    assert!(took > fastest * 0.9, "{bytes} bytes in {took} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_restore_leaves_no_database_behind() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    large(&cluster);
    cluster.sql("shop", "CREATE INDEX ON big (v); CREATE INDEX ON big (id, v)");
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let there = "SELECT count(*) FROM pg_database WHERE datname = 'copy'";
    let url = cluster.url("copy");
    let mut restoring = Box::pin(restore(&taken, &url, &tools, restore_options(2)));
    let deadline = Instant::now() + Duration::from_secs(20);
    while cluster.sql("postgres", there).trim() == "0" {
        assert!(Instant::now() < deadline, "the database was never created");
        let more = tokio::time::timeout(Duration::from_millis(100), &mut restoring).await;
        assert!(more.is_err(), "the restore was to be cut short");
    }
    drop(restoring);
    while cluster.sql("postgres", there).trim() != "0" {
        assert!(Instant::now() < deadline + Duration::from_secs(20), "the database is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_left_behind_is_made_anew() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", "CREATE TABLE t AS SELECT generate_series(1, 100) AS a");
    cluster.sql("postgres", "COMMENT ON DATABASE shop IS 'mine'");
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let leave = |name: &str, snapshot: &str, sql: &str| {
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        let mark = format!("unfinished restore of snapshot {snapshot}");
        cluster.sql("postgres", &format!("COMMENT ON DATABASE {name} IS '{mark}'"));
        cluster.sql(name, sql);
    };
    let comment = |name: &str| {
        let sql = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = ";
        cluster.sql("postgres", &format!("{sql}'{name}'")).trim().to_owned()
    };
    let rows = |name: &str| cluster.sql(name, "SELECT count(*) FROM t").trim().to_owned();
    let same = taken.snapshot.id.to_string();
    leave("half", &same, "CREATE TABLE t (a integer)");
    leave("nothing", "00000000000000000000000000000000", "SELECT 1");
    for name in ["half", "nothing"] {
        restore(&taken, &cluster.url(name), &tools, restore_options(1)).await.unwrap();
        assert_eq!((rows(name), comment(name)), ("100".to_owned(), "mine".to_owned()), "{name}");
    }

    // What another snapshot left is named and left alone, and so is what somebody works in.
    leave("other", "00000000000000000000000000000000", "CREATE TABLE t (a integer)");
    let url = cluster.url("other");
    let error = restore(&taken, &url, &tools, restore_options(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.remedy().unwrap().contains("another snapshot"), "{error:?}");
    leave("busy", &same, "CREATE TABLE t (a integer)");
    let url = cluster.url("busy");
    let client = Client::connect(&connect(&url)).await.unwrap();
    let error = restore(&taken, &url, &tools, restore_options(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!((rows("other"), rows("busy")), ("0".to_owned(), "0".to_owned()));
    client.close().await;
    restore(&taken, &url, &tools, restore_options(1)).await.unwrap();
    assert_eq!(rows("busy"), "100");
}
