//! What points somewhere else: to other tables, other databases, or to nothing any more.

use backup_core::FindingKind;
use backup_testkit::mariadb::MariaDb;

use crate::support::{back_up, connect, restore};

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
        let told = |findings: &[backup_core::Finding]| {
            findings.iter().any(|f| f.kind == FindingKind::Warning && f.message.contains("all_m"))
        };
        assert!(told(&evidence.findings), "{:?}", evidence.findings);
        let report = restore(&taken, &connect(&server, "copy")).await.unwrap();
        assert!(told(&report.findings), "{:?}", report.findings);
        let counts = "SELECT (SELECT COUNT(*) FROM m1), (SELECT COUNT(*) FROM m2), \
             (SELECT COUNT(*) FROM all_m)";
        assert_eq!(server.sql("copy", counts).trim(), "2\t1\t3");
    }
}
