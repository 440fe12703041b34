//! To a point in time with one command: planned first, refused where it cannot be reached.

use std::process::Command;

use backup_testkit::postgres::Cluster;

use crate::program::Done;
use crate::wal::{Archive, archived, wait};

struct Copy<'a> {
    cluster: &'a Cluster,
    folder: String,
}

impl Copy<'_> {
    fn sql(&self, sql: &str) -> String {
        let mut command = Command::new(self.cluster.bin("psql"));
        command.args(["-X", "-A", "-t", "-q", "-h", &self.folder, "-p", "5432", "-U", "postgres"]);
        let output = command.args(["-d", "postgres", "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn world(major: u32) -> Option<(Archive, Cluster)> {
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
    let plan =
        ctl.json(&["restore", "shop@latest", "--to", &target, "--at", &between, "--preview"]);
    let steps = plan["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["action"] == "recover"), "{plan:#}");
    assert!(!ctl.path("never").exists());

    let status = ctl.json(&["wal", "status", "shop"]);
    assert_eq!(status["logs"][0]["windows"].as_array().unwrap().len(), 1);
    assert_eq!(status["logs"][0]["state"], "ok");
}

fn stop(archive: &Archive, cluster: &Cluster, folder: &str) {
    let pid = std::path::Path::new(folder).join("postmaster.pid");
    let mut command = archive.program.shell_command(&cluster.bin("pg_ctl"));
    command.args(["-D", folder, "-m", "immediate", "-w", "stop"]);
    assert!(command.stdout(std::process::Stdio::null()).status().unwrap().success());
    wait("the copy to end", || !pid.exists());
}
