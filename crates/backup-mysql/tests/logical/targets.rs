//! Who may restore where, and what a restore that fails takes back.

use std::sync::Arc;

use backup_core::ErrorKind;
use backup_mysql::ConnectOptions;
use backup_testkit::mariadb::MariaDb;

use crate::support::{Taken, back_up, connect, restore, same_dump, shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_target_has_one_restore_at_a_time() {
    let Some(server) = MariaDb::start(&[]) else { return };
    shop(&server);
    let taken = Arc::new(back_up(&connect(&server, "shop")).await.unwrap());
    let to = connect(&server, "copy");
    let restoring: Vec<_> = (0..3)
        .map(|_| {
            let (taken, to) = (Arc::clone(&taken), to.clone());
            tokio::spawn(async move { restore(&taken, &to).await.map_err(|error| error.kind()) })
        })
        .collect();
    let mut done = Vec::new();
    for one in restoring {
        done.push(one.await.unwrap().map(|report| report.rows));
    }
    let refused = done.iter().filter(|one| **one == Err(ErrorKind::Conflict)).count();
    assert_eq!((refused, done.iter().filter(|one| one.is_ok()).count()), (2, 1), "{done:?}");
    same_dump(&server, "shop", "copy");
}

#[tokio::test]
async fn what_others_hold_in_a_target_is_never_dropped() {
    // A server that takes no table without a primary key, as ours is.
    let Some(server) = MariaDb::start(&["--innodb-force-primary-key=1"]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut taken: Taken = back_up(&connect(&server, "shop")).await.unwrap();
    restore(&taken, &connect(&server, "copy")).await.unwrap();
    same_dump(&server, "shop", "copy");

    // What looks like the leftover of a killed restore, and holds something else too.
    let id = taken.snapshot.id.to_string();
    server.sql("", "CREATE DATABASE leftover");
    server.sql(
        "leftover",
        &format!(
            "CREATE TABLE backup_unfinished_restore (snapshot varchar(64) PRIMARY KEY);
             INSERT INTO backup_unfinished_restore VALUES ('{id}');
             CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE mine (id int PRIMARY KEY)"
        ),
    );
    let error = restore(&taken, &connect(&server, "leftover")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(server.sql("leftover", "SHOW TABLES").contains("mine"));
    server.sql("leftover", "DROP TABLE mine");
    restore(&taken, &connect(&server, "leftover")).await.unwrap();

    // A database that was there and empty is there again, and as it was.
    server.sql("", "CREATE DATABASE there CHARACTER SET latin1");
    Arc::get_mut(&mut taken.parts).unwrap().change_attribute("table/t", "rows", "7");
    let error = restore(&taken, &connect(&server, "there")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert_eq!(server.sql("there", "SHOW TABLES"), "");
    assert!(server.sql("", "SHOW CREATE DATABASE there").contains("latin1"));

    // Nor does a mark stay that could be made and not filled.
    server.sql("", "CREATE USER poor@localhost; GRANT SELECT, CREATE, DROP, ALTER ON there.* TO poor@localhost");
    let poor = ConnectOptions::parse(&server.url_of("poor", "there")).unwrap();
    restore(&taken, &poor).await.err().unwrap();
    assert_eq!(server.sql("there", "SHOW TABLES"), "");
}

#[tokio::test]
async fn what_only_looks_like_a_note_of_a_restore_is_no_source() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE backup_unfinished_accounts (account text);
         INSERT INTO backup_unfinished_accounts VALUES ('`root`@`localhost`')",
    );
    let error = back_up(&connect(&server, "shop")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error}");
    let hint = error.remedy().unwrap();
    for name in ["backup_unfinished_restore", "backup_unfinished_accounts"] {
        assert!(hint.contains(name), "{hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_one_table_wait_for_each_other_and_rows_arrive_once() {
    // Who inserts into an empty table first holds it alone, for longer than this server waits.
    let settings = ["--local-infile=0", "--innodb-lock-wait-timeout=0"];
    let Some(server) = MariaDb::start(&settings) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY, pad varchar(1000));
         INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_20000; ANALYZE TABLE t;",
    );
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    assert!(taken.parts.addressed("table/t").len() > 2);
    let report = restore(&taken, &connect(&server, "copy")).await.unwrap();
    assert_eq!(report.rows, 20_000);
    same_dump(&server, "shop", "copy");
}
