//! What real servers write, read record by record; their own `pg_waldump` is the oracle.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;

use backup_core::{ErrorKind, Lsn, WalFile, WalSegment};
use backup_postgres::wal::{self, Ended, Found, Scanner, WalEvent};
use backup_testkit::postgres::Cluster;
use jiff::Timestamp;

const MIB: u64 = 1 << 20;

/// Every kind of record that is looked at, and records of all sizes around them.
fn busy(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        "create table t (id int primary key, filler text);
         insert into t select n, repeat(md5(n::text), 9) from generate_series(1, 6000) n;
         begin; insert into t values (-1, 'x'); rollback;
         select pg_create_restore_point('before the fall');
         begin; savepoint a; insert into t values (-2, 'x'); release a; insert into t values (-3, 'y'); commit;
         checkpoint;
         update t set filler = filler || 'x' where id % 3 = 0;
         select pg_switch_wal();
         begin; insert into t values (-4, 'x'); prepare transaction 'p1';
         commit prepared 'p1';
         begin; insert into t values (-5, 'x'); prepare transaction 'p2';
         rollback prepared 'p2';
         create table u as select * from t; drop table u;
         insert into t select n, repeat('z', 8000) from generate_series(10001, 10400) n;
         select pg_create_restore_point('Überlauf');
         select pg_switch_wal();
         insert into t values (-6, 'x');",
    );
}

