//! Receiving WAL from real servers: killed, switched, cut off; nothing acknowledged is lost.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use backup_testkit::postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::listener::Listener;
use crate::recovery::{Copy, stop};
use crate::wal::{Archive, base, wait};

/// `wal stream` as a process; killed when dropped.
struct Stream {
    child: Child,
    lines: Receiver<Value>,
}

impl Stream {
    fn start(archive: &Archive) -> Self {
        let words = ["--json", "wal", "stream", "--flush", "1", "--report", "1"];
        let mut command = archive.program.command(&words);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn await_event(&self, event: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(120));
            let line = line.unwrap_or_else(|error| panic!("no `{event}`: {error}"));
            if line["event"] == event {
                return line;
            }
        }
    }

    fn signal(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(major: u32) -> Option<(Archive, Cluster)> {
    let mut archive = Archive::new("shop");
    let cluster = Cluster::builder(major)
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
        .setting("synchronous_commit", "on")
        .start()?;
    archive.program.set("DATABASE_URL", cluster.url("postgres"));
    Some((archive, cluster))
}

fn newest() -> u32 {
    Cluster::majors().last().copied().unwrap_or(18)
}

/// Everything up to now is acknowledged.
fn acknowledged(cluster: &Cluster) {
    let end = cluster.sql("postgres", "select pg_current_wal_flush_lsn()");
    let behind = format!(
        "select coalesce(bool_or(flush_lsn >= '{}'), false) from pg_stat_replication",
        end.trim()
    );
    wait("everything to be stored", || cluster.sql("postgres", &behind).trim() == "t");
}

fn recovered(archive: &Archive, cluster: &Cluster, folder: &Path) -> Cluster {
    let copy = Cluster::builder(cluster.major())
        .setting("restore_command", &archive.shell("wal fetch %f %p"))
        .setting("recovery_target_action", "promote")
        .try_start_from(|data| {
            assert!(Command::new("cp").arg("-a").arg(folder).arg(data).status()?.success());
            std::fs::write(data.join("recovery.signal"), "")
        })
        .unwrap();
    wait("the end", || copy.sql("postgres", "select pg_is_in_recovery()").trim() == "f");
    copy
}

#[test]
fn a_receiver_killed_again_and_again_loses_nothing_that_it_acknowledged() {
    let Some((archive, mut cluster)) = start(newest()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let base_folder = folder.path().join("base");
    cluster.sql("postgres", "create table t (n int)");
    let mut stream = Stream::start(&archive);
    stream.await_event("started");
    base(&cluster, &base_folder);
    for round in 0..6 {
        cluster.sql("postgres", "insert into t select generate_series(1, 40000)");
        if round == 2 {
            cluster.sql("postgres", "insert into t values (0); select pg_switch_wal()");
        }
        std::thread::sleep(Duration::from_millis(300 * round));
        stream.signal(Signal::KILL);
        cluster.sql("postgres", "insert into t values (-1)");
        stream = Stream::start(&archive);
    }
    cluster.sql("postgres", "insert into t values (-2)");
    acknowledged(&cluster);
    let rows = cluster.sql("postgres", "select count(*) from t");
    // The server is lost for good, in the middle of a segment.
    cluster.kill9();
    stream.await_event("retrying");
    drop(stream);
    let copy = recovered(&archive, &cluster, &base_folder);
    assert_eq!(copy.sql("postgres", "select count(*) from t"), rows);
    let status = archive.program.json(&["wal", "status"]);
    assert_eq!(status["logs"][0]["state"], "ok");
    // States of a growing segment do not pile up.
    let growing = archive.program.objects("wal/shop");
    let growing = growing.iter().filter(|path| path.to_string_lossy().contains(".growing-"));
    assert!(growing.count() <= 2);
}

#[test]
fn a_repository_that_is_away_for_a_while_costs_nothing_that_was_acknowledged() {
    let Some((mut archive, mut cluster)) = start(newest()) else { return };
    let listener = Listener::answering("200 OK");
    archive.program.set("BACKUP_WEBHOOK_URL", listener.url());
    let folder = tempfile::tempdir().unwrap();
    let base_folder = folder.path().join("base");
    cluster.sql("postgres", "create table t (n int)");
    let stream = Stream::start(&archive);
    stream.await_event("started");
    base(&cluster, &base_folder);
    cluster.sql("postgres", "insert into t values (1)");
    acknowledged(&cluster);

    let (repository, away) = (archive.program.path("repository"), archive.program.path("away"));
    std::fs::rename(&repository, &away).unwrap();
    let slot = |column: &str| {
        let sql = format!("select {column} from pg_replication_slots");
        cluster.sql("postgres", &sql).trim().to_owned()
    };
    cluster.sql("postgres", "insert into t select generate_series(2, 1000)");
    stream.await_event("retrying");
    // What is written meanwhile stays on the server, beyond what it would keep by itself.
    let held = slot("restart_lsn");
    for _ in 0..6 {
        cluster.sql("postgres", "insert into t values (0); select pg_switch_wal(); checkpoint");
    }
    stream.await_event("retrying");
    assert_eq!(slot("restart_lsn"), held, "nothing of it is acknowledged");
    assert_ne!(slot("wal_status"), "lost");
    assert!(!repository.exists(), "nothing is written where the repository was");

    std::fs::rename(&away, &repository).unwrap();
    acknowledged(&cluster);
    let rows = cluster.sql("postgres", "select count(*) from t");
    // Somebody was told, once, and that it is over.
    let mut told = Vec::new();
    wait("the alerts", || {
        told.extend(listener.heard().iter().map(|body| body["event"].as_str().unwrap().to_owned()));
        told.contains(&"wal.restored".to_owned())
    });
    assert_eq!(told, ["wal.failed", "wal.restored"]);
    cluster.kill9();
    stream.await_event("retrying");
    drop(stream);
    let copy = recovered(&archive, &cluster, &base_folder);
    assert_eq!(copy.sql("postgres", "select count(*) from t"), rows);
    assert_eq!(archive.program.json(&["wal", "status"])["logs"][0]["state"], "ok");
}

#[test]
fn stopped_in_order_it_leaves_nothing_behind_on_the_server() {
    let Some((archive, cluster)) = start(15) else { return };
    let mut stream = Stream::start(&archive);
    stream.await_event("started");
    cluster.sql("postgres", "create table t as select generate_series(1, 1000)");
    acknowledged(&cluster);
    let report = stream.await_event("report");
    assert!(report["behind_bytes"].is_u64() && report["worst_seconds"].is_f64(), "{report}");
    assert_eq!(stream.signal(Signal::TERM), Some(143));
    let kept =
        cluster.sql("postgres", "select active, restart_lsn is not null from pg_replication_slots");
    assert_eq!(kept.trim(), "f|t", "the slot keeps what comes next");
}

#[test]
fn a_server_that_does_not_answer_is_not_taken_for_an_idle_one() {
    let Some((archive, cluster)) = start(newest()) else { return };
    let stream = Stream::start(&archive);
    stream.await_event("started");
    acknowledged(&cluster);
    let sender = cluster.sql("postgres", "select pid from pg_stat_replication");
    let sender = Pid::from_raw(sender.trim().parse().unwrap()).unwrap();
    kill_process(sender, Signal::STOP).unwrap();
    let behind = |limit: std::ops::Range<f64>| {
        while !limit.contains(&stream.await_event("report")["behind_seconds"].as_f64().unwrap()) {}
    };
    behind(11.0..f64::MAX);
    kill_process(sender, Signal::CONT).unwrap();
    behind(0.0..5.0);
}

#[test]
fn a_promoted_server_is_followed_to_its_new_timeline() {
    let Some((mut archive, cluster)) = start(newest()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let base_folder = folder.path().join("base");
    cluster.sql("postgres", "create table t (n int)");
    base(&cluster, &base_folder);
    let socket = cluster.socket_folder().display().to_string();
    let primary = format!("host={socket} port={} user=postgres", cluster.port());
    let standby = Cluster::builder(cluster.major())
        .setting("primary_conninfo", &primary)
        .try_start_from(|data| {
            assert!(Command::new("cp").arg("-a").arg(&base_folder).arg(data).status()?.success());
            std::fs::write(data.join("standby.signal"), "")
        })
        .unwrap();
    archive.program.set("DATABASE_URL", standby.url("postgres"));
    cluster.sql("postgres", "insert into t values (1)");
    wait("replay", || standby.sql("postgres", "select count(*) from t").trim() == "1");
    let stream = Stream::start(&archive);
    stream.await_event("started");
    standby.sql("postgres", "select pg_promote()");
    standby.sql("postgres", "insert into t values (2)");
    assert_eq!(stream.await_event("switched")["timeline"], 2);
    acknowledged(&standby);
    drop(stream);
    let copy = recovered(&archive, &cluster, &base_folder);
    let rows = copy.sql("postgres", "select string_agg(n::text, ',' order by n) from t");
    assert_eq!(rows.trim(), "1,2");
}

#[test]
fn wal_that_is_gone_is_a_recorded_gap_and_receiving_goes_on() {
    // What an operator does to a slot that fills the disk, and what the server does by itself.
    for loses in [
        "select pg_drop_replication_slot('backupctl_shop')",
        "alter system set max_slot_wal_keep_size = '1MB'",
    ] {
        gap(loses);
    }
}

fn gap(loses: &str) {
    let Some((archive, cluster)) = start(newest()) else { return };
    let mut stream = Stream::start(&archive);
    stream.await_event("started");
    cluster.sql("postgres", "create table t as select 1; select pg_switch_wal()");
    acknowledged(&cluster);
    stream.signal(Signal::TERM);
    archive.program.ok(&["wal", "status"]);
    cluster.sql("postgres", loses);
    cluster.sql("postgres", "select pg_reload_conf()");
    for _ in 0..8 {
        cluster.sql("postgres", "insert into t values (2); select pg_switch_wal(); checkpoint");
    }
    let stream = Stream::start(&archive);
    let gap = stream.await_event("gap");
    assert!(gap["message"].as_str().unwrap().contains("new physical snapshot"), "{gap}");
    cluster.sql("postgres", "insert into t values (3); select pg_switch_wal()");
    acknowledged(&cluster);
    drop(stream);
    let status = archive.program.json_ending(&["wal", "status"], 9);
    assert_eq!(status["logs"][0]["state"], "holes");
    assert!(status["logs"][0]["problems"].as_array().unwrap().len() >= 2);
    // The gap is known: the next start goes on where WAL is stored.
    let stream = Stream::start(&archive);
    stream.await_event("started");
    let report = stream.await_event("report");
    assert!(report["lsn"].is_string());
}

#[test]
fn segments_of_another_size_are_copied_streamed_and_recovered() {
    let mut archive = Archive::new("shop");
    let builder = Cluster::builder(newest()).setting("synchronous_commit", "on");
    let Some(mut cluster) = builder.wal_segment_mib(1).start() else { return };
    let path = std::env::var("PATH").unwrap_or_default();
    archive.program.set("PATH", format!("{}:{path}", cluster.bin("").display()));
    archive.program.set("DATABASE_URL", cluster.url("postgres"));
    let stream = Stream::start(&archive);
    stream.await_event("started");
    let ctl = &archive.program;
    for from in ["remote", "local"] {
        ctl.ok(&["backup", "--mode", "physical", "--physical-from", from]);
    }
    let fill = "create table t as select n, md5(n::text) from generate_series(1, 60000) n";
    cluster.sql("postgres", fill);
    acknowledged(&cluster);
    cluster.kill9();
    stream.await_event("retrying");
    drop(stream);
    let status = ctl.json(&["wal", "status"]);
    assert_eq!(status["logs"][0]["segment_bytes"], 1 << 20, "{status}");
    assert_eq!(status["logs"][0]["state"], "ok", "{status}");
    let folder = ctl.path("data").display().to_string();
    ctl.ok(&["restore", "latest", "--to", &folder, "--latest", "--start"]);
    let copy = Copy { cluster: &cluster, folder: folder.clone() };
    assert_eq!(copy.sql("select count(*) from t"), "60000");
    stop(&archive, &cluster, &folder);
}

#[test]
fn another_cluster_at_the_same_address_is_refused() {
    let Some((mut archive, cluster)) = start(newest()) else { return };
    let mut stream = Stream::start(&archive);
    stream.await_event("started");
    stream.signal(Signal::TERM);
    drop(cluster);
    let other = Cluster::builder(newest()).wal_segment_mib(16).start().unwrap();
    archive.program.set("DATABASE_URL", other.url("postgres"));
    let done = archive.program.run(&["wal", "stream"]);
    done.fails(8);
}
