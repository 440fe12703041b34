//! Reading only what changed: the snapshot is the same as if everything had been read.

use std::collections::BTreeMap;
use std::path::Path;

use backup_core::Lsn;
use backup_postgres::physical::{Access, ClusterFacts};
use backup_testkit::postgres::Cluster;

use crate::support::{
    Load, Taken, dump, program, restore, restore_options, start, take_by, take_on,
};

const PAGE: usize = 8192;
const TABLES: &str = "
create table big as select n as id, md5(n::text) as hash, repeat('x', n % 90) as pad
  from generate_series(1, 90000) n;
create unique index on big (id); create index on big (hash);
create table wide (id int, body text); alter table wide alter body set storage external;
insert into wide select n, repeat(md5(n::text), 400) from generate_series(1, 300) n;
create table small as select generate_series(1, 10) as n;
create table cut as select n, repeat('y', 200) from generate_series(1, 40000) n;
create unlogged table loose as select n, repeat('z', 200) from generate_series(1, 20000) n;
vacuum (freeze, analyze);";

/// What changes the files of relations, one way each.
const CHANGES: [&str; 14] = [
    "update big set pad = pad || 'y' where id % 9000 = 7",
    "insert into big select n, md5(n::text), '' from generate_series((select max(id) + 1 from big), \
     (select max(id) + 3000 from big)) n",
    "delete from big where id % 50 = 3; vacuum big",
    "delete from cut where n > (select max(n) / 2 from cut); vacuum cut",
    "truncate small; insert into small select generate_series(1, 2000)",
    "drop table if exists fresh; create table fresh as select n, md5(n::text) from \
     generate_series(1, 9000) n",
    "insert into cut select n, repeat('w', 300) from generate_series(1, 9000) n",
    "update wide set body = reverse(body) where id % 60 = 1",
    "reindex table big",
    "cluster big using big_id_idx",
    "insert into loose select n, '' from generate_series(1, 100) n",
    "vacuum (freeze) wide",
    "alter table small add column if not exists more text default 'x'; update small set more = 'y'",
    "create index on cut (n); analyze cut",
];

fn majors() -> Vec<u32> {
    let here = Cluster::majors();
    [17, 18].into_iter().filter(|major| here.contains(major)).collect()
}

/// A cluster with checksums and summaries, in which nothing happens by itself.
fn cluster(major: u32) -> Option<Cluster> {
    let builder = Cluster::builder(major)
        .setting("summarize_wal", "on")
        .setting("autovacuum", "off")
        .setting("max_wal_size", "2GB");
    let mut cluster = builder.start()?;
    if cluster.sql("postgres", "show data_checksums").trim() != "on" {
        cluster.stop_in_order();
        let data = cluster.data_directory().display().to_string();
        program(&cluster, "pg_checksums", &["--enable", "-D", &data]);
        cluster.restart();
    }
    cluster.sql("postgres", TABLES);
    Some(cluster)
}

fn facts(taken: &Taken) -> ClusterFacts {
    ClusterFacts::of(&taken.snapshot).unwrap()
}

fn notes(taken: &Taken) -> String {
    let findings = &taken.snapshot.evidence.findings;
    findings.iter().map(|finding| format!("{}\n", finding.message)).collect()
}

