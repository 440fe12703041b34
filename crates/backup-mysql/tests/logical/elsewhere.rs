//! What points somewhere else: to other tables, other databases, or to nothing any more.

use std::sync::Arc;

use backup_core::port::{NoObserver, PartSource};
use backup_core::{Finding, FindingKind};
use backup_mysql::logical::{ExportOptions, export};
use backup_testkit::mariadb::MariaDb;

use crate::support::{back_up, connect, restore};

fn warns(findings: &[Finding], of: &str) -> bool {
    findings.iter().any(|f| f.kind == FindingKind::Warning && f.message.contains(of))
}

#[tokio::test]
async fn tables_that_show_the_rows_of_others_keep_their_definition_only() {
    for settings in [&[][..], &["--local-infile=0"][..]] {
        let Some(server) = MariaDb::start(settings) else { return };
        server.sql("", "CREATE DATABASE shop");
        server.sql(
            "shop",
            "CREATE TABLE m1 (id int) ENGINE=MyISAM; CREATE TABLE m2 (id int) ENGINE=MyISAM;
             INSERT INTO m1 VALUES (1), (2); INSERT INTO m2 VALUES (3);
             CREATE TABLE all_m (id int) ENGINE=MERGE UNION=(m1, m2) INSERT_METHOD=LAST;",
        );
        let taken = back_up(&connect(&server, "shop")).await.unwrap();
        let evidence = &taken.snapshot.evidence;
        assert!(!evidence.tables.iter().any(|table| table.name == "all_m"));
        assert!(warns(&evidence.findings, "all_m"), "{:?}", evidence.findings);
        let report = restore(&taken, &connect(&server, "copy")).await.unwrap();
        assert!(warns(&report.findings, "all_m"), "{:?}", report.findings);
        let counts = "SELECT (SELECT COUNT(*) FROM m1), (SELECT COUNT(*) FROM m2), \
             (SELECT COUNT(*) FROM all_m)";
        assert_eq!(server.sql("copy", counts).trim(), "2\t1\t3");
    }
}

#[tokio::test]
async fn broken_views_are_told_and_stop_nothing() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY, gone int); CREATE TABLE dropped (id int);
         INSERT INTO t VALUES (1, 1);
         CREATE VIEW good AS SELECT id FROM t;
         CREATE VIEW of_column AS SELECT gone FROM t; CREATE VIEW of_table AS SELECT * FROM dropped;
         CREATE VIEW of_view AS SELECT * FROM of_table;
         ALTER TABLE t DROP COLUMN gone; DROP TABLE dropped;",
    );
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let report = restore(&taken, &connect(&server, "copy")).await.unwrap();
    for view in ["of_column", "of_table", "of_view"] {
        assert!(warns(&taken.snapshot.evidence.findings, view), "{view}");
        assert!(warns(&report.findings, view), "{view}: {:?}", report.findings);
    }
    assert!(!warns(&report.findings, "good"));
    assert_eq!(server.sql("copy", "SELECT * FROM good").trim(), "1");

    let folder = tempfile::tempdir().unwrap();
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let options = ExportOptions {
        file_per_table: false,
        tables: Vec::new(),
        schemas: Vec::new(),
        observer: Arc::new(NoObserver),
    };
    let into = folder.path().join("sql");
    export(&taken.snapshot, &parts, &into, &options).await.unwrap();
    let script = std::fs::read_to_string(into.join("database.sql")).unwrap();
    assert!(script.contains("VIEW `of_column` AS"));
    server.sql("", "CREATE DATABASE loaded");
    server.sql("loaded", &script);
    assert_eq!(server.sql("loaded", "SELECT * FROM good").trim(), "1");
}

#[tokio::test]
async fn what_needs_other_databases_is_told_and_reads_from_its_own_copy() {
    let Some(server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE other");
    server.sql("other", "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1), (2)");
    server.sql(
        "shop",
        "CREATE TABLE t (id int PRIMARY KEY, o int, CONSTRAINT abroad FOREIGN KEY (o) REFERENCES other.o (id));
         INSERT INTO t VALUES (1, 1), (2, 2);
         CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a * 10;
         CREATE VIEW uses_f AS SELECT f(id) AS ten FROM t;
         CREATE VIEW joins AS SELECT t.id, f(o.id) AS ten FROM t JOIN other.o ON o.id = t.o;",
    );
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let found = &taken.snapshot.evidence.findings;
    assert!(warns(found, "references other.o") && warns(found, "view joins reads"), "{found:?}");
    assert!(!warns(found, "uses_f"), "{found:?}");
    restore(&taken, &connect(&server, "copy")).await.unwrap();
    // What the copy shows is its own, whatever becomes of the source.
    server.sql("shop", "DELETE FROM t; DROP FUNCTION f");
    assert_eq!(server.sql("copy", "SELECT * FROM uses_f ORDER BY 1"), "10\n20\n");
    assert_eq!(server.sql("copy", "SELECT * FROM joins ORDER BY 1"), "1\t10\n2\t20\n");

    // Where the other database is not, the rest is restored.
    server.sql("", "DROP DATABASE copy; DROP DATABASE shop; DROP DATABASE other");
    let report = restore(&taken, &connect(&server, "alone")).await.unwrap();
    assert!(warns(&report.findings, "view joins is left out"), "{:?}", report.findings);
    assert!(warns(&report.findings, "abroad"), "{:?}", report.findings);
    assert_eq!(server.sql("alone", "SELECT COUNT(*) FROM t").trim(), "2");
    assert_eq!(server.sql("alone", "SELECT * FROM uses_f ORDER BY 1"), "10\n20\n");
}
