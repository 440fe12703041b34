//! Bytes stay exact whatever the encoding of the database.

use crate::round_trip::start;
use crate::support::{MemoryParts, assert_same, back_up, dump, restore, restore_options, tools};

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_survive_in_sql_ascii() {
    let Some(cluster) = start(16).or_else(|| start(15)) else { return };
    cluster.sql(
        "postgres",
        "CREATE DATABASE raw_source TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    );
    cluster.sql(
        "raw_source",
        "SET client_encoding = 'SQL_ASCII'; \
         CREATE TABLE t (id integer PRIMARY KEY, v text); \
         INSERT INTO t VALUES (1, E'\\xff\\xfe caf\\xe9'), (2, E'\\xc3\\xa9'), (3, E'\\x81\\n\\t\\\\'); \
         COMMENT ON TABLE t IS E'caf\\xe9'",
    );
    let tools = tools(&[&cluster]);
    let taken = back_up(&cluster.url("raw_source"), &tools, MemoryParts::default()).await.unwrap();
    assert_eq!(&taken.parts.bytes("table/public.t")[..11], b"1\t\xff\xfe caf\xe9\n2");
    restore(&taken, &cluster.url("raw_copy"), &tools, restore_options(2)).await.unwrap();
    assert_same(
        &dump(&cluster, &cluster, "raw_source", true),
        &dump(&cluster, &cluster, "raw_copy", true),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn latin1_names_and_values_survive() {
    let Some(cluster) = start(18).or_else(|| start(15)) else { return };
    cluster.sql(
        "postgres",
        "CREATE DATABASE latin_source TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    );
    cluster.sql(
        "latin_source",
        "SET client_encoding = 'UTF8'; \
         CREATE SCHEMA \"schön\"; CREATE SEQUENCE \"schön\".\"zähler\"; \
         CREATE TABLE \"schön\".\"größe\" (\"maß\" text, n integer DEFAULT nextval('\"schön\".\"zähler\"')); \
         INSERT INTO \"schön\".\"größe\" VALUES ('éàü'), ('plain'); \
         COMMENT ON COLUMN \"schön\".\"größe\".\"maß\" IS 'Füße'; \
         CREATE VIEW \"schön\".v AS SELECT 'ß'::text AS \"ß\"",
    );
    let tools = tools(&[&cluster]);
    let taken =
        back_up(&cluster.url("latin_source"), &tools, MemoryParts::default()).await.unwrap();
    let rows = taken.parts.bytes("table/schön.größe");
    assert!(rows.starts_with(b"\xe9\xe0\xfc\t1\n"), "{rows:?}");
    restore(&taken, &cluster.url("latin_copy"), &tools, restore_options(2)).await.unwrap();
    assert_same(
        &dump(&cluster, &cluster, "latin_source", true),
        &dump(&cluster, &cluster, "latin_copy", true),
    );

    // Into a database of another encoding text is converted, and that is said.
    cluster
        .sql("postgres", "CREATE DATABASE unicode TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
    let report =
        restore(&taken, &cluster.url("unicode"), &tools, restore_options(2)).await.unwrap();
    assert!(report.findings.iter().any(|f| f.message.contains("LATIN1")), "{:?}", report.findings);
    let value = cluster.sql("unicode", "SELECT \"maß\" FROM \"schön\".\"größe\" LIMIT 1");
    assert_eq!(value.trim(), "éàü");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_sorts_like_its_source() {
    // Builds differ in what they offer; each of these is in at least one of ours.
    for (major, locale) in [
        (15, "LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn' LOCALE 'C.UTF-8'"),
        (17, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"),
        (18, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' LOCALE 'C'"),
        (14, "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"),
    ] {
        let Some(cluster) = start(major) else { continue };
        let create =
            format!("CREATE DATABASE sorted_source TEMPLATE template0 ENCODING 'UTF8' {locale}");
        match cluster.try_sql("postgres", &create) {
            Err(error) if error.to_string().contains("ICU is not supported") => continue,
            other => other.unwrap(),
        };
        cluster.sql("sorted_source", "CREATE TABLE t AS SELECT 'a'::text AS v");
        let tools = tools(&[&cluster]);
        let taken =
            back_up(&cluster.url("sorted_source"), &tools, MemoryParts::default()).await.unwrap();
        restore(&taken, &cluster.url("sorted_copy"), &tools, restore_options(1)).await.unwrap();
        let row = |database: &str| {
            let sql = format!(
                "SELECT to_jsonb(d) - '{{oid,datname,datfrozenxid,datminmxid,dathasloginevt}}'::text[] \
                 FROM pg_database d WHERE datname = '{database}'"
            );
            cluster.sql("postgres", &sql)
        };
        assert_eq!(row("sorted_source"), row("sorted_copy"), "{major}");
    }
}
