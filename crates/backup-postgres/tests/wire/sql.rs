//! Statements: values, errors, notices, transactions; tokio-postgres as the second opinion.

use backup_core::ErrorKind;
use backup_postgres::{DbError, TransactionStatus, quote_ident, quote_literal, sqlstate};

use crate::support::{clusters, connect, majors, one, value};

#[tokio::test]
async fn values_are_those_another_client_sees() {
    for cluster in clusters(majors()) {
        let mut ours = connect(&cluster.url("postgres")).await.unwrap();
        assert_eq!(ours.server_version_num() / 10_000, cluster.major());
        let (theirs, connection) =
            tokio_postgres::connect(&cluster.url("postgres"), tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        for sql in [
            "select 1 as a, null as b, '' as c, 'ü€𝄞' as d, repeat('x', 3000000) as e",
            "select name, unit, context, min_val, enumvals from pg_settings order by name",
            "select oid, * from pg_class order by oid",
            "select n, n::text || E'\\t\\n' from generate_series(1, 20000) n",
            "select 1 where false",
            "select",
        ] {
            let rows = ours.query(sql).await.unwrap();
            let messages = theirs.simple_query(sql).await.unwrap();
            let expected: Vec<_> = messages
                .iter()
                .filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                })
                .collect();
            assert_eq!(rows.len(), expected.len(), "{sql}");
            for (row, other) in rows.iter().zip(expected) {
                assert_eq!(row.len(), other.len());
                for (index, name) in row.columns().iter().enumerate() {
                    assert_eq!(row.get(index), other.get(index), "{sql}: {name}");
                    assert_eq!(name, other.columns()[index].name());
                }
            }
        }
        drop(theirs);
        driver.await.unwrap().unwrap();
        let process = value(&mut ours, "select pg_backend_pid()").await;
        assert_eq!(process, ours.process_id().to_string());
        ours.close().await;
    }
}

#[tokio::test]
async fn several_statements_give_the_last_rows_and_the_last_tag() {
    for cluster in clusters(one(13)) {
        let mut client = connect(&cluster.socket_url("postgres")).await.unwrap();
        let tag = client
            .execute("create table t (a int); insert into t select generate_series(1, 7)")
            .await
            .unwrap();
        assert_eq!(tag, "INSERT 0 7");
        let rows =
            client.query("select 1; select a from t order by a; set geqo = on").await.unwrap();
        assert_eq!(rows.len(), 7);
        assert_eq!(rows[6].by_name("a"), Some("7"));
        assert_eq!(client.execute("").await.unwrap(), "");
        assert_eq!(client.parameter("application_name"), Some("backupctl"));
        client.execute("set application_name = 'renamed'").await.unwrap();
        assert_eq!(client.parameter("application_name"), Some("renamed"));
    }
}

#[tokio::test]
async fn errors_carry_every_field_and_leave_the_session_usable() {
    for cluster in clusters(one(14)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        client.execute("create table u (a int constraint u_positive check (a > 0))").await.unwrap();
        let error = client.execute("insert into u values (-1)").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(sqlstate(&error), Some("23514"));
        let server = DbError::within(&error).unwrap();
        assert_eq!(server.severity(), "ERROR");
        assert_eq!((server.schema(), server.table()), (Some("public"), Some("u")));
        assert_eq!(server.constraint(), Some("u_positive"));
        assert!(server.detail().unwrap().contains("(-1)"));
        assert!(!error.to_string().contains("(-1)"), "rows stay out of messages: {error}");
        let error = client.query("select 1;\nselect nothing_there").await.unwrap_err();
        assert_eq!(sqlstate(&error), Some("42703"));
        assert_eq!(DbError::within(&error).unwrap().position(), Some(18));
        let error = client.query("select 'a\0b'").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(value(&mut client, "select 1").await, "1");
    }
}

#[tokio::test]
async fn transactions_and_notices_are_reported() {
    for cluster in clusters(one(15)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        assert_eq!(client.transaction_status(), TransactionStatus::Idle);
        client.execute("begin").await.unwrap();
        assert_eq!(client.transaction_status(), TransactionStatus::Active);
        client.execute("select 1/0").await.unwrap_err();
        assert_eq!(client.transaction_status(), TransactionStatus::Failed);
        client.execute("rollback").await.unwrap();
        assert_eq!(client.transaction_status(), TransactionStatus::Idle);
        client
            .execute("do $$ begin for i in 1..300 loop raise warning 'n%', i; end loop; end $$")
            .await
            .unwrap();
        let notices = client.take_notices();
        assert_eq!(notices.len(), 256);
        assert_eq!(notices[255].message(), "n300");
        assert_eq!(notices[255].severity(), "WARNING");
        assert!(client.take_notices().is_empty());
    }
}

#[tokio::test]
async fn copy_statements_are_refused_where_rows_are_expected() {
    for cluster in clusters(one(16)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        client.execute("create table c (a int)").await.unwrap();
        for sql in ["copy c from stdin", "copy (select generate_series(1, 100000)) to stdout"] {
            let error = client.query(sql).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{sql}");
        }
        for sql in ["select 1", "copy c from stdin", "", "create table c2 ()"] {
            let error = client.copy_out(sql).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{sql}");
        }
        for sql in ["select 1", "copy c to stdout", "copy (select 1) to stdout", ""] {
            let error = client.copy_in(sql).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{sql}");
        }
        assert_eq!(value(&mut client, "select count(*) from c").await, "0");
    }
}

#[tokio::test]
async fn quoted_names_and_texts_come_back_as_they_were() {
    for cluster in clusters(one(17)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        for text in ["plain", "it's", "a\"b", "back\\slash", "mixed '\\\" ü\n", "", "$1; drop"] {
            for setting in ["on", "off"] {
                let set = format!("set standard_conforming_strings = {setting}");
                client.execute(&set).await.unwrap();
                let sql = format!("select {}", quote_literal(text));
                assert_eq!(value(&mut client, &sql).await, text);
                if !text.is_empty() {
                    let rows = client.query(&format!("select 1 as {}", quote_ident(text))).await;
                    assert_eq!(rows.unwrap()[0].columns()[0], text);
                }
            }
        }
    }
}