/// Numbers that look random and are not.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The relations' files of a restored snapshot, by path.
async fn files(taken: &Taken, folder: &Path) -> BTreeMap<String, Vec<u8>> {
    restore(taken, folder, restore_options()).await.unwrap();
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.join("base"), folder.join("global")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(|first: char| first.is_ascii_digit()) {
                let shown = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(shown, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn lsn(page: &[u8]) -> u64 {
    let half = |at: usize| u64::from(u32::from_ne_bytes(page[at..at + 4].try_into().unwrap()));
    half(0) << 32 | half(4)
}

/// Both were taken of the same data, one after the other: a page may only differ where the second
/// saw a change after the first began, which replaying its WAL makes good.
fn same_pages(read: &BTreeMap<String, Vec<u8>>, whole: &BTreeMap<String, Vec<u8>>, start: Lsn) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(read), names(whole));
    for (path, whole) in whole {
        let read = &read[path];
        assert_eq!(read.len(), whole.len(), "{path}");
        for (number, (one, other)) in read.chunks(PAGE).zip(whole.chunks(PAGE)).enumerate() {
            // Of a visibility map, what was not sent is cleared.
            let cleared = path.contains("_vm") && one.iter().all(|byte| *byte == 0);
            let same = one == other || cleared || lsn(other) > start.0;
            assert!(same, "{path}: block {number} differs");
        }
    }
}

#[tokio::test]
async fn what_is_read_by_changes_is_what_is_read_whole() {
    for major in majors() {
        let Some(cluster) = cluster(major) else { continue };
        let url = cluster.url("postgres");
        let mut dice = Dice(u64::from(major));
        let mut base = take_by(&url, Access::Remote).await.unwrap();
        for round in 0..2 {
            for _ in 0..1 + round * 4 {
                let change = CHANGES[usize::try_from(dice.roll(14)).unwrap()];
                cluster.sql("postgres", change);
            }
            if round == 1 {
                cluster.sql("postgres", "create database more");
                cluster.sql("more", "create table t as select generate_series(1, 90000) as n");
                cluster.sql("postgres", "create database copied template more strategy file_copy");
            }
            // Each major begins with another way.
            let local = (round + u64::from(major)) % 2 == 0;
            let access = if local { Access::Local } else { Access::Remote };
            let taken = take_on(&url, access, &base).await.unwrap();
            let whole = take_by(&url, Access::Remote).await.unwrap();
            let read = facts(&taken).incremental.unwrap_or_else(|| panic!("{}", notes(&taken)));
            assert!(read.kept_bytes > 1 << 20, "{round} {access:?}: {read:?}");
            assert!(!taken.snapshot.is_suspect());
            let folder = tempfile::tempdir().unwrap();
            let (one, other) = (folder.path().join("read"), folder.path().join("whole"));
            let (read, whole) = (files(&taken, &one).await, files(&whole, &other).await);
            same_pages(&read, &whole, facts(&taken).start);
            program(&cluster, "pg_verifybackup", &[&one.display().to_string()]);
            base = taken;
        }
        // What is restored is whole and sound.
        let folder = tempfile::tempdir().unwrap();
        let restored = folder.path().join("data");
        restore(&base, &restored, restore_options()).await.unwrap();
        let copy = start(major, &restored).unwrap();
        cluster.sql("postgres", "truncate loose");
        assert!(dump(&copy, "postgres") == dump(&cluster, "postgres"), "the dumps differ");
        copy.sql("postgres", "create extension amcheck");
        program(&copy, "pg_amcheck", &["-d", "postgres", "--heapallindexed"]);
    }
}

#[tokio::test]
async fn single_pages_are_read_where_few_changed() {
    let Some(major) = majors().pop() else { return };
    let Some(cluster) = cluster(major) else { return };
    let url = cluster.url("postgres");
    let more = "insert into cut select n, repeat('v', 200) from generate_series(1, 200000) n; \
                vacuum (freeze) cut; checkpoint";
    cluster.sql("postgres", more);
    let first = take_by(&url, Access::Remote).await.unwrap();
    let before = facts(&take_on(&url, Access::Local, &first).await.unwrap()).incremental.unwrap();
    // One row in the middle of each MiB.
    let blocks = "select n * 128 + 60 from generate_series(0, (select pg_relation_size('cut') / \
                  8192 / 128 - 1)) n";
    let spread = format!(
        "update cut set repeat = reverse(repeat) where ctid in (select format('(%s,1)', b)::tid from \
         ({blocks}) as spread (b))"
    );
    cluster.sql("postgres", &spread);
    let taken = take_on(&url, Access::Local, &first).await.unwrap();
    let whole = take_by(&url, Access::Remote).await.unwrap();
    let read = facts(&taken).incremental.unwrap_or_else(|| panic!("{}", notes(&taken)));
    let size =
        "select count(*) from (select distinct (ctid::text::point)[0]::int / 128 from cut) p";
    let pieces: u64 = cluster.sql("postgres", size).trim().parse().unwrap();
    assert!(pieces > 40, "{pieces}");
    let more = read.read_bytes - before.read_bytes.min(read.read_bytes);
    // The rows' pages, those that the new rows went to, and the WAL of it.
    assert!(more < pieces * (1 << 20) / 2, "{more} bytes more for {pieces} pieces");
    assert!(read.kept_bytes > before.kept_bytes / 2, "{read:?} {before:?}");
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("read"), folder.path().join("whole"));
    let (read, whole) = (files(&taken, &one).await, files(&whole, &other).await);
    same_pages(&read, &whole, facts(&taken).start);
    program(&cluster, "pg_verifybackup", &[&one.display().to_string()]);
}

