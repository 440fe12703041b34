//! Rows that are longer than a packet, and locks that do not come.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, ErrorStatus};
use backup_mysql::logical::{Freeze, LogicalSource};
use backup_testkit::MemoryParts;
use backup_testkit::mariadb::MariaDb;

use crate::support::{back_up, connect, restore, source_options, take};

#[tokio::test]
async fn rows_above_max_allowed_packet_go_both_ways_or_are_named() {
    let Some(server) = MariaDb::start(&["--max-allowed-packet=64M"]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE long_rows (id int PRIMARY KEY, a longtext, b longblob, c json);
         INSERT INTO long_rows VALUES (1, REPEAT('ü\\t', 1000000), REPEAT(UNHEX('FF00'), 2000000), NULL),
           (2, 'short', 'short', CONCAT('[', REPEAT('1, ', 700000), '1]'));
         SET GLOBAL max_allowed_packet = 1048576;",
    );
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    restore(&taken, &connect(&server, "copy")).await.unwrap();
    server.sql("", "SET GLOBAL max_allowed_packet = 64 << 20");
    let sums = "SELECT id, MD5(a), MD5(b), MD5(c), LENGTH(a), LENGTH(b), LENGTH(c) FROM long_rows";
    assert_eq!(server.sql("copy", sums), server.sql("shop", sums));

    // Where rows are inserted, each of them is one packet.
    let other = MariaDb::start(&["--local-infile=0", "--max-allowed-packet=1M"]).unwrap();
    let error = restore(&taken, &connect(&other, "copy")).await.err().unwrap();
    let said = error.to_string();
    assert!(said.contains("long_rows") && said.contains("max_allowed_packet: 1048576"), "{said}");
    assert!(remedies(&error).contains("Raise max_allowed_packet"), "{error:?}");
    assert!(!other.sql("", "SHOW DATABASES").contains("copy"));
    other.sql("", "SET GLOBAL max_allowed_packet = 64 << 20");
    restore(&taken, &connect(&other, "copy")).await.unwrap();
    assert_eq!(other.sql("copy", sums), server.sql("shop", sums));
}

fn remedies(error: &Error) -> String {
    let mut text = error.remedy().unwrap_or_default().to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        if let Some(inner) = one.downcast_ref::<Error>() {
            text.push_str(inner.remedy().unwrap_or_default());
        }
        cause = one.source();
    }
    text
}

/// Somebody's session that stays where it is until it is dropped.
struct Session(Child);

impl Session {
    fn begin(server: &MariaDb, sql: &str, has_begun: &str) -> Self {
        let mut command = server.command("mariadb");
        let mut child =
            command.arg("shop").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(format!("{sql};\n").as_bytes()).unwrap();
        child.stdin.as_mut().unwrap().flush().unwrap();
        let begun = Instant::now();
        while server.sql("", has_begun).trim() == "0" {
            assert!(begun.elapsed() < Duration::from_secs(60), "{sql}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SLEEPING: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
    WHERE DB = 'shop' AND COMMAND = 'Sleep'";
const ALTERING: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
    WHERE INFO LIKE 'ALTER TABLE held%' AND STATE LIKE 'Waiting for table metadata lock%'";

#[tokio::test]
async fn a_lock_on_a_definition_is_waited_for_for_a_while_and_its_table_named() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE free (id int PRIMARY KEY); INSERT INTO free VALUES (1);
         CREATE TABLE held (id int PRIMARY KEY); INSERT INTO held VALUES (1);",
    );
    let to = connect(&server, "shop");
    let fails = |freeze: Freeze| {
        let to = to.clone();
        async move {
            let source = LogicalSource::open(to, &source_options()).await.unwrap();
            let source = source.with_freeze(freeze).with_lock_wait(Duration::from_secs(2));
            let begun = Instant::now();
            let error = take(source, MemoryParts::default()).await.err().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(45), "{freeze:?} took too long");
            error
        }
    };
    // An ALTER waits behind somebody's transaction, and everybody else behind the ALTER.
    let reader = Session::begin(&server, "BEGIN; SELECT * FROM held", SLEEPING);
    let change = Session::begin(&server, "ALTER TABLE held ADD COLUMN x int", ALTERING);
    for freeze in [Freeze::BackupStage, Freeze::GlobalLock, Freeze::TableLocks, Freeze::Alone] {
        let error = fails(freeze).await;
        assert!(error.to_string().contains("held"), "{freeze:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{freeze:?}: {error}");
        assert_eq!(error.status(), ErrorStatus::Temporary, "{freeze:?}: {error}");
        assert!(remedies(&error).contains("PROCESSLIST"), "{freeze:?}: {error:?}");
    }
    drop(change);
    drop(reader);
    // Somebody writes to a locked table.
    let begun = Instant::now();
    loop {
        let left = server.sql("", "SELECT * FROM information_schema.PROCESSLIST WHERE DB = 'shop'");
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{left}");
        // Our own sessions end while others get their turn.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let writer = Session::begin(&server, "LOCK TABLES held WRITE", SLEEPING);
    for freeze in [Freeze::BackupStage, Freeze::GlobalLock, Freeze::TableLocks] {
        let error = fails(freeze).await;
        assert!(error.to_string().contains("held"), "{freeze:?}: {error}");
    }
    drop(writer);
    let taken = back_up(&to).await.unwrap();
    assert_eq!(taken.snapshot.evidence.rows(), 2);
}

#[tokio::test]
async fn an_index_that_the_server_ignores_is_no_key_to_read_by() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE t (r double PRIMARY KEY, id int NOT NULL, UNIQUE KEY u (id) IGNORED);
         INSERT INTO t VALUES (0.5, 1), (1.5, 2)",
    );
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    assert_eq!(taken.snapshot.evidence.rows(), 2);
    assert!(!taken.snapshot.part("table/t").unwrap().attributes.contains_key("key"));
}
