//! Across major versions, and with client programs newer than the server.

use crate::round_trip::{start, with_fixture};
use crate::support::{
    MemoryParts, assert_same, back_up, dump_contents, restore, restore_options, tools,
};

/// Between majors the server itself words views and privileges anew, so the measure is what
/// pg_dump and pg_restore alone make of the same source.
async fn upgrade(from: u32, to: u32) {
    let (Some(old), Some(new)) = (start(from), start(to)) else { return };
    with_fixture(&old, "shop_source");
    let tools = tools(&[&old, &new]);
    let taken = back_up(&old.url("shop_source"), &tools, MemoryParts::default()).await.unwrap();
    assert!(taken.snapshot.evidence.schema_tool_version.contains(&format!(") {from}.")));
    restore(&taken, &new.url("shop_copy"), &tools, restore_options(3)).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reference.dump");
    let dumped =
        old.command("pg_dump").args(["-Fc", "-d", "shop_source", "-f"]).arg(&file).status();
    assert!(dumped.unwrap().success());
    new.sql("postgres", "CREATE DATABASE shop_reference TEMPLATE template0");
    let loaded = new.command("pg_restore").args(["-e", "-d", "shop_reference"]).arg(&file).status();
    assert!(loaded.unwrap().success());
    assert_same(
        &dump_contents(&new, &new, "shop_reference", false),
        &dump_contents(&new, &new, "shop_copy", false),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn from_14_to_18() {
    upgrade(14, 18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_16_to_17() {
    upgrade(16, 17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_programs_serve_an_older_server() {
    let (Some(old), Some(new)) = (start(16), start(18)) else { return };
    old.sql("postgres", "CREATE DATABASE shop");
    old.sql(
        "shop",
        "CREATE TABLE t (id integer PRIMARY KEY, v text); \
         INSERT INTO t SELECT g, 'v' FROM generate_series(1, 1000) g; \
         CREATE INDEX ON t (v); CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t",
    );
    let tools = tools(&[&new]);
    let taken = back_up(&old.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    assert!(taken.findings().contains("pg_dump (PostgreSQL) 18"), "{}", taken.findings());
    restore(&taken, &old.url("copy"), &tools, restore_options(2)).await.unwrap();
    assert_eq!(old.sql("copy", "SELECT * FROM m").trim(), "1000");

    // Errors that are not the known one still count.
    old.sql("postgres", "CREATE DATABASE taken");
    old.sql(
        "shop",
        "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS \
         'SELECT 1 / ($1 - 5)'; DELETE FROM t WHERE id = 5; CREATE INDEX bad ON t (f(id)); \
         CREATE OR REPLACE FUNCTION f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS \
         'SELECT 1 / ($1 - 6)'",
    );
    let taken = back_up(&old.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let error = restore(&taken, &old.url("broken"), &tools, restore_options(2)).await.unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
    assert!(error.to_string().contains("dropped again"), "{error}");
    let left = old.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'broken'");
    assert_eq!(left.trim(), "0");
}
