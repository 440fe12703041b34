//! What is refused, and what is never called a success.

use std::sync::Arc;

use backup_core::port::{PartSource, Target};
use backup_core::{ErrorKind, FindingKind};
use backup_mysql::ConnectOptions;
use backup_mysql::logical::{LogicalSource, LogicalTarget, discover};
use backup_testkit::MemoryParts;
use backup_testkit::mariadb::MariaDb;

use crate::support::{
    back_up, connect, restore, restore_options, restore_with, same_dump, shop, source_options, take,
};

fn as_user(server: &MariaDb, user: &str, database: &str) -> ConnectOptions {
    ConnectOptions::parse(&server.url_of(user, database)).unwrap()
}

#[tokio::test]
async fn rights_that_are_missing_are_named_with_the_statement_that_grants_them() {
    let Some(server) = MariaDb::start(&[]) else { return };
    shop(&server);
    server.sql(
        "",
        "CREATE USER nobody@localhost IDENTIFIED BY 'p@ss/w:rd';
         GRANT SELECT ON shop.parts TO nobody@localhost;
         CREATE USER reader@localhost; GRANT SELECT ON shop.* TO reader@localhost;
         CREATE USER locker@localhost;
         GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT ON shop.* TO locker@localhost;
         GRANT SELECT ON mysql.proc TO locker@localhost;",
    );
    // It sees one table only, and would never know of the others.
    let nobody = as_user(&server, "nobody:p%40ss%2Fw%3Ard", "shop");
    let error = back_up(&nobody).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(error.remedy().unwrap().contains("ON `shop`.* TO 'nobody'@'localhost'"), "{error:?}");
    assert!(!format!("{error:?}").contains("p@ss"));

    let reader = as_user(&server, "reader", "shop");
    let found = discover(&reader).await.unwrap().findings;
    let said = |word: &str| {
        found.iter().any(|f| f.kind == FindingKind::Warning && f.message.contains(word))
    };
    assert!(said("GRANT TRIGGER") || said("SHOW VIEW, TRIGGER, EVENT"), "{found:?}");
    assert!(said("GRANT RELOAD ON *.* TO 'reader'@'localhost';"), "{found:?}");

    // Without RELOAD the tables are locked for a moment.
    let locker = as_user(&server, "locker", "shop");
    let taken = back_up(&locker).await.unwrap();
    assert_eq!(taken.snapshot.evidence.facts["freeze"], "table locks");
    restore(&taken, &connect(&server, "copy")).await.unwrap();
    same_dump(&server, "shop", "copy");
}

#[tokio::test]
async fn a_table_that_cannot_be_read_fails_the_backup_by_its_name() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE broken (id int PRIMARY KEY) ENGINE=MyISAM;
         INSERT INTO good VALUES (1); INSERT INTO broken VALUES (1); FLUSH TABLES;",
    );
    server.damage("shop/broken.MYI");
    let error = back_up(&connect(&server, "shop")).await.err().unwrap();
    assert!(error.to_string().contains("broken"), "{error}");
}

#[tokio::test]
async fn targets_that_hold_something_are_refused_and_failures_leave_nothing() {
    let Some(server) = MariaDb::start(&["--local-infile=0", "--max-allowed-packet=2M"]) else {
        return;
    };
    shop(&server);
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let error = restore(&taken, &connect(&server, "shop")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);

    // Without LOAD DATA rows are inserted, in statements that the server takes.
    server.sql("", "CREATE DATABASE empty_one");
    let report = restore(&taken, &connect(&server, "empty_one")).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.message.contains("local_infile")));
    same_dump(&server, "shop", "empty_one");

    // What is damaged on the way is an error, and nothing stays of it.
    let mut damaged = back_up(&connect(&server, "shop")).await.unwrap();
    Arc::get_mut(&mut damaged.parts).unwrap().change_attribute("table/parts", "rows", "1999");
    let error = restore(&damaged, &connect(&server, "bad")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(!server.sql("", "SHOW DATABASES").contains("bad"));
}

#[tokio::test]
async fn a_part_of_a_snapshot_comes_with_what_stands_on_it() {
    let Some(server) = MariaDb::start(&[]) else { return };
    shop(&server);
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let mut options = restore_options();
    options.tables = vec!["shop.child".into(), "parts".into()];
    let report = restore_with(&taken, &connect(&server, "some"), options.clone()).await.unwrap();
    assert_eq!((report.tables, report.rows), (2, 2003));
    assert!(report.findings.iter().any(|f| f.message.contains("references parent")));
    let triggers = server.sql(
        "some",
        "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'some'",
    );
    assert_eq!(triggers.trim(), "2");
    options.tables = vec!["nothing".into()];
    let error = restore_with(&taken, &connect(&server, "none"), options).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_ends_the_backup_and_a_restore_can_be_given_again() {
    let Some(mut server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY, pad varchar(1000));
         INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_30000;",
    );
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    // The rate lets the copy take seconds; the server is killed in its middle.
    let options = backup_core::port::SourceOptions { max_rate: Some(4 << 20), ..source_options() };
    let source = LogicalSource::open(connect(&server, "shop"), &options).await.unwrap();
    let copying = tokio::spawn(take(source, MemoryParts::default()));
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    server.kill9();
    let error = copying.await.unwrap().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error}");
    assert!(error.to_string().contains("shop.t"), "{error}");

    // A restore that was dropped half way is made anew by the next one.
    server.restart();
    let to = connect(&server, "copy");
    let mut target = LogicalTarget::new(to.clone(), restore_options());
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let snapshot = taken.snapshot.clone();
    let restoring = tokio::spawn(async move { target.restore(&snapshot, parts).await });
    while !server.sql("", "SHOW DATABASES").contains("copy") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    restoring.abort();
    let _ = restoring.await;
    let mut tries = 0;
    while let Err(error) = restore(&taken, &to).await {
        // The one that was dropped is still cleaning up.
        tries += 1;
        assert!(tries < 20, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    same_dump(&server, "shop", "copy");
}
