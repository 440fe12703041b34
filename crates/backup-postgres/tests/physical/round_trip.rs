//! There and back, while the cluster is written to.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use backup_core::port::{RecoveryAction, RecoverySettings, RecoverySignal};
use backup_postgres::physical::{Access, ClusterFacts};
use backup_testkit::postgres::Cluster;

use crate::support::{
    Load, dump, majors, one, program, restore, restore_options, start, take, take_by,
};

const QUIET: &str = "create database quiet";
const TABLES: &str = "
create table big as select n as id, md5(n::text) as hash, repeat('x', n % 90) as pad
  from generate_series(1, 60000) n;
create unique index on big (id); create index on big (hash);
create table wide (id int, body text); alter table wide alter body set storage external;
insert into wide select n, repeat(md5(n::text), 400) from generate_series(1, 300) n;
create table many (id int primary key) partition by hash (id);
do $$ begin for n in 0..19 loop
  execute format('create table many_%s partition of many for values with (modulus 20, remainder %s)', n, n);
end loop; end $$;
insert into many select generate_series(1, 500);
vacuum analyze;";

/// The load's own books must balance in a copy of any instant.
fn check_books(copy: &Cluster) {
    let sums = copy.sql(
        "postgres",
        "select (select sum(abalance) from pgbench_accounts)
                = (select sum(bbalance) from pgbench_branches),
                (select sum(tbalance) from pgbench_tellers) = (select coalesce(sum(delta), 0) from pgbench_history)",
    );
    assert_eq!(sums.trim(), "t|t");
}

fn amcheck(copy: &Cluster) {
    for database in ["postgres", "quiet"] {
        copy.sql(database, "create extension if not exists amcheck");
        program(copy, "pg_amcheck", &["-d", database, "-s", "public", "--heapallindexed"]);
    }
}

fn place_for(cluster: &Cluster, name: &str) -> std::path::PathBuf {
    let place = cluster.socket_folder().join(name);
    std::fs::create_dir(&place).unwrap();
    let mut own = Command::new("chown");
    own.arg("--reference").arg(cluster.data_directory()).arg(&place);
    assert!(own.status().unwrap().success());
    place
}

#[tokio::test]
async fn a_cluster_under_load_comes_back_whole() {
    for major in majors() {
        under_load(major, Access::Remote).await;
    }
}

#[tokio::test]
async fn a_data_directory_under_load_is_read_whole() {
    for major in majors() {
        under_load(major, Access::Local).await;
    }
}

async fn under_load(major: u32, access: Access) {
    {
        let Some(cluster) = Cluster::start(major) else { return };
        cluster.sql("postgres", QUIET);
        cluster.sql("quiet", TABLES);
        cluster.sql("postgres", "create unlogged table loose as select 1 as a");
        let load = Load::begin(&cluster, "postgres");
        let taken = take_by(&cluster.url("postgres"), access).await.unwrap();
        drop(load);
        assert!(!taken.snapshot.is_suspect(), "{:?}", taken.snapshot.evidence.findings);
        let facts = ClusterFacts::of(&taken.snapshot).unwrap();
        assert!(facts.stop > facts.start && facts.version / 10_000 == major);

        let folder = tempfile::tempdir().unwrap();
        let restored = folder.path().join("data");
        let report = restore(&taken, &restored, restore_options()).await.unwrap();
        assert!(report.files > 500, "{report:?}");
        let shown = restored.display().to_string();
        program(&cluster, "pg_verifybackup", &[&shown]);
        let copy = start(major, &restored).unwrap();
        assert_eq!(copy.sql("postgres", "show archive_mode").trim(), "off");
        check_books(&copy);
        assert!(dump(&copy, "quiet") == dump(&cluster, "quiet"), "the dumps differ");
        assert_eq!(copy.sql("postgres", "select count(*) from loose").trim(), "0");
        amcheck(&copy);
    }
}

#[tokio::test]
async fn pages_that_were_never_used_take_no_room() {
    let Some(cluster) = Cluster::start(one()) else { return };
    cluster.sql("postgres", "create table t as select generate_series(1, 1000) as n; checkpoint");
    let path = cluster.sql("postgres", "select pg_relation_filepath('t')").trim().to_owned();
    // As after a crash in the middle of loading rows.
    let file = cluster.data_directory().join(&path);
    let bytes = file.metadata().unwrap().len() + (40 << 20);
    std::fs::File::options().write(true).open(&file).unwrap().set_len(bytes).unwrap();
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let restored = folder.path().join("data");
    restore(&taken, &restored, restore_options()).await.unwrap();
    let copy = restored.join(&path).metadata().unwrap();
    assert_eq!(copy.len(), bytes);
    assert!(copy.blocks() * 512 < 4 << 20, "{} bytes", copy.blocks() * 512);
    program(&cluster, "pg_verifybackup", &[&restored.display().to_string()]);
    let copy = start(cluster.major(), &restored).unwrap();
    assert_eq!(copy.sql("postgres", "select count(*) from t").trim(), "1000");
}

