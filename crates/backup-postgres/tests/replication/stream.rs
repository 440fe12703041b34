//! The stream of WAL: every byte as on disk, acknowledged, across promotions and shutdowns.

use std::time::Duration;

use backup_core::Lsn;
use backup_postgres::replication::{TimelineEnd, WalMessage, WalStream, is_wal_removed, slot};
use backup_postgres::{Client, ConnectOptions};
use backup_testkit::postgres::Cluster;

use crate::support::{majors, replicate, standby};

const SEGMENT: u64 = 16 << 20;
/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads until `position` was received; returns the bytes.
async fn read_to(stream: &mut WalStream<'_>, from: Lsn, position: Lsn) -> Vec<u8> {
    let mut wal = Vec::new();
    while from.0 + (wal.len() as u64) < position.0 {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
        match next.unwrap() {
            WalMessage::Data { start, bytes, .. } => {
                assert_eq!(start.0, from.0 + wal.len() as u64, "no gap, no overlap");
                wal.extend_from_slice(&bytes);
            }
            WalMessage::Keepalive { end, reply, .. } => {
                if reply {
                    stream.send_status(end, from, false).await.unwrap();
                }
            }
            other => panic!("{other:?}"),
        }
    }
    wal
}

fn position(cluster: &Cluster) -> Lsn {
    cluster.sql("postgres", "select pg_current_wal_flush_lsn()").trim().parse().unwrap()
}

#[tokio::test]
async fn streams_what_is_on_disk_and_acknowledges() {
    for major in majors() {
        let Some(cluster) = Cluster::builder(major).setting("synchronous_commit", "on").start()
        else {
            continue;
        };
        let options = ConnectOptions::parse(&cluster.url("postgres")).unwrap();
        let mut sql = Client::connect(&options).await.unwrap();
        let mut session = replicate(&cluster.url("postgres")).await;
        session.create_slot("s", false).await.unwrap();
        let identity = session.identify().await.unwrap();
        let start = identity.position.segment_start(SEGMENT);
        sql.execute("create table t as select n, md5(n::text) from generate_series(1, 200000) n")
            .await
            .unwrap();
        let end = position(&cluster);
        let mut stream = session.start_physical(Some("s"), start, identity.timeline).await.unwrap();
        let wal = read_to(&mut stream, start, end).await;
        let (segment, offset) = (start.0 / SEGMENT, 0_usize);
        let name = format!("{:08X}{:08X}{:08X}", 1, segment >> 8, segment & 0xFF);
        let on_disk = std::fs::read(cluster.data_directory().join("pg_wal").join(name)).unwrap();
        let length = on_disk.len().min(wal.len());
        assert!(length > 1 << 20);
        assert!(wal[offset..length] == on_disk[offset..length]);

        // What is not flushed holds the slot back; what is, lets it go on.
        stream.send_status(end, start, true).await.unwrap();
        loop {
            let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
            if matches!(next, WalMessage::Keepalive { .. }) {
                break;
            }
        }
        assert_eq!(slot(&mut sql, "s").await.unwrap().unwrap().restart, Some(start));
        stream.send_status(end, end, true).await.unwrap();
        loop {
            let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
            if matches!(next, WalMessage::Keepalive { .. }) {
                break;
            }
        }
        let seen = slot(&mut sql, "s").await.unwrap().unwrap();
        assert!(seen.active && seen.restart == Some(end), "{seen:?}");

        stream.stop().await.unwrap();
        assert_eq!(session.identify().await.unwrap().system, identity.system, "in step again");
    }
}

#[tokio::test]
async fn dropped_waits_lose_nothing() {
    let Some(cluster) = Cluster::start(majors()[0]) else { return };
    let mut session = replicate(&cluster.url("postgres")).await;
    let identity = session.identify().await.unwrap();
    let start = identity.position.segment_start(SEGMENT);
    cluster.sql("postgres", "create table t as select n from generate_series(1, 100000) n");
    let end = position(&cluster);
    let mut stream = session.start_physical(None, start, 1).await.unwrap();
    let mut at = start;
    let mut dropped = 0;
    while at < end || dropped < 3 {
        let brief = Duration::from_millis(if at < end { 0 } else { 5 });
        match tokio::time::timeout(brief, stream.next()).await {
            Err(_) => dropped += 1,
            Ok(Ok(WalMessage::Data { start, bytes, .. })) => {
                assert_eq!(start, at);
                at = Lsn(at.0 + bytes.len() as u64);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_promotion_names_the_next_timeline() {
    for major in majors() {
        let Some(primary) = Cluster::start(major) else { continue };
        let copy = standby(&primary);
        let mut session = replicate(&copy.url("postgres")).await;
        let identity = session.identify().await.unwrap();
        let start = identity.position.segment_start(SEGMENT);
        let mut stream = session.start_physical(None, start, 1).await.unwrap();
        copy.sql("postgres", "select pg_promote()");
        let end = loop {
            match tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap() {
                WalMessage::EndOfTimeline(end) => break end,
                WalMessage::Data { .. } | WalMessage::Keepalive { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        let (next, position) = end.next.unwrap();
        assert_eq!(next, 2);
        assert_eq!(stream.next().await.unwrap(), WalMessage::EndOfTimeline(end));
        drop(stream);
        // The same session goes on with the next timeline …
        let start = position.segment_start(SEGMENT);
        let mut stream = session.start_physical(None, start, next).await.unwrap();
        assert!(
            matches!(stream.next().await.unwrap(), WalMessage::Data { start: s, .. } if s == start)
        );
        stream.stop().await.unwrap();
        // … and a start at the very end of the old one has nothing but the end.
        let mut stream = session.start_physical(None, position, 1).await.unwrap();
        let end = TimelineEnd { next: Some((2, position)) };
        assert_eq!(stream.next().await.unwrap(), WalMessage::EndOfTimeline(end));
    }
}

#[tokio::test]
async fn a_shutdown_is_no_error_and_removed_wal_is_one() {
    for major in majors() {
        let Some(mut cluster) = Cluster::start(major) else { continue };
        let mut session = replicate(&cluster.url("postgres")).await;
        cluster.sql(
            "postgres",
            "create table t (n int); select pg_switch_wal(); insert into t values (1); checkpoint;
             select pg_switch_wal(); insert into t values (1); checkpoint;",
        );
        let position = position(&cluster);
        // The WAL of initdb is gone; the session stays usable.
        let error = match session.start_physical(None, Lsn(0x10_0000), 1).await {
            Err(error) => error,
            Ok(mut stream) => stream.next().await.unwrap_err(),
        };
        assert!(is_wal_removed(&error), "{error:?}");
        let start = position.segment_start(SEGMENT);
        let mut stream = session.start_physical(None, start, 1).await.unwrap();
        let restart = std::thread::spawn(move || {
            cluster.restart();
            cluster
        });
        loop {
            match tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap() {
                WalMessage::Shutdown => break,
                WalMessage::Data { start, bytes, .. } => {
                    let end = Lsn(start.0 + bytes.len() as u64);
                    stream.send_status(end, end, false).await.unwrap();
                }
                WalMessage::Keepalive { end, .. } => {
                    stream.send_status(end, end, false).await.unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        drop(stream);
        assert!(session.identify().await.is_err());
        drop(restart.join());
    }
}
