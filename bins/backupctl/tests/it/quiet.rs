//! What a copy does not do by itself: take the original's changes from its publisher, run its jobs.

use std::io::Write;
use std::process::{Command, Stdio};

use backup_testkit::postgres::Cluster;

use crate::physical_drill::world;
use crate::program::Program;
use crate::wal::wait;

/// Asks a copy that was started by `restore --start`.
fn ask(cluster: &Cluster, folder: &str, sql: &str) -> String {
    let mut command = Command::new(cluster.bin("psql"));
    command.args(["-X", "-A", "-t", "-q", "-h", folder, "-p", "5432", "-U", "postgres"]);
    let output = command.args(["-d", "shop", "-c", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn control(ctl: &Program, cluster: &Cluster, folder: &str, words: &[&str]) {
    let mut command = ctl.shell_command(&cluster.bin("pg_ctl"));
    command.args(["-D", folder, "-w"]).args(words).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
}

#[test]
fn a_copy_takes_nothing_from_the_originals_publisher_and_runs_no_jobs() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let publishing = Cluster::builder(major).setting("wal_level", "logical");
    let Some(publisher) = publishing.start() else { return };
    publisher
        .sql("postgres", "create table t (n int primary key); create publication p for table t");
    let Some((archive, mut cluster)) = world(major) else { return };
    let ctl = &archive.program;
    cluster.sql("postgres", "create database shop");
    cluster.sql("shop", "create table t (n int primary key)");
    let from = format!(
        "host={} port={} user=postgres dbname=postgres",
        publisher.socket_folder().display(),
        publisher.port()
    );
    cluster.sql("shop", &format!("create subscription s connection '{from}' publication p"));
    publisher.sql("postgres", "insert into t values (1)");
    wait("the row to arrive", || cluster.sql("shop", "select count(*) from t").trim() == "1");
    ctl.ok(&["backup", "--mode", "physical"]);

    // While the original is away its slot waits: whoever moves it takes changes from it.
    let slot = || {
        let sql =
            "select active, confirmed_flush_lsn from pg_replication_slots where slot_name = 's'";
        publisher.sql("postgres", sql).trim().to_owned()
    };
    let waits = || slot().starts_with("f|");
    cluster.stop_in_order();
    wait("the slot to be free", waits);
    publisher.sql("postgres", "insert into t values (2)");
    let before = slot();
    let receipt = ctl.json(&["drill", "shop"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert_eq!(slot(), before, "a drill");

    // The original has jobs from its next start on; its library is not even on this machine.
    cluster.restart();
    wait("the row to arrive", || cluster.sql("shop", "select count(*) from t").trim() == "2");
    let configuration = cluster.data_directory().join("postgresql.conf");
    let mut file = std::fs::File::options().append(true).open(configuration).unwrap();
    writeln!(file, "shared_preload_libraries = 'pg_cron'").unwrap();
    ctl.ok(&["backup", "--mode", "physical"]);
    cluster.stop_in_order();
    wait("the slot to be free", waits);
    publisher.sql("postgres", "insert into t values (3)");
    let before = slot();
    let folder = ctl.path("copy").display().to_string();
    let done = ctl.run(&["restore", "latest", "--to", &folder, "--start"]).expect(0);
    let line = "max_logical_replication_workers = '0'";
    for words in [line, "shared_preload_libraries = ''", "postgresql.auto.conf", "pg_cron"] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    assert_eq!(ask(&cluster, &folder, "select subenabled from pg_subscription"), "t");
    assert_eq!(ask(&cluster, &folder, "select count(*) from t"), "2");
    assert_eq!(ask(&cluster, &folder, "show shared_preload_libraries"), "");
    assert_eq!(slot(), before, "a copy that was started");

    // Without the line it takes the original's place.
    let settings = ctl.path("copy/postgresql.auto.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    assert_eq!(text.matches(line).count(), 1, "{text}");
    std::fs::write(&settings, text.replace(line, "")).unwrap();
    let log = ctl.path("log").display().to_string();
    control(ctl, &cluster, &folder, &["-l", &log, "restart"]);
    wait("the row to arrive", || ask(&cluster, &folder, "select count(*) from t") == "3");
    assert_ne!(slot(), before);
    control(ctl, &cluster, &folder, &["-m", "immediate", "stop"]);
}
