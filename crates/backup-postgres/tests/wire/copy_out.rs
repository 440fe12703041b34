//! `COPY … TO STDOUT`: the same bytes as psql, or an error.

use backup_core::ErrorKind;
use backup_postgres::{Client, sqlstate};
use backup_testkit::postgres::Cluster;

use crate::support::{clusters, connect, majors, one, value};

const MILLION: &str = "\
create table million as select n as id, md5(n::text) as hash, repeat('x', n % 90) as pad,
  case when n % 7 = 0 then null else E'tab\\t\\\\ ü ' || n end as text
from generate_series(1, $ROWS) n";

async fn read_all(client: &mut Client, sql: &str) -> (Vec<u8>, u64) {
    let mut copy = client.copy_out(sql).await.unwrap();
    let mut bytes = Vec::new();
    while copy.read(&mut bytes).await.unwrap() {}
    assert!(!copy.read(&mut bytes).await.unwrap(), "the end stays the end");
    (bytes, copy.rows().unwrap())
}

fn psql(cluster: &Cluster, sql: &str) -> Vec<u8> {
    let output = cluster.command("psql").args(["-XAtqc", sql]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[tokio::test]
async fn a_million_rows_are_the_bytes_that_psql_gets() {
    for cluster in clusters(majors()) {
        // The other majors differ in nothing that many rows would show.
        let count = if cluster.major() == majors()[0] { 1_000_000 } else { 100_000 };
        cluster.sql("postgres", &MILLION.replace("$ROWS", &count.to_string()));
        for url in [cluster.url("postgres"), cluster.socket_url("postgres")] {
            let mut client = connect(&url).await.unwrap();
            let sql = "copy (select * from million) to stdout";
            let (bytes, rows) = read_all(&mut client, sql).await;
            assert_eq!(rows, count);
            assert!(bytes == psql(&cluster, sql), "{} bytes differ", bytes.len());
            assert_eq!(value(&mut client, "select 1").await, "1");
        }
    }
}

#[tokio::test]
async fn every_shape_of_row_arrives() {
    for cluster in clusters(one(7)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        for sql in [
            "copy (select 1 where false) to stdout",
            "copy (select) to stdout",
            "copy (select from generate_series(1, 100000)) to stdout",
            "copy (select null) to stdout",
            "copy (select repeat('large ü', 9000000)) to stdout",
            "copy (select repeat('y', 300000) from generate_series(1, 50)) to stdout",
            "copy (select * from pg_proc) to stdout (format csv, header)",
        ] {
            let (bytes, _) = read_all(&mut client, sql).await;
            assert!(bytes == psql(&cluster, sql), "{sql}");
        }
        let mut copy = client
            .copy_out("copy (select n, n::text, now() from generate_series(1, 9999) n) to stdout (format binary)")
            .await.unwrap();
        assert!(copy.is_binary());
        assert_eq!(copy.columns(), 3);
        let mut bytes = Vec::new();
        while copy.read(&mut bytes).await.unwrap() {}
        assert!(bytes.starts_with(b"PGCOPY\n\xff\r\n\0"));
        assert!(bytes.ends_with(&[0xff, 0xff]));
    }
}

#[tokio::test]
async fn notices_and_parameters_may_come_between_rows() {
    let loud = "create function loud(n int) returns int language plpgsql as $$ begin
      if n % 100 = 0 then raise notice 'at %', n; end if;
      if n % 250 = 0 then perform set_config('application_name', 'n' || n, false); end if;
      return n; end $$";
    for cluster in clusters(one(8)) {
        cluster.sql("postgres", loud);
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let sql = "copy (select loud(n) from generate_series(1, 1000) n) to stdout";
        let (bytes, rows) = read_all(&mut client, sql).await;
        assert_eq!(rows, 1000);
        let expected: String = (1..=1000).map(|n| format!("{n}\n")).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        assert_eq!(client.take_notices().len(), 10);
        assert_eq!(client.parameter("application_name"), Some("n1000"));
    }
}

#[tokio::test]
async fn an_error_after_some_rows_is_an_error() {
    for cluster in clusters(one(9)) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let error = client.copy_out("copy missing to stdout").await.unwrap_err();
        assert_eq!(sqlstate(&error), Some("42P01"));
        let sql = "copy (select 1 / (500000 - n) from generate_series(1, 1000000) n) to stdout";
        let mut copy = client.copy_out(sql).await.unwrap();
        let mut bytes = Vec::new();
        let error = loop {
            match copy.read(&mut bytes).await {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
        };
        assert_eq!(sqlstate(&error), Some("22012"));
        assert_eq!(copy.rows(), None);
        drop(copy);
        assert_eq!(value(&mut client, "select 1").await, "1");
    }
}

#[tokio::test]
async fn reads_that_are_dropped_lose_nothing() {
    let Some(cluster) = Cluster::start(majors()[0]) else { return };
    let mut client = connect(&cluster.url("postgres")).await.unwrap();
    let sql = "copy (select n, pg_sleep(case when n % 20000 = 0 then 0.02 else 0 end)
               from generate_series(1, 200000) n) to stdout";
    let mut copy = client.copy_out(sql).await.unwrap();
    let mut bytes = Vec::new();
    let mut dropped = 0;
    loop {
        let patience = std::time::Duration::from_millis(3);
        match tokio::time::timeout(patience, copy.read(&mut bytes)).await {
            Err(_) => dropped += 1,
            Ok(more) => {
                if !more.unwrap() {
                    break;
                }
            }
        }
    }
    assert!(dropped > 3);
    let expected: String = (1..=200_000).map(|n| format!("{n}\t\n")).collect();
    assert!(bytes == expected.as_bytes());
}

/// The server's process dies without a word, as by the kernel's memory killer.
#[tokio::test]
async fn a_killed_server_process_is_never_a_success() {
    for cluster in clusters(majors()) {
        let mut client = connect(&cluster.url("postgres")).await.unwrap();
        let process = client.process_id();
        let sql = "copy (select repeat('x', 100), generate_series(1, 100000000)) to stdout";
        let mut copy = client.copy_out(sql).await.unwrap();
        let mut bytes = Vec::new();
        assert!(copy.read(&mut bytes).await.unwrap());
        let process = rustix::process::Pid::from_raw(process).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        let error = loop {
            bytes.clear();
            match copy.read(&mut bytes).await {
                Ok(more) => assert!(more, "a killed COPY may not look complete"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{error:?}");
        assert_eq!(copy.rows(), None);
        drop(copy);
        assert!(client.query("select 1").await.is_err());
    }
}
