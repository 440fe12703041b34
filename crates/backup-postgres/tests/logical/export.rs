//! An exported snapshot loads with PostgreSQL's own programs.

use std::sync::Arc;

use backup_core::ErrorKind;
use backup_core::port::{NoObserver, PartSource};
use backup_postgres::logical::{ExportOptions, export};

use crate::round_trip::{start, with_fixture};
use crate::support::{MemoryParts, assert_same, back_up, dump_contents, tools};

async fn exported(file_per_table: bool) {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    with_fixture(&cluster, "shop_source");
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("shop_source"), &tools, MemoryParts::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let options = ExportOptions {
        file_per_table,
        tables: Vec::new(),
        schemas: Vec::new(),
        observer: Arc::new(NoObserver),
    };
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let report = export(&taken.snapshot, &parts, &target, &tools, &options).await.unwrap();
    assert_eq!(report.tables, taken.snapshot.evidence.tables.len() as u64);

    cluster.sql("postgres", "CREATE DATABASE shop_copy");
    let script = target.join("database.sql");
    let output = cluster
        .command("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "shop_copy", "-f"])
        .arg(&script)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(
        &dump_contents(&cluster, &cluster, "shop_source", true),
        &dump_contents(&cluster, &cluster, "shop_copy", true),
    );
    let listed = cluster.command("pg_restore").arg("-l").arg(target.join("schema.dump")).output();
    assert!(String::from_utf8_lossy(&listed.unwrap().stdout).contains("TABLE app everything"));
    let globals = std::fs::read_to_string(target.join("globals.sql")).unwrap();
    assert!(globals.contains("CREATE ROLE owner_one"));

    let again = export(&taken.snapshot, &parts, &target, &tools, &options).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_script_rebuilds_the_database() {
    exported(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_per_table_rebuilds_the_database() {
    exported(true).await;
}