#[tokio::test]
async fn a_copy_never_takes_rows_for_visible_that_are_not() {
    for major in majors() {
        let builder = Cluster::builder(major).setting("summarize_wal", "on");
        let Some(mut cluster) = builder.setting("autovacuum", "off").start() else { continue };
        if cluster.sql("postgres", "show data_checksums").trim() == "on" {
            cluster.stop_in_order();
            let data = cluster.data_directory().display().to_string();
            program(&cluster, "pg_checksums", &["--disable", "-D", &data]);
            cluster.restart();
        }
        cluster.sql(
            "postgres",
            "create table t as select n, repeat('x', 200) as pad from generate_series(1, 40000) n; \
             vacuum (freeze) t; delete from t where n > 20000; \
             vacuum (freeze, truncate false) t; checkpoint",
        );
        let url = cluster.url("postgres");
        let first = take_by(&url, Access::Remote).await.unwrap();
        // The server clears bits of pages that are cut off, and says so nowhere.
        cluster.sql("postgres", "vacuum t; checkpoint");
        for access in [Access::Remote, Access::Local] {
            let taken = take_on(&url, access, &first).await.unwrap();
            assert!(facts(&taken).incremental.is_some(), "{}", notes(&taken));
            let folder = tempfile::tempdir().unwrap();
            let restored = folder.path().join("data");
            restore(&taken, &restored, restore_options()).await.unwrap();
            let copy = start(major, &restored).unwrap();
            copy.sql(
                "postgres",
                "create extension pg_visibility; \
                 insert into t select n, repeat('y', 200) from generate_series(1, 20000) n",
            );
            let wrong = "select (select count(*) from pg_check_visible('t')), \
                         (select count(*) from pg_check_frozen('t'))";
            assert_eq!(copy.sql("postgres", wrong).trim(), "0|0", "{major} {access:?}");
        }
    }
}

#[tokio::test]
async fn under_load_both_ways_give_a_sound_cluster() {
    let Some(major) = majors().pop() else { return };
    for access in [Access::Remote, Access::Local] {
        let Some(cluster) = cluster(major) else { continue };
        let url = cluster.url("postgres");
        let load = Load::begin(&cluster, "postgres");
        let first = take_by(&url, access).await.unwrap();
        let second = take_on(&url, access, &first).await.unwrap();
        let third = take_on(&url, access, &second).await.unwrap();
        drop(load);
        let read = facts(&third).incremental.unwrap_or_else(|| panic!("{}", notes(&third)));
        assert_eq!((read.in_a_row, read.base), (2, second.snapshot.id.to_string()));
        let folder = tempfile::tempdir().unwrap();
        let restored = folder.path().join("data");
        restore(&third, &restored, restore_options()).await.unwrap();
        program(&cluster, "pg_verifybackup", &[&restored.display().to_string()]);
        let copy = start(major, &restored).unwrap();
        let books = "select sum(abalance) = (select sum(bbalance) from pgbench_branches) \
             from pgbench_accounts";
        assert_eq!(copy.sql("postgres", books).trim(), "t");
        copy.sql("postgres", "create extension amcheck");
        program(&copy, "pg_amcheck", &["-d", "postgres", "--heapallindexed"]);
    }
}

#[tokio::test]
async fn without_proof_everything_is_read_and_that_is_said() {
    let Some(major) = majors().pop() else { return };
    let Some(mut cluster) = cluster(major) else { return };
    let url = cluster.url("postgres");
    let first = take_by(&url, Access::Remote).await.unwrap();
    let whole = async |base: &Taken, why: &str| {
        for access in [Access::Remote, Access::Local] {
            let taken = take_on(&url, access, base).await.unwrap();
            assert_eq!(facts(&taken).incremental, None, "{access:?} {why}");
            assert!(notes(&taken).contains(why), "{access:?} {why}: {}", notes(&taken));
        }
    };
    // A suspect one, one before checksums were turned on, one of another timeline.
    let mut other = Taken { snapshot: first.snapshot.clone(), parts: first.parts.clone() };
    other.snapshot.evidence.findings.push(backup_core::Finding::suspect("x"));
    whole(&other, "is suspect").await;
    let mut changed = |change: fn(&mut ClusterFacts)| {
        let mut facts = facts(&first);
        change(&mut facts);
        other.snapshot.evidence = first.snapshot.evidence.clone();
        let text = serde_json::to_string(&facts).unwrap();
        other.snapshot.evidence.facts.insert("cluster".into(), text);
        Taken { snapshot: other.snapshot.clone(), parts: first.parts.clone() }
    };
    whole(&changed(|facts| facts.checksums = false), "checksums").await;
    let elsewhere = changed(|facts| facts.timeline = 7);
    let taken = take_on(&url, Access::Local, &elsewhere).await.unwrap();
    assert!(notes(&taken).contains("timeline"), "{}", notes(&taken));
    // Summaries that are gone, and then none at all.
    cluster.sql("postgres", "update big set pad = 'gone' where id = 5; checkpoint");
    let second = take_on(&url, Access::Local, &first).await.unwrap();
    assert!(facts(&second).incremental.is_some(), "{}", notes(&second));
    cluster.stop_in_order();
    let summaries = cluster.data_directory().join("pg_wal/summaries");
    for entry in std::fs::read_dir(summaries).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    cluster.restart();
    cluster.sql("postgres", "alter system set summarize_wal = off; select pg_reload_conf()");
    whole(&first, "summarize_wal is off").await;
}
