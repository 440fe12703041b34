//! Stopped and killed: nothing half done is committed, the server's sessions end, and the same
//! command goes on.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

const SESSIONS: &str = "select count(*) from pg_stat_activity where datname = 'shop' \
                        and query ilike 'copy%'";

/// Starts a slow backup and waits until it reads rows.
fn reading(ctl: &Program, cluster: &Cluster) -> Child {
    let child = ctl
        .command(&["backup", "--max-rate", "500KiB", "--jobs", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait("the backup to read", || cluster.sql("postgres", SESSIONS).trim() != "0");
    child
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn interrupted_terminated_and_killed() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 200_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    for (name, code) in [("INT", Some(130)), ("TERM", Some(143)), ("KILL", None)] {
        let child = reading(&ctl, &cluster);
        signal(&child, name);
        let begun = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "{name} was not heeded");
        assert_eq!(output.status.code(), code, "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"");
        if code.is_some() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stderr.contains("hint: Run the same command again"), "{stderr}");
        }
        wait("the sessions to end", || {
            let all = "select count(*) from pg_stat_activity where datname = 'shop'";
            cluster.sql("postgres", all).trim() == "0"
        });
        assert_eq!(ctl.json(&["snapshots"])["snapshots"], serde_json::json!([]));
    }
    ctl.ok(&["backup"]);
    ctl.ok(&["verify", "--read-data"]);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
}

#[test]
fn a_server_that_dies_is_said_and_nothing_is_committed() {
    let Some(mut cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 200_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    let child = reading(&ctl, &cluster);
    cluster.kill9();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(ctl.json(&["snapshots"])["snapshots"], serde_json::json!([]));
    cluster.restart();
    ctl.ok(&["backup"]);
}

#[test]
fn an_interrupted_restore_leaves_no_half_database() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 400_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let target = cluster.url("copy");
    let child = ctl
        .command(&["restore", "latest", "--to", &target, "--jobs", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let copying = "select count(*) from pg_stat_activity where datname = 'copy'";
    wait("the restore to begin", || cluster.sql("postgres", copying).trim() != "0");
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let databases = "select count(*) from pg_database where datname = 'copy'";
    assert_eq!(cluster.sql("postgres", databases).trim(), "0");
    ctl.ok(&["restore", "latest", "--to", &target]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
}

#[test]
fn a_killed_restore_is_followed_by_one_that_succeeds() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let there = "select count(*) from pg_database where datname = 'copy'";
    let marked = "select count(*) from pg_database d join pg_shdescription on objoid = d.oid \
                  where datname = 'copy'";
    let loading = "select count(*) from pg_stat_activity where datname = 'copy' \
                   and query ilike 'copy%'";
    let indexing = "select count(*) from pg_stat_activity where datname = 'copy' \
                    and query ilike 'alter table%primary key%'";
    let target = cluster.url("copy");
    // Killed when its database is there, when rows are loaded, when indexes are built; one that
    // is over before it is seen counts as well.
    for moment in [there, marked, loading, indexing] {
        cluster.sql("postgres", "drop database if exists copy");
        let mut child = ctl
            .command(&["restore", "latest", "--to", &target, "--jobs", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut over = false;
        wait(moment, || {
            over = child.try_wait().unwrap().is_some();
            over || cluster.sql("postgres", moment).trim() != "0"
        });
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        let sessions = "select count(*) from pg_stat_activity where datname = 'copy'";
        wait("the sessions to end", || cluster.sql("postgres", sessions).trim() == "0");
        if finished {
            ctl.run(&["restore", "latest", "--to", &target]).fails(8);
        } else {
            ctl.ok(&["restore", "latest", "--to", &target]);
        }
        assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
    }
}
