//! `COPY … FROM STDIN`: everything stored, or an error that says why.

use backup_core::{ErrorKind, ErrorStatus};
use backup_postgres::{DbError, sqlstate};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{clusters, connect, majors, one, value};

#[tokio::test]
async fn rows_make_the_round_trip() {
    for cluster in clusters(majors()) {
        cluster.sql(
            "postgres",
            "create table a as select n, md5(n::text) h, repeat('ü', n % 500) p
             from generate_series(1, 20000) n; create table b (like a)",
        );
        for url in [cluster.url("postgres"), cluster.socket_url("postgres")] {
            let mut reader = connect(&url).await.unwrap();
            let mut writer = connect(&url).await.unwrap();
            writer.execute("truncate b").await.unwrap();
            let mut from = reader.copy_out("copy a to stdout").await.unwrap();
            let mut into = writer.copy_in("copy b from stdin").await.unwrap();
            let mut batch = Vec::new();
            while from.read(&mut batch).await.unwrap() {
                // Borders in the middle of rows, empty and large pieces.
                let (head, tail) = batch.split_at(batch.len() / 3);
                into.write(head).await.unwrap();
                into.write(&[]).await.unwrap();
                into.write(tail).await.unwrap();
                batch.clear();
            }
            assert_eq!(into.finish().await.unwrap(), from.rows().unwrap());
            let difference = "select count(*) from ((table a except all table b) union all
                              (table b except all table a)) d";
            assert_eq!(value(&mut writer, difference).await, "0");
        }
    }
}

#[tokio::test]
async fn nothing_is_a_table_too_and_one_value_may_be_huge() {
    for cluster in clusters(one(2)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        client.execute("create table t (v text)").await.unwrap();
        let copy = client.copy_in("copy t from stdin").await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 0);
        let mut copy = client.copy_in("copy t from stdin").await.unwrap();
        copy.write(&vec![b'z'; 50 << 20]).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 1);
        assert_eq!(value(&mut client, "select length(v) from t").await, (50 << 20).to_string());
    }
}

#[tokio::test]
async fn a_constraint_ends_the_copy_early_with_its_name() {
    for cluster in clusters(majors()) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        client.execute("create table p (a int constraint p_small check (a < 1000))").await.unwrap();
        let mut copy = client.copy_in("copy p from stdin").await.unwrap();
        let rows: String = (0..20_000).map(|n| format!("{n}\n")).collect();
        let mut wrote = 0;
        // Far more than fits into any buffer: the error must arrive while we write.
        let error = loop {
            match copy.write(rows.as_bytes()).await {
                Ok(()) => wrote += 1,
                Err(error) => break error,
            }
            assert!(wrote < 10_000, "the server's error was not noticed");
        };
        let server = DbError::within(&error).unwrap();
        assert_eq!((server.code(), server.constraint()), ("23514", Some("p_small")));
        assert!(server.context().unwrap().contains("line 1001"), "{server:?}");
        assert!(copy.write(b"1\n").await.is_err());
        assert!(copy.finish().await.is_err());
        assert_eq!(value(&mut client, "select count(*) from p").await, "0");
    }
}

#[tokio::test]
async fn an_error_at_the_end_is_an_error_too() {
    for cluster in clusters(one(3)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        client
            .execute(
                "create table k (a int); create unique index on k (a); create table d
                (a int primary key deferrable initially deferred)",
            )
            .await
            .unwrap();
        for table in ["k", "d"] {
            let mut copy = client.copy_in(&format!("copy {table} from stdin")).await.unwrap();
            copy.write(b"1\n2\n1\n").await.unwrap();
            let error = copy.finish().await.unwrap_err();
            assert_eq!(sqlstate(&error), Some("23505"), "{table}");
            assert_eq!(value(&mut client, &format!("select count(*) from {table}")).await, "0");
        }
        let mut copy = client.copy_in("copy k from stdin").await.unwrap();
        copy.write(b"1\n2").await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 2);
    }
}

#[tokio::test]
async fn an_abort_rolls_back_and_keeps_the_session() {
    for cluster in clusters(one(4)) {
        let mut client = connect(&cluster.socket_url("postgres")).await.unwrap();
        client.execute("create table x (a int)").await.unwrap();
        let mut copy = client.copy_in("copy x from stdin").await.unwrap();
        copy.write(&b"1\n".repeat(300_000)).await.unwrap();
        copy.abort("changed our mind\0").await.unwrap();
        assert_eq!(value(&mut client, "select count(*) from x").await, "0");
        // After the server's own error, an abort has nothing left to do.
        let mut copy = client.copy_in("copy x from stdin").await.unwrap();
        copy.write(b"not a number\n").await.unwrap();
        copy.abort("never mind").await.unwrap();
        assert_eq!(value(&mut client, "select count(*) from x").await, "0");
    }
}

/// Both sides would wait for ever if we only wrote while the server only talks.
#[tokio::test]
async fn a_server_that_talks_while_we_write_does_not_block_us() {
    let talk = "create table talk (a text);
      create function talk() returns trigger language plpgsql as $$ begin
        raise notice '%', repeat('talk ', 2000); return new; end $$;
      create trigger talk before insert on talk for each row execute function talk()";
    for cluster in clusters(one(5)) {
        cluster.sql("postgres", talk);
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let mut copy = client.copy_in("copy talk from stdin").await.unwrap();
        let rows = format!("{}\n", "w".repeat(2000)).repeat(100);
        for _ in 0..30 {
            copy.write(rows.as_bytes()).await.unwrap();
        }
        let finished = tokio::time::timeout(std::time::Duration::from_secs(60), copy.finish());
        assert_eq!(finished.await.unwrap().unwrap(), 3000);
        assert!(client.take_notices().len() > 200);
    }
}

#[tokio::test]
async fn a_server_process_that_ends_says_why_or_is_lost() {
    for cluster in clusters(one(6)) {
        cluster.sql("postgres", "create table e (a text)");
        for (signal, code) in [(Signal::TERM, Some("57P01")), (Signal::KILL, None)] {
            let mut client = connect(&cluster.url("postgres")).await.unwrap();
            let process = Pid::from_raw(client.process_id()).unwrap();
            let mut copy = client.copy_in("copy e from stdin").await.unwrap();
            copy.write(&b"row\n".repeat(100_000)).await.unwrap();
            kill_process(process, signal).unwrap();
            let error = loop {
                if let Err(error) = copy.write(&b"row\n".repeat(100_000)).await {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error:?}");
            assert_eq!(error.status(), ErrorStatus::Temporary);
            assert_eq!(sqlstate(&error), code, "{error:?}");
            assert!(copy.finish().await.is_err());
            assert!(client.query("select 1").await.is_err());
        }
    }
}
