//! Rows and schemas that change while they are copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backup_core::ErrorKind;
use backup_core::port::SourceOptions;
use backup_mysql::logical::{Freeze, LogicalSource};
use backup_testkit::MemoryParts;
use backup_testkit::mariadb::MariaDb;

use crate::support::{Taken, back_up, connect, restore, source_options, take};

/// Two tables of accounts whose total stays, whoever moves money between them.
const BANK: &str = "\
CREATE TABLE a (id int PRIMARY KEY, amount bigint NOT NULL, pad varchar(200));
CREATE TABLE b (id varchar(20) PRIMARY KEY, amount bigint NOT NULL, pad varchar(200));
CREATE TABLE log (n int PRIMARY KEY AUTO_INCREMENT, amount int);
INSERT INTO a SELECT seq, 1000, REPEAT('x', 200) FROM seq_1_to_20000;
INSERT INTO b SELECT CONCAT('k', seq), 1000, REPEAT('y', 200) FROM seq_1_to_20000;";
const TOTAL: &str = "SELECT (SELECT SUM(amount) FROM a) + (SELECT SUM(amount) FROM b), \
    (SELECT COUNT(*) FROM log) * 2 = (SELECT SUM(amount) FROM log)";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moves_rows_meanwhile_is_seen_at_one_instant() {
    let Some(server) = MariaDb::start(&["--log-bin=binlog"]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql("shop", BANK);
    let server = Arc::new(server);
    let (stop, moved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mover = std::thread::spawn({
        let (server, stop, moved) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&moved));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let step = "START TRANSACTION; \
                    UPDATE a SET amount = amount - 7 WHERE id IN (1, 10000, 19999); \
                    UPDATE b SET amount = amount + 7 WHERE id IN ('k1', 'k9', 'k19999'); \
                    INSERT INTO log (amount) VALUES (2); COMMIT;";
                server.sql("shop", &step.repeat(20));
                moved.fetch_add(20, Ordering::Relaxed);
            }
        }
    });
    for freeze in [Freeze::BackupStage, Freeze::GlobalLock, Freeze::TableLocks, Freeze::Alone] {
        let before = moved.load(Ordering::Relaxed);
        let source =
            LogicalSource::open(connect(&server, "shop"), &source_options()).await.unwrap();
        // It moved something in between, or the test would show nothing.
        while moved.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let taken = take(source.with_freeze(freeze), MemoryParts::default()).await.unwrap();
        restore(&taken, &connect(&server, "copy")).await.unwrap();
        assert_eq!(server.sql("copy", TOTAL).trim(), "40000000\t1", "{freeze:?}");
        server.sql("", "DROP DATABASE copy");
    }
    stop.store(true, Ordering::Relaxed);
    mover.join().unwrap();
}

#[tokio::test]
async fn a_schema_that_changes_is_copied_again_and_never_half() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql("shop", BANK);
    let server = Arc::new(server);
    for (change, wanted) in [
        ("TRUNCATE a", "0"),
        ("ALTER TABLE a ADD COLUMN more int DEFAULT 3, FORCE", "0"),
        ("DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY)", "0"),
    ] {
        let changing = Changing { server: Arc::clone(&server), change };
        let source =
            LogicalSource::open(connect(&server, "shop"), &source_options()).await.unwrap();
        let taken = changing.take(source).await;
        let table = taken.snapshot.evidence.tables.iter().find(|table| table.name == "a").unwrap();
        let now = server.sql("shop", "SELECT COUNT(*) FROM a");
        assert_eq!((table.rows.to_string(), now.trim()), (wanted.to_owned(), wanted), "{change}");
        restore(&taken, &connect(&server, "copy")).await.unwrap();
        server.sql("", "DROP DATABASE copy");
    }
}

#[tokio::test]
async fn tables_that_swap_their_names_are_copied_again() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b LIKE a; CREATE TABLE c LIKE a;
         CREATE TABLE b2 LIKE a; INSERT INTO a SELECT seq, 1 FROM seq_1_to_20000;
         INSERT INTO b VALUES (1, 2); INSERT INTO c VALUES (1, 3), (2, 3);",
    );
    let server = Arc::new(server);
    // One of them has been read when they swap, the other has not.
    let sink = crate::support::Hooked::new(MemoryParts::default(), "table/c", {
        let server = Arc::clone(&server);
        move || {
            server.sql("shop", "RENAME TABLE b TO x, c TO b, x TO c; TRUNCATE b2");
        }
    });
    let options = SourceOptions { jobs: std::num::NonZeroUsize::MIN, ..source_options() };
    let source = LogicalSource::open(connect(&server, "shop"), &options).await.unwrap();
    let taken = crate::support::take_hooked(source, sink).await.unwrap();
    restore(&taken, &connect(&server, "copy")).await.unwrap();
    crate::support::same_dump(&server, "shop", "copy");
    assert_eq!(server.sql("copy", "SELECT v FROM b LIMIT 1; SELECT v FROM c"), "3\n2\n");
}

