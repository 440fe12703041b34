//! To a point in time with one command: planned first, refused where it cannot be reached.

use std::process::Command;

use backup_core::Lsn;
use backup_testkit::postgres::Cluster;

use crate::program::Done;
use crate::wal::{Archive, archived, wait};

/// A copy that `restore --start` has started.
pub(crate) struct Copy<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) folder: String,
}

impl Copy<'_> {
    pub(crate) fn sql(&self, sql: &str) -> String {
        let mut command = Command::new(self.cluster.bin("psql"));
        command.args(["-X", "-A", "-t", "-q", "-h", &self.folder, "-p", "5432", "-U", "postgres"]);
        let output = command.args(["-d", "postgres", "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

pub(crate) fn world(major: u32) -> Option<(Archive, Cluster)> {
    let mut archive = Archive::new("shop");
    let cluster = archive.archiving(Cluster::builder(major)).start()?;
    let tools = cluster.bin("").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    archive.program.set("PATH", format!("{tools}:{path}"));
    archive.program.set("DATABASE_URL", cluster.url("postgres"));
    Some((archive, cluster))
}

#[test]
fn one_command_brings_a_cluster_to_the_moment_between_two_transactions() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let Some((archive, cluster)) = world(major) else { return };
    let ctl = &archive.program;
    cluster.sql("postgres", "create table t (n int)");
    ctl.ok(&["backup", "--mode", "physical"]);
    cluster.sql("postgres", "insert into t values (1); select pg_sleep(0.05)");
    let now =
        "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let between = cluster.sql("postgres", now).trim().to_owned();
    cluster.sql("postgres", "select pg_sleep(0.05); insert into t values (2)");
    cluster.sql("postgres", "select pg_create_restore_point('two')");
    let lsn = cluster.sql("postgres", "select pg_current_wal_insert_lsn()").trim().to_owned();
    let xid = cluster
        .sql("postgres", "begin; insert into t values (3); select pg_current_xact_id(); commit");
    cluster.sql("postgres", "insert into t values (4)");
    archived(&cluster);

    let bring = |name: &str, goal: &[&str]| -> (Done, String) {
        let folder = ctl.path(name).display().to_string();
        let words = [&["restore", "shop@latest", "--to", &folder, "--start"], goal].concat();
        (ctl.run(&words).expect(0), folder)
    };
    let goals: [(&str, &[&str], &str); 4] = [
        ("at", &["--at", &between], "1"),
        ("point", &["--restore-point", "two"], "2"),
        ("lsn", &["--lsn", &lsn], "2"),
        ("xid", &["--xid", xid.trim()], "3"),
    ];
    for (name, goal, rows) in goals {
        let (done, folder) = bring(name, goal);
        assert!(done.stderr.contains("paused at its target"), "{}", done.stderr);
        let copy = Copy { cluster: &cluster, folder: folder.clone() };
        assert_eq!(copy.sql("select count(*) from t"), rows, "{goal:?}");
        assert_eq!(copy.sql("show archive_mode"), "off");
        stop(&archive, &cluster, &folder);
    }
    let (done, folder) = bring("latest", &["--latest"]);
    assert!(done.stderr.contains("timeline of its own") || done.stderr.contains("own timeline"));
    let copy = Copy { cluster: &cluster, folder: folder.clone() };
    assert_eq!(copy.sql("select count(*) from t"), "4");
    assert_eq!(copy.sql("select pg_is_in_recovery()"), "f");
    stop(&archive, &cluster, &folder);

    // What cannot be reached is refused before anything is written.
    let target = ctl.path("never").display().to_string();
    for goal in [
        &["--at", "2001-01-01T00:00:00Z"][..],
        &["--at", "2999-01-01T00:00:00Z"],
        &["--lsn", "FF/0"],
        &["--restore-point", "nowhere"],
        &["--latest", "--timeline", "7"],
    ] {
        let words = [&["restore", "shop@latest", "--to", &target], goal].concat();
        let done = ctl.run(&words).fails(7);
        let helpful = done.stderr.contains("--latest") || done.stderr.contains("wal status");
        assert!(helpful, "{}", done.stderr);
        assert!(!ctl.path("never").exists());
    }
    ctl.run(&["restore", "shop@latest", "--to", &target, "--at", "2026-01-01 00:00"]).expect(2);
    // Inside the last record no server stops; where the record begins it does.
    let beyond = ctl.run(&["restore", "shop@latest", "--to", &target, "--lsn", "FF/0"]).fails(7);
    let after = |text: &str, words: &str| {
        let rest = text.split_once(words).unwrap_or_else(|| panic!("no `{words}`: {text}")).1;
        rest.split([' ', '\n', ',', ';']).next().unwrap().parse::<Lsn>().unwrap()
    };
    let end = after(&beyond.stderr, "stored WAL reaches ");
    let inside = Lsn(end.0 - 8).to_string();
    let refused = ctl.run(&["restore", "shop@latest", "--to", &target, "--lsn", &inside]).fails(7);
    assert!(!ctl.path("never").exists());
    let nearest = after(&refused.stderr, "--lsn ");
    assert!(nearest < end, "{nearest} {end}");
    let (done, folder) = bring("nearest", &["--lsn", &nearest.to_string()]);
    assert!(done.stderr.contains("paused at its target"), "{}", done.stderr);
    stop(&archive, &cluster, &folder);
    let plan =
        ctl.json(&["restore", "shop@latest", "--to", &target, "--at", &between, "--preview"]);
    let steps = plan["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["action"] == "recover"), "{plan:#}");
    assert!(!ctl.path("never").exists());

    let status = ctl.json(&["wal", "status", "shop"]);
    assert_eq!(status["logs"][0]["windows"].as_array().unwrap().len(), 1);
    assert_eq!(status["logs"][0]["state"], "ok");
}

#[test]
fn a_transaction_is_reached_at_its_end_whatever_its_number() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let mut archive = Archive::new("shop");
    let builder = Cluster::builder(major).setting("max_prepared_transactions", "5");
    let Some(cluster) = archive.archiving(builder).start() else { return };
    let tools = cluster.bin("").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    archive.program.set("PATH", format!("{tools}:{path}"));
    archive.program.set("DATABASE_URL", cluster.url("postgres"));
    let ctl = &archive.program;
    cluster.sql("postgres", "create table t (n int)");
    let xid = |sql: &str| {
        let end = if sql.contains("prepare transaction") { "" } else { "; commit" };
        let (before, after) = sql.split_once('!').unwrap_or((sql, end));
        let sql = format!("begin; {before}; select pg_current_xact_id(); {after}");
        cluster.sql("postgres", &sql).trim().to_owned()
    };
    let early = xid("insert into t values (0)");
    ctl.ok(&["backup", "--mode", "physical"]);
    // Begun first, ended last.
    let slow = xid("insert into t values (1)!prepare transaction 'slow'");
    let fast = xid("insert into t values (2)");
    let savepoint = xid("savepoint s; insert into t values (3)!release s; commit");
    let savepoint = (savepoint.parse::<u64>().unwrap() + 1).to_string();
    let undone = xid("insert into t values (4)!rollback");
    cluster.sql("postgres", "commit prepared 'slow'");
    let last = xid("insert into t values (5)");
    archived(&cluster);

    let rows = |xid: &str| {
        let folder = ctl.path(&format!("to-{xid}")).display().to_string();
        let words = ["restore", "shop@latest", "--to", &folder, "--start", "--xid", xid];
        let done = ctl.run(&words).expect(0);
        assert!(done.stderr.contains("paused at its target"), "{}", done.stderr);
        let copy = Copy { cluster: &cluster, folder: folder.clone() };
        let rows = copy.sql("select string_agg(n::text, ',' order by n) from t");
        stop(&archive, &cluster, &folder);
        rows
    };
    assert_eq!(rows(&fast), "0,2");
    assert_eq!(rows(&undone), "0,2,3", "nothing of what was rolled back");
    assert_eq!(rows(&slow), "0,1,2,3");
    assert_eq!(rows(&last), "0,1,2,3,5");
    let target = ctl.path("never").display().to_string();
    for (xid, why) in [(&savepoint, "savepoint"), (&early, "--immediate")] {
        let words = ["restore", "shop@latest", "--to", &target, "--xid", xid];
        let done = ctl.run(&words).fails(7);
        assert!(done.stderr.contains(why), "{}", done.stderr);
    }
    let plan =
        ctl.json(&["restore", "shop@latest", "--to", &target, "--xid", &undone, "--preview"]);
    assert!(plan["findings"].to_string().contains("was rolled back"), "{plan:#}");
}

#[test]
fn what_the_original_raised_on_the_way_is_raised_in_the_copy() {
    for major in [14, Cluster::majors().last().copied().unwrap_or(18)] {
        let Some((archive, mut cluster)) = world(major) else { continue };
        let ctl = &archive.program;
        cluster.sql("postgres", "create table t (n int)");
        ctl.ok(&["backup", "--mode", "physical"]);
        cluster.sql("postgres", "alter system set max_connections = 150");
        cluster.restart();
        cluster.sql("postgres", "insert into t values (1); select pg_create_restore_point('one')");
        cluster.sql("postgres", "insert into t values (2)");
        archived(&cluster);
        let folder = ctl.path("copy").display().to_string();
        let words = ["restore", "shop@latest", "--to", &folder, "--start"];
        let done = ctl.run(&[&words[..], &["--restore-point", "one"]].concat()).expect(0);
        assert!(
            done.stderr.contains("max_connections was raised from 100 to 150"),
            "{}",
            done.stderr
        );
        assert!(done.stderr.contains("paused at its target"), "{}", done.stderr);
        let copy = Copy { cluster: &cluster, folder: folder.clone() };
        assert_eq!(copy.sql("select count(*) from t"), "1");
        stop(&archive, &cluster, &folder);
    }
}

#[test]
fn a_copy_that_cannot_reach_its_target_says_why_and_is_stopped() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let Some((mut archive, cluster)) = world(major) else { return };
    cluster.sql("postgres", "create table t (n int)");
    archive.program.ok(&["backup", "--mode", "physical"]);
    cluster.sql("postgres", "insert into t values (1); select pg_create_restore_point('one')");
    archived(&cluster);
    // Nobody of that name is there: said at once, instead of waited for.
    archive.program.set("PGUSER", "nobody_here");
    let folder = archive.program.path("copy");
    let shown = folder.display().to_string();
    let words = ["restore", "shop@latest", "--to", &shown, "--restore-point", "one", "--start"];
    let done = archive.program.run(&words);
    assert!(done.code != 0 && done.stderr.contains("PGUSER"), "{}", done.stderr);
    wait("the copy to be stopped", || !folder.join("postmaster.pid").exists());
}

pub(crate) fn stop(archive: &Archive, cluster: &Cluster, folder: &str) {
    let pid = std::path::Path::new(folder).join("postmaster.pid");
    let mut command = archive.program.shell_command(&cluster.bin("pg_ctl"));
    command.args(["-D", folder, "-m", "immediate", "-w", "stop"]);
    assert!(command.stdout(std::process::Stdio::null()).status().unwrap().success());
    wait("the copy to end", || !pid.exists());
}
