//! The yardstick: pg_dump of the restored database equals pg_dump of the source.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::FindingKind;
use backup_core::port::NoObserver;
use backup_postgres::logical::{Examination, examine};
use backup_testkit::postgres::Cluster;

use crate::support::{
    MemoryParts, assert_same, back_up, connect, dump, restore, restore_options, tools,
};

const FIXTURE: &str = include_str!("fixture.sql");
const ROLES: &str = "\
    CREATE ROLE owner_one; CREATE ROLE \"reader \"\"two\"\"\"; CREATE ROLE auditor; \
    ALTER ROLE auditor SET work_mem = '3MB';";

/// Starts a server with the roles of the fixture.
pub(crate) fn start(major: u32) -> Option<Cluster> {
    let cluster = Cluster::builder(major).setting("max_prepared_transactions", "2").start()?;
    cluster.sql("postgres", ROLES);
    Some(cluster)
}

pub(crate) fn with_fixture(cluster: &Cluster, database: &str) {
    cluster.sql("postgres", &format!("CREATE DATABASE {database}"));
    cluster.sql(database, FIXTURE);
    cluster.sql(
        "postgres",
        &format!(
            "ALTER DATABASE {database} SET work_mem = '5MB'; \
             ALTER ROLE auditor IN DATABASE {database} SET search_path = app, public; \
             COMMENT ON DATABASE {database} IS 'it''s the source'; \
             GRANT CONNECT ON DATABASE {database} TO auditor; \
             REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC; \
             ALTER DATABASE {database} OWNER TO owner_one;"
        ),
    );
}

async fn round_trip(major: u32) {
    let Some(cluster) = start(major) else { return };
    with_fixture(&cluster, "shop_source");
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("shop_source"), &tools, MemoryParts::default()).await.unwrap();
    assert!(!taken.snapshot.is_suspect(), "{}", taken.findings());

    let report =
        restore(&taken, &cluster.url("shop_copy"), &tools, restore_options(3)).await.unwrap();
    assert_eq!(report.rows, taken.snapshot.evidence.rows());
    let warnings: Vec<_> =
        report.findings.iter().filter(|finding| finding.kind != FindingKind::Note).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_same(
        &dump(&cluster, &cluster, "shop_source", false),
        &dump(&cluster, &cluster, "shop_copy", false),
    );

    // Asked for its own evidence, the copy says what the source said.
    let how = Examination {
        jobs: NonZeroUsize::new(2).unwrap(),
        owners: true,
        privileges: true,
        observer: Arc::new(NoObserver),
    };
    let copy = connect(&cluster.url("shop_copy"));
    let found = examine(&copy, &tools, &taken.snapshot, &*taken.parts, &how).await.unwrap();
    let source = &taken.snapshot.evidence;
    assert_eq!(found.schema_differences, Vec::<String>::new());
    assert!(source.tables.iter().all(|table| table.fingerprint.is_some()));
    assert_eq!(found.evidence.row_sets(), source.row_sets());
    assert_eq!(found.evidence.sequences, source.sequences);
    assert_eq!(found.evidence.objects, source.objects);
    assert_eq!(found.evidence.schema, source.schema);
    assert!(source.large_objects.is_some());
    assert_eq!(found.evidence.large_objects, source.large_objects);

    // In order: equal to the byte.
    let mut ordered = restore_options(4);
    ordered.ordered = true;
    restore(&taken, &cluster.url("shop_exact"), &tools, ordered).await.unwrap();
    assert_same(
        &dump(&cluster, &cluster, "shop_source", true),
        &dump(&cluster, &cluster, "shop_exact", true),
    );

    // A second backup keeps every address.
    let again = back_up(&cluster.url("shop_source"), &tools, MemoryParts::after(&taken.snapshot))
        .await
        .unwrap();
    for part in taken.parts.list().iter().filter(|part| part.name.as_str().starts_with("table/")) {
        let name = part.name.as_str();
        assert_eq!(taken.parts.addressed(name), again.parts.addressed(name), "{name}");
    }
}

/// Sessions that attach at two levels at once would leave what is above them invalid.
#[tokio::test(flavor = "multi_thread")]
async fn indexes_over_nested_partitions_are_valid() {
    let Some(cluster) = Cluster::builder(16).start() else { return };
    cluster.sql("postgres", "CREATE DATABASE source");
    cluster.sql(
        "source",
        "CREATE TABLE t (a int, b int, c int, d int, PRIMARY KEY (a, b)) PARTITION BY LIST (a); \
         DO $$ BEGIN FOR i IN 1..4 LOOP \
           EXECUTE format('CREATE TABLE t%s PARTITION OF t FOR VALUES IN (%s) \
                           PARTITION BY LIST (b)', i, i); \
           FOR j IN 1..4 LOOP \
             EXECUTE format('CREATE TABLE t%s_%s PARTITION OF t%s FOR VALUES IN (%s)', \
                            i, j, i, j); \
           END LOOP; END LOOP; END $$; \
         CREATE INDEX ON t (c); CREATE INDEX ON t (d); CREATE INDEX ON t (c, d); \
         CREATE INDEX ON t (d, c); CREATE INDEX ON t (b, c); CREATE INDEX ON t (b, d); \
         INSERT INTO t SELECT i, j, i + j, i * j \
           FROM generate_series(1, 4) i, generate_series(1, 4) j",
    );
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("source"), &tools, MemoryParts::default()).await.unwrap();
    restore(&taken, &cluster.url("copy"), &tools, restore_options(8)).await.unwrap();
    let invalid = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid";
    assert_eq!(cluster.sql("copy", invalid).trim(), "");
}

/// Its server is not to be had on every machine, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_13() {
    if Cluster::majors().contains(&13) {
        round_trip(13).await;
    } else {
        eprintln!("skipped: PostgreSQL 13 is missing; `cargo xtask tools` installs it by npm");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_14() {
    round_trip(14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_15() {
    round_trip(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_16() {
    round_trip(16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_17() {
    round_trip(17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_18() {
    round_trip(18).await;
}