/// Changes the schema once, when the first rows have been copied.
struct Changing {
    server: Arc<MariaDb>,
    change: &'static str,
}

impl Changing {
    async fn take(&self, source: LogicalSource) -> Taken {
        let sink = crate::support::Hooked::new(MemoryParts::default(), "table/b", {
            let (server, change) = (Arc::clone(&self.server), self.change);
            move || {
                server.sql("shop", change);
            }
        });
        crate::support::take_hooked(source, sink).await.unwrap()
    }
}

#[tokio::test]
async fn later_snapshots_keep_their_segments() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    // Enough for several segments, by numbers and by texts of two columns.
    server.sql(
        "shop",
        "CREATE TABLE n (id int PRIMARY KEY, pad varchar(1000)) CHARACTER SET latin1;
         INSERT INTO n SELECT seq * 3, REPEAT('x', 1000) FROM seq_1_to_30000;
         CREATE TABLE t (k varchar(30) COLLATE utf8mb4_unicode_ci, v binary(16), pad varchar(900), PRIMARY KEY (k, v));
         INSERT INTO t SELECT CONCAT('ü', seq MOD 97), UNHEX(MD5(seq)), REPEAT('y', 900) FROM seq_1_to_20000;
         ANALYZE TABLE n, t;",
    );
    let options = source_options();
    let first = back_up(&connect(&server, "shop")).await.unwrap();
    for table in ["table/n", "table/t"] {
        let segments = first.parts.addressed(table);
        assert!(segments.len() > 3, "{table} has {} segments", segments.len());
        let longest = segments.values().map(Vec::len).max().unwrap();
        assert!(longest < 12 << 20, "{table}: {longest}");
    }
    // One row of thousands changes, and rows are added at the end and in the middle.
    server.sql(
        "shop",
        "UPDATE n SET pad = 'changed' WHERE id = 30000; INSERT INTO n VALUES (31, 'new');
         INSERT INTO n SELECT 100000 + seq, REPEAT('z', 1000) FROM seq_1_to_10000;
         DELETE FROM t WHERE k = 'ü5'; ANALYZE TABLE n, t;",
    );
    let source = LogicalSource::open(connect(&server, "shop"), &options).await.unwrap();
    let second = take(source, MemoryParts::on(&first.snapshot, &first.parts)).await.unwrap();
    for (table, changed, more) in [("table/n", 3, true), ("table/t", 6, false)] {
        let (was, is) = (first.parts.addressed(table), second.parts.addressed(table));
        let same = was.iter().filter(|(at, bytes)| is.get(at) == Some(bytes)).count();
        assert!(was.keys().all(|at| is.contains_key(at)), "{table}: an address is gone");
        assert!(was.len() - same <= changed, "{table}: {same} of {} are the same", was.len());
        assert_eq!(is.len() > was.len(), more, "{table}: {} then {}", was.len(), is.len());
    }
    restore(&second, &connect(&server, "copy")).await.unwrap();
    crate::support::same_dump(&server, "shop", "copy");
}

