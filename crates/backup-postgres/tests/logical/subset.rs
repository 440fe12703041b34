//! Some tables, some schemas.

use backup_core::ErrorKind;

use crate::round_trip::{start, with_fixture};
use crate::support::{MemoryParts, back_up, restore, restore_options, tools};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_comes_with_what_belongs_to_it() {
    let Some(cluster) = start(18).or_else(|| start(15)) else { return };
    with_fixture(&cluster, "shop");
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let mut options = restore_options(2);
    options.tables = ["app.everything", "app.serials", "b", "app.events", "app.secret"]
        .map(str::to_owned)
        .to_vec();
    let report = restore(&taken, &cluster.url("part"), &tools, options).await.unwrap();

    let ask = |sql: &str| cluster.sql("part", sql).trim().to_owned();
    assert_eq!(ask("SELECT count(*), max(id) FROM app.everything"), "505|2525");
    assert_eq!(ask("SELECT count(*) FROM app.events"), "900");
    assert_ne!(ask("SELECT count(*) FROM app.events_2024_h0"), "0");
    // Identity and serial go on where they were.
    assert_eq!(ask("INSERT INTO app.serials (c) VALUES ('y') RETURNING a, b"), "6|6");
    assert_eq!(ask("INSERT INTO app.everything DEFAULT VALUES RETURNING id"), "2530");
    // Indexes, policies, statistics, comments.
    assert_eq!(ask("SELECT count(*) FROM pg_indexes WHERE tablename = 'everything'"), "4");
    assert_eq!(ask("SELECT count(*) FROM pg_policies WHERE tablename = 'secret'"), "2");
    assert_eq!(ask("SELECT count(*) FROM pg_statistic_ext"), "1");
    assert_eq!(ask("SELECT obj_description('app.everything'::regclass)"), "two\nlines");
    // Nothing else.
    assert_eq!(ask("SELECT to_regclass('app.a') IS NULL, to_regclass('many') IS NULL"), "t|t");
    // A key to a table that was not asked for is left out, and that is said.
    let said: String = report.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    assert!(said.contains("fk constraint b b_a_id_fkey") && said.contains("app.a"), "{said}");
    assert_eq!(
        ask(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'app.b'::regclass"
        ),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_comes_whole() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql(
        "shop",
        "CREATE SCHEMA one; CREATE SCHEMA two; CREATE TYPE two.t AS ENUM ('a', 'b'); \
         CREATE TABLE one.orders (id serial PRIMARY KEY, kind two.t); \
         INSERT INTO one.orders (kind) SELECT 'a' FROM generate_series(1, 10); \
         CREATE VIEW one.v AS SELECT * FROM one.orders; \
         CREATE FUNCTION one.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM one.orders'; \
         CREATE MATERIALIZED VIEW one.m AS SELECT kind FROM one.v; \
         CREATE TABLE two.items (id integer, order_id integer REFERENCES one.orders)",
    );
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let mut options = restore_options(2);
    options.schemas = vec!["one".to_owned()];
    restore(&taken, &cluster.url("part"), &tools, options).await.unwrap();
    let ask = |sql: &str| cluster.sql("part", sql).trim().to_owned();
    assert_eq!(
        ask("SELECT one.f(), (SELECT count(*) FROM one.m), (SELECT count(*) FROM one.v)"),
        "10|10|10"
    );
    assert_eq!(ask("SELECT to_regclass('two.items') IS NULL"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_lists_its_neighbours() {
    let Some(cluster) = start(15).or_else(|| start(17)) else { return };
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", "CREATE TABLE orders (a integer); CREATE TABLE customers (a integer)");
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let mut options = restore_options(1);
    options.tables = vec!["public.ordres".to_owned()];
    let error = restore(&taken, &cluster.url("part"), &tools, options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.remedy().unwrap().contains("are: public.orders"), "{error:?}");
    let there = cluster.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'part'");
    assert_eq!(there.trim(), "0");
}