fn segments(cluster: &Cluster, size: u64) -> Vec<WalSegment> {
    let end: Lsn =
        cluster.sql("postgres", "select pg_current_wal_insert_lsn()").trim().parse().unwrap();
    let last = WalSegment::holding(1, end, size);
    let mut names: Vec<WalSegment> = std::fs::read_dir(cluster.data_directory().join("pg_wal"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|segment| *segment < last)
        .collect();
    names.sort();
    names
}

/// `(start, what)` of every record that matters, as the server's own program prints it.
fn oracle(cluster: &Cluster, segments: &[WalSegment]) -> Vec<(Lsn, String)> {
    let mut command: Command = cluster.command("pg_waldump");
    command.arg("-p").arg(cluster.data_directory().join("pg_wal"));
    command.arg(segments[0].to_string()).arg(segments.last().unwrap().to_string());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let field = |line: &str, name: &str| {
        let at = line.find(name).unwrap() + name.len();
        line[at..].trim_start().split([',', ' ']).next().unwrap().to_owned()
    };
    text.lines()
        .filter_map(|line| {
            let description = line.split_once("desc: ")?.1;
            let word = description.split_whitespace().next()?;
            let lsn = field(line, "lsn: ").parse().unwrap();
            let time = |from: &str| from.split(" UTC").next().unwrap().trim().to_owned();
            let what = match word {
                "COMMIT" | "ABORT" => {
                    format!(
                        "{word} {} {}",
                        field(line, "tx: ").trim(),
                        time(&description[word.len()..])
                    )
                }
                "COMMIT_PREPARED" | "ABORT_PREPARED" => {
                    let (xid, rest) = description[word.len()..].trim().split_once(": ").unwrap();
                    format!("{} {xid} {}", &word[..word.len() - 9], time(rest))
                }
                "RESTORE_POINT" => format!("POINT {}", &description[14..]),
                "CHECKPOINT_ONLINE" | "CHECKPOINT_SHUTDOWN" => "CHECKPOINT".to_owned(),
                "SWITCH" => "SWITCH".to_owned(),
                _ => return None,
            };
            Some((lsn, what))
        })
        .collect()
}

fn text(found: &Found) -> (Lsn, String) {
    let time = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
    let what = match &found.event {
        WalEvent::Transaction { ended, xid, at } => {
            let word = if *ended == Ended::Committed { "COMMIT" } else { "ABORT" };
            format!("{word} {} {}", xid.unwrap_or_default(), time(*at))
        }
        WalEvent::RestorePoint { name, .. } => format!("POINT {name}"),
        WalEvent::Checkpoint { .. } => "CHECKPOINT".to_owned(),
        WalEvent::Switch => "SWITCH".to_owned(),
    };
    (found.start, what)
}

fn read(folder: &Path, segment: WalSegment) -> Vec<u8> {
    std::fs::read(folder.join(segment.to_string())).unwrap()
}

fn compare(cluster: &Cluster, size: u64) {
    busy(cluster);
    let segments = segments(cluster, size);
    assert!(segments.len() >= 2, "{segments:?}");
    let folder = cluster.data_directory().join("pg_wal");
    let mut scanner = Scanner::new(segments[0].start(size).unwrap(), 8192, size as u32);
    let mut found = Vec::new();
    for segment in &segments {
        scanner.feed(&read(&folder, *segment), &mut |one| found.push(one));
        assert!(scanner.is_running(), "PostgreSQL {}: it stopped in {segment}", cluster.major());
    }
    let expected = oracle(cluster, &segments);
    assert!(expected.len() > 10);
    let seen: Vec<_> = found.iter().map(text).collect();
    assert_eq!(seen, expected, "PostgreSQL {}", cluster.major());

    let control = std::fs::read(cluster.data_directory().join("global/pg_control")).unwrap();
    let system = wal::system_identifier(&control).unwrap();
    let said = cluster.sql("postgres", "select system_identifier from pg_control_system()");
    assert_eq!(said.trim(), system.to_string());
    let now: Timestamp = Timestamp::now();
    let mut transactions = 0;
    for segment in &segments {
        let bytes = read(&folder, *segment);
        let facts = wal::inspect(WalFile::Segment(*segment), &bytes).unwrap().unwrap();
        assert_eq!((facts.system, u64::from(facts.segment_size)), (system, size));
        assert_eq!(wal::major_of(facts.magic), Some(cluster.major()));
        assert_eq!(Some(facts.start), segment.start(size));
        assert!(facts.end <= Lsn(facts.start.0 + size) && facts.end > facts.start);
        if let Some((earliest, latest)) = facts.times {
            assert!(earliest.at <= latest.at && latest.at <= now && latest.end <= facts.end);
        }
        transactions += facts.transactions;
    }
    let ended = found.iter().filter(|f| matches!(f.event, WalEvent::Transaction { .. })).count();
    // A record that crosses the end of a segment is seen by neither of the two.
    assert!((ended.saturating_sub(segments.len())..=ended).contains(&(transactions as usize)));
}

#[test]
fn every_major_is_read_as_its_own_program_reads_it() {
    for major in Cluster::majors().into_iter().filter(|major| *major >= 14) {
        let builder = Cluster::builder(major).setting("max_prepared_transactions", "4");
        let Some(cluster) = builder.start() else { continue };
        compare(&cluster, 16 * MIB);
    }
}

#[test]
fn segments_of_other_sizes_are_read_too() {
    let major = Cluster::majors().last().copied().unwrap_or(18);
    for size in [1, 64] {
        let builder = Cluster::builder(major).setting("max_prepared_transactions", "4");
        let Some(cluster) = builder.wal_segment_mib(size).setting("max_wal_size", "1GB").start()
        else {
            continue;
        };
        compare(&cluster, u64::from(size) * MIB);
    }
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_refused() {
    let Some(cluster) = Cluster::start_newest() else { return };
    busy_little(&cluster);
    let segments = segments(&cluster, 16 * MIB);
    let good = read(&cluster.data_directory().join("pg_wal"), segments[0]);
    let name = WalFile::Segment(segments[0]);
    assert!(wal::inspect(name, &good).unwrap().is_some());
    let refused = |file: WalFile, bytes: &[u8]| wal::inspect(file, bytes).unwrap_err().kind();
    let next = segments[0].next(16 * MIB).unwrap();
    assert_eq!(refused(WalFile::Segment(next), &good), ErrorKind::Integrity);
    let elder = WalSegment { timeline: 2, ..segments[0] };
    assert!(wal::inspect(WalFile::Segment(elder), &good).is_ok(), "a new timeline's first");
    assert_eq!(refused(name, &good[..good.len() - 8192]), ErrorKind::Integrity);
    assert_eq!(refused(name, b""), ErrorKind::Integrity);
    assert_eq!(refused(name, &vec![0; 16 << 20]), ErrorKind::Integrity);
    for (byte, value) in [(4, 9), (8, 1), (32, 3), (36, 7), (0, 0x77), (1, 0x11)] {
        let mut bytes = good.clone();
        bytes[byte] = value;
        let kind = refused(name, &bytes);
        assert!(matches!(kind, ErrorKind::Integrity | ErrorKind::Unsupported), "byte {byte}");
    }
    // What is no WAL has no facts.
    assert_eq!(wal::inspect("00000002.history".parse().unwrap(), b"1\t0/1\n").unwrap(), None);

    // The server's current segment: read up to where it is written, not into what was recycled.
    let now = cluster.sql("postgres", "select pg_walfile_name(pg_current_wal_lsn())");
    let current: WalSegment = now.trim().parse().unwrap();
    cluster.sql("postgres", "create table w as select 1; checkpoint");
    let end: Lsn = cluster.sql("postgres", "select pg_current_wal_lsn()").trim().parse().unwrap();
    let bytes = read(&cluster.data_directory().join("pg_wal"), current);
    let facts = wal::inspect(WalFile::Partial(current), &bytes).unwrap().unwrap();
    assert_eq!(facts.end, end);
}

fn busy_little(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        "create table t (id int); select pg_switch_wal(); insert into t values (1)",
    );
}