#[tokio::test]
async fn tablespaces_come_back_elsewhere() {
    for major in [majors()[0], one()] {
        let Some(cluster) = Cluster::start(major) else { continue };
        let old = place_for(&cluster, "space");
        cluster.sql("postgres", &format!("create tablespace ts location '{}'", old.display()));
        cluster.sql(
            "postgres",
            "create table t tablespace ts as select generate_series(1, 100000) as n",
        );
        let access = if major == majors()[0] { Access::Local } else { Access::Remote };
        let taken = take_by(&cluster.url("postgres"), access).await.unwrap();
        let folder = tempfile::tempdir_in(cluster.socket_folder()).unwrap();
        let restored = folder.path().join("data");
        // The original's own tablespace is not empty.
        let error = restore(&taken, &restored, restore_options()).await.unwrap_err();
        assert_eq!(error.kind(), backup_core::ErrorKind::Conflict);
        assert!(error.remedy().unwrap().contains("--tablespace"), "{error:?}");
        let new = place_for(&cluster, "moved");
        let mut options = restore_options();
        options.tablespaces = vec![(old.display().to_string(), new.display().to_string())];
        restore(&taken, &restored, options.clone()).await.unwrap();
        // A delta writes into the copy's own tablespace, and never into the original's.
        options.delta = true;
        restore(&taken, &restored, options.clone()).await.unwrap();
        options.tablespaces.clear();
        let error = restore(&taken, &restored, options).await.unwrap_err();
        assert_eq!(error.kind(), backup_core::ErrorKind::Conflict, "{error:?}");
        own(&cluster, &new);
        own(&cluster, folder.path());
        let copy = start(major, &restored).unwrap();
        assert_eq!(copy.sql("postgres", "select count(*) from t").trim(), "100000");
        let location = copy.sql(
            "postgres",
            "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'ts'",
        );
        assert_eq!(Path::new(location.trim()), new);
        // What the copy writes there is its own.
        copy.sql("postgres", "delete from t; checkpoint");
        assert_eq!(cluster.sql("postgres", "select count(*) from t").trim(), "100000");
    }
}

#[tokio::test]
async fn a_delta_never_follows_a_link_into_another_clusters_tablespace() {
    let Some(mut cluster) = Cluster::start(one()) else { return };
    let old = place_for(&cluster, "space");
    cluster.sql("postgres", &format!("create tablespace ts location '{}'", old.display()));
    cluster.sql("postgres", "create table t tablespace ts as select 1 as n");
    let taken = take(&cluster.url("postgres")).await.unwrap();
    let folder = tempfile::tempdir_in(cluster.socket_folder()).unwrap();
    let restored = folder.path().join("data");
    let new = place_for(&cluster, "moved");
    let (old_text, new_text) = (old.display().to_string(), new.display().to_string());
    let mut options = restore_options();
    options.tablespaces = vec![(old_text.clone(), new_text)];
    restore(&taken, &restored, options.clone()).await.unwrap();
    // As in a directory that was copied with its links.
    let link = std::fs::read_dir(restored.join("pg_tblspc")).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(link.path()).unwrap();
    std::os::unix::fs::symlink(&old, link.path()).unwrap();
    options.delta = true;
    options.tablespaces = vec![(old_text.clone(), old_text.clone())];
    let error = restore(&taken, &restored, options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), backup_core::ErrorKind::Conflict);
    assert!(error.to_string().contains("server of another cluster"), "{error}");
    // Stopped, it cannot be seen: then somebody has to say that nobody else uses it.
    cluster.stop_in_order();
    options.tablespaces.clear();
    let error = restore(&taken, &restored, options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), backup_core::ErrorKind::Conflict);
    assert!(error.remedy().unwrap().contains(&format!("{old_text}={old_text}")), "{error:?}");
    options.tablespaces = vec![(old_text.clone(), old_text)];
    restore(&taken, &restored, options).await.unwrap();
}

fn own(cluster: &Cluster, place: &Path) {
    let mut own = Command::new("chown");
    own.arg("-R").arg("--reference").arg(cluster.data_directory()).arg(place);
    assert!(own.status().unwrap().success());
}

#[tokio::test]
async fn a_standby_is_a_source_and_recovery_settings_arrive() {
    let major = one();
    let Some(primary) = Cluster::start(major) else { return };
    primary.sql("postgres", "create table t as select generate_series(1, 1000) as n");
    let standby = Cluster::builder(major)
        .try_start_from(|data| {
            let mut copy = primary.command("pg_basebackup");
            assert!(copy.args(["-R", "-c", "fast", "-D"]).arg(data).status()?.success());
            Ok(())
        })
        .unwrap();
    let local = take_by(&standby.url("postgres"), Access::Local).await.unwrap();
    assert!(!local.snapshot.is_suspect());
    let taken = take(&standby.url("postgres")).await.unwrap();
    assert!(ClusterFacts::of(&taken.snapshot).unwrap().standby);
    let folder = tempfile::tempdir().unwrap();
    let restored = folder.path().join("data");
    let mut options = restore_options();
    options.recovery = RecoverySettings {
        restore_command: Some("false".to_owned()),
        action: Some(RecoveryAction::Promote),
        signal: RecoverySignal::Recovery,
        ..RecoverySettings::default()
    };
    restore(&taken, &restored, options).await.unwrap();
    assert!(!restored.join("standby.signal").exists(), "the original's role is not the copy's");
    assert!(restored.join("recovery.signal").exists());
    let copy = start(major, &restored).unwrap();
    let begun = std::time::Instant::now();
    while copy.sql("postgres", "select pg_is_in_recovery()").trim() == "t" {
        assert!(begun.elapsed().as_secs() < 90, "it is never promoted");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(copy.sql("postgres", "select count(*) from t").trim(), "1000");
}