#[tokio::test]
async fn rows_are_stored_once_when_their_key_is_compared_in_another_way() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    // Upper and lower case, which one collation mixes and the other keeps apart.
    server.sql(
        "shop",
        "CREATE TABLE t (k varchar(30) COLLATE utf8mb4_general_ci PRIMARY KEY, pad varchar(2000));
         INSERT INTO t SELECT CONCAT(CHAR(65 + seq MOD 26 + 32 * (seq MOD 2)), seq),
             REPEAT('x', 2000) FROM seq_1_to_10000;
         ANALYZE TABLE t;",
    );
    let first = back_up(&connect(&server, "shop")).await.unwrap();
    assert!(first.parts.addressed("table/t").len() > 3);
    let changes = [
        ("ALTER TABLE t MODIFY k varchar(30) COLLATE utf8mb4_bin", true),
        // The same columns, and borders that somebody else wrote: the server is asked.
        ("ALTER TABLE t MODIFY k varchar(30) COLLATE utf8mb4_general_ci", false),
    ];
    for (change, named) in changes {
        let mut second = back_up(&connect(&server, "shop")).await.unwrap();
        server.sql("shop", change);
        if !named {
            let key = "k utf8mb4 varchar(30) utf8mb4_general_ci";
            Arc::get_mut(&mut second.parts).unwrap().change_attribute("table/t", "key", key);
            let part = second.snapshot.parts.iter_mut().find(|p| p.name.as_str() == "table/t");
            part.unwrap().attributes.insert("key".into(), key.into());
        }
        let source =
            LogicalSource::open(connect(&server, "shop"), &source_options()).await.unwrap();
        let third = take(source, MemoryParts::on(&second.snapshot, &second.parts)).await.unwrap();
        assert_eq!(third.snapshot.evidence.tables[0].rows, 10_000, "{change}");
        restore(&third, &connect(&server, "copy")).await.unwrap();
        crate::support::same_dump(&server, "shop", "copy");
        server.sql("", "DROP DATABASE copy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_table_without_transactions_holds_nobody_up() {
    let Some(server) = MariaDb::start(&["--log-bin=binlog"]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE m (id int PRIMARY KEY AUTO_INCREMENT, n int) ENGINE=MyISAM;
         CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, n int);
         INSERT INTO m (n) SELECT seq FROM seq_1_to_50000;",
    );
    let server = Arc::new(server);
    let stop = Arc::new(AtomicBool::new(false));
    let steps = Arc::new(AtomicU64::new(0));
    // One of them holds both tables until its commit.
    let one = "UPDATE m SET n = n + 1 WHERE id % 1000 = 7; INSERT INTO m (n) VALUES (1);";
    let both = "START TRANSACTION; INSERT INTO t (n) VALUES (1); UPDATE m SET n = n + 1 \
                WHERE id = 3; INSERT INTO t (n) VALUES (-1); COMMIT;";
    let writers: Vec<_> = [one, both]
        .into_iter()
        .map(|step| {
            let (server, stop, steps) =
                (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&steps));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    server.sql("shop", &step.repeat(10));
                    steps.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for freeze in [Freeze::BackupStage, Freeze::GlobalLock, Freeze::TableLocks] {
        let before = steps.load(Ordering::Relaxed);
        while steps.load(Ordering::Relaxed) < before + 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let source =
            LogicalSource::open(connect(&server, "shop"), &source_options()).await.unwrap();
        let taken = take(source.with_freeze(freeze), MemoryParts::default()).await.unwrap();
        restore(&taken, &connect(&server, "copy")).await.unwrap();
        let sum = server.sql("copy", "SELECT COALESCE(SUM(n), 0) FROM t");
        assert_eq!(sum.trim(), "0", "{freeze:?}");
        server.sql("", "DROP DATABASE copy");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_position_is_that_of_the_rows() {
    let Some(server) = MariaDb::start(&["--log-bin=binlog"]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE log (n int PRIMARY KEY AUTO_INCREMENT)");
    let number = |gtid: &str| gtid.trim().rsplit('-').next().unwrap().parse::<u64>().unwrap();
    let before = number(&server.sql("", "SELECT @@gtid_binlog_pos"));
    let server = Arc::new(server);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                server.sql("shop", &"INSERT INTO log VALUES ();".repeat(50));
            }
        }
    });
    for freeze in [Freeze::BackupStage, Freeze::GlobalLock, Freeze::TableLocks, Freeze::Alone] {
        for _ in 0..3 {
            let source =
                LogicalSource::open(connect(&server, "shop"), &source_options()).await.unwrap();
            let taken = take(source.with_freeze(freeze), MemoryParts::default()).await.unwrap();
            let evidence = &taken.snapshot.evidence;
            let at = number(&evidence.facts["gtid"]);
            assert_eq!(at - before, evidence.tables[0].rows, "{freeze:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_lock_that_does_not_come_is_an_error_that_passes() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server
        .sql("shop", "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE m (id int) ENGINE=MyISAM");
    let mut holder = backup_mysql::Client::connect(&connect(&server, "shop")).await.unwrap();
    holder.execute("LOCK TABLES m WRITE").await.unwrap();
    let source = LogicalSource::open(connect(&server, "shop"), &source_options()).await.unwrap();
    let source = source.with_lock_wait(Duration::from_secs(1));
    let error = take(source, MemoryParts::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error}");
    assert_eq!(error.status(), backup_core::ErrorStatus::Temporary);
    assert!(error.remedy().unwrap().contains("PROCESSLIST"), "{error:?}");
    // Nothing is left locked behind it.
    holder.execute("UNLOCK TABLES").await.unwrap();
    server.sql("shop", "INSERT INTO m VALUES (1); INSERT INTO t VALUES (1)");
    back_up(&connect(&server, "shop")).await.unwrap();
}
