//! WAL streams under a daemon: kept up under load and kills, handed over, and mended after a gap.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backup_core::{JobKind, RunState, SnapshotKind, Trigger};
use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::http::{address, get, json};
use crate::via_daemon::backupctl;
use crate::world::{PASSPHRASE, Running, World, shop, wait};

const PHYSICAL: &str = "[backup]\nmode = \"physical\"\n[wal]\nstream = true\nflush = \"1s\"\n\
                        [daemon]\nretry_first = \"1s\"\n";

fn cluster() -> Option<Cluster> {
    let major = Cluster::majors().last().copied().unwrap_or(18);
    let builder = Cluster::builder(major).setting("max_wal_size", "64MB");
    let cluster = builder.setting("min_wal_size", "32MB").start()?;
    shop(&cluster, 500);
    Some(cluster)
}

fn source(daemon: &Running) -> Value {
    json(&address(daemon), "/api/v1/sources/shop")
}

fn streams(daemon: &Running) -> bool {
    get(&address(daemon), "/metrics").contains("backup_wal_streaming{source=\"shop\"} 1")
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

/// A copy of a base backup that takes its WAL out of the repository.
fn recovered(world: &World, cluster: &Cluster, base: &Path) -> Cluster {
    // The server's user may be another than this one's.
    let open = Command::new("chmod").args(["-R", "a+rX"]).arg(world.folder.path()).status();
    assert!(open.unwrap().success());
    let program = world.path("backupctl");
    std::fs::copy(backupctl(), &program).unwrap();
    let fetch = format!(
        "BACKUP_REPOSITORY='{}' BACKUP_PASSPHRASE='{PASSPHRASE}' {} wal fetch %f %p --source shop",
        world.repository(),
        program.display()
    );
    let copy = Cluster::builder(cluster.major())
        .setting("restore_command", &fetch)
        .setting("recovery_target_action", "promote")
        .try_start_from(|data| {
            assert!(Command::new("cp").arg("-a").arg(base).arg(data).status()?.success());
            std::fs::write(data.join("recovery.signal"), "")
        })
        .unwrap();
    wait("the end of recovery", || {
        copy.sql("postgres", "select pg_is_in_recovery()").trim() == "f"
    });
    copy
}

#[test]
fn a_daemon_killed_under_load_loses_no_wal_that_it_acknowledged() {
    let Some(mut cluster) = cluster() else { return };
    cluster.sql("shop", "create table load (n bigint)");
    let world = World::new(&cluster);
    world.configure(PHYSICAL);
    let mut daemon = world.start();
    wait("WAL to be received", || streams(&daemon));
    let base = world.path("base");
    let mut copy = cluster.command("pg_basebackup");
    copy.args(["-X", "none", "-c", "fast", "-D"]).arg(&base);
    assert!(copy.status().unwrap().success());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cluster.sql("shop", "insert into load select generate_series(1, 5000)");
            }
        });
        for round in 0..3 {
            std::thread::sleep(Duration::from_millis(700 * round));
            daemon.signal("KILL");
            assert_eq!(daemon.ended(), None);
            daemon = world.start();
            wait("WAL to be received again", || streams(&daemon));
        }
        done.store(true, Ordering::Relaxed);
    });
    cluster.sql("shop", "insert into load values (-1)");
    acknowledged(&cluster);
    let rows = cluster.sql("shop", "select count(*) from load");
    // How much is at risk is measured, and seen.
    wait("a measurement", || source(&daemon)["wal"]["lag_bytes"] == 0);
    let seen = source(&daemon);
    assert!(seen["wal"]["lag_seconds"].is_f64() && seen["wal"]["gaps"] == 0, "{seen}");
    let metrics = get(&address(&daemon), "/metrics");
    for family in ["backup_wal_lag_seconds", "backup_wal_lag_bytes", "backup_wal_gaps"] {
        assert!(metrics.contains(&format!("{family}{{source=\"shop\"}} ")), "{metrics}");
    }
    let status = json(&address(&daemon), "/api/backup/status");
    assert_eq!(status["sources"][0]["wal"]["streaming"], true, "{status}");
    // The server is lost for good: the lag grows, and in time the source is at risk.
    cluster.kill9();
    wait("the loss to be seen", || !streams(&daemon));
    assert!(source(&daemon)["wal"]["problem"].is_string());
    daemon.terminate();
    let copy = recovered(&world, &cluster, &base);
    assert_eq!(copy.sql("shop", "select count(*) from load"), rows);
}

#[test]
fn two_daemons_receive_once_and_the_other_takes_over() {
    let Some(cluster) = cluster() else { return };
    let world = World::new(&cluster);
    let mut other = World::new(&cluster);
    other.set("BACKUP_REPOSITORY", &world.repository());
    world.configure(PHYSICAL);
    other.configure(PHYSICAL);
    let first = world.start();
    wait("WAL to be received", || streams(&first));
    let second = other.start();
    wait("the other to stand back", || second.log().contains("received by another daemon"));
    wait("the other to say nothing of it", || {
        !get(&address(&second), "/metrics").contains("backup_wal_streaming{")
    });
    first.terminate();
    // A backup that is being taken has a temporary one of its own.
    let kept =
        "select active, restart_lsn is not null from pg_replication_slots where not temporary";
    assert_eq!(cluster.sql("postgres", kept).lines().count(), 1);
    wait("the other to take over", || streams(&second));
    assert_eq!(cluster.sql("postgres", kept).trim(), "t|t");
    second.terminate();
    assert_eq!(cluster.sql("postgres", kept).trim(), "f|t", "the slot keeps what comes next");
}

#[test]
fn a_server_that_refuses_the_role_is_an_alert_until_wal_is_stored() {
    let Some(cluster) = cluster() else { return };
    cluster.sql("postgres", "create role receiver login");
    let mut world = World::new(&cluster);
    world.set("DATABASE_URL", &cluster.url("shop").replace("postgres@", "receiver@"));
    world.configure(PHYSICAL);
    let daemon = world.start();
    let alerts = || json(&address(&daemon), "/api/v1/alerts").to_string();
    wait("the alert", || alerts().contains("wal/shop"));
    assert!(source(&daemon)["wal"]["problem"].to_string().contains("permission denied"));
    cluster.sql("postgres", "alter role receiver replication");
    wait("the end of it", || !alerts().contains("wal/shop"));
    assert!(streams(&daemon));
    daemon.terminate();
}

#[test]
fn after_a_gap_one_new_base_is_taken_and_then_all_is_well() {
    let Some(cluster) = cluster() else { return };
    let world = World::new(&cluster);
    // Bases wait until this file is there.
    let ready = world.path("ready");
    let hook = format!(
        "[[hook]]\non = \"before\"\ncommand = [\"/bin/sh\", \"-c\", \"test -e {}\"]\n",
        ready.display()
    );
    std::fs::write(&ready, "").unwrap();
    world.configure(&format!("{PHYSICAL}{hook}"));
    let daemon = world.start();
    wait("WAL to be received", || streams(&daemon));
    let asked = |world: &World| {
        let by = |run: &backup_core::Run| run.actor.as_deref() == Some("wal gap");
        world.runs().into_iter().filter(by).count()
    };
    // WAL alone recovers nothing: the first base is taken without being asked for.
    wait("a first base", || {
        world.runs().iter().any(|run| run.state == RunState::Succeeded) && asked(&world) == 1
    });
    assert_eq!(world.snapshots()[0].snapshot.kind, SnapshotKind::Physical);
    cluster.sql("shop", "insert into orders values (-1, 'x'); select pg_switch_wal()");
    acknowledged(&cluster);
    wait("any instant to be recoverable", || source(&daemon)["window"]["continuous"] == true);
    wait("protection", || source(&daemon)["state"] == "protected");
    daemon.terminate();

    // What an operator does to a slot that fills the disk.
    cluster.sql("postgres", "select pg_drop_replication_slot('backupctl_shop')");
    for _ in 0..8 {
        cluster
            .sql("postgres", "create table x (); drop table x; select pg_switch_wal(); checkpoint");
    }
    std::fs::remove_file(&ready).unwrap();
    let daemon = world.start();
    wait("the gap to be seen", || source(&daemon)["state"] == "at_risk");
    assert!(source(&daemon)["reasons"].to_string().contains("physical snapshot"));
    wait("the alert", || {
        json(&address(&daemon), "/api/v1/alerts").to_string().contains("wal_gap/shop")
    });
    wait("a base to be asked for", || asked(&world) == 2);
    std::fs::write(&ready, "").unwrap();
    wait("the gap to be made up for", || {
        let seen = source(&daemon);
        seen["state"] == "protected" && seen["wal"]["gaps"] == 0
    });
    let alerts = json(&address(&daemon), "/api/v1/alerts").to_string();
    assert!(!alerts.contains("wal_gap/shop"), "{alerts}");
    daemon.terminate();
    let daemon = world.start();
    wait("WAL to be received", || streams(&daemon));
    wait("protection", || source(&daemon)["state"] == "protected");
    // The new base is good: it comes up on a server of its own.
    let drill = world.request(JobKind::Drill, true);
    assert_eq!(drill.state, RunState::Succeeded, "{drill:?}");
    // So does what it was at the end of stored WAL, which was written since.
    cluster.sql("shop", "insert into orders values (-2, 'y'); select pg_switch_wal()");
    acknowledged(&cluster);
    let drill = world.request(JobKind::PointDrill, true);
    assert_eq!(drill.state, RunState::Succeeded, "{drill:?}");
    let history = json(&address(&daemon), "/api/v1/sources/shop/history");
    assert_eq!(history["drills"][0]["run"], drill.id.to_string(), "{history}");
    // What the gap cost is seen: a hole between two ranges.
    let gaps = history["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{history}");
    assert!(gaps[0]["reason"].to_string().contains("makes up for it"), "{history}");
    assert_eq!(history["windows"].as_array().unwrap().len(), 2, "{history}");
    assert_eq!(history["windows"][0]["to"], gaps[0]["from"]);
    daemon.terminate();
    assert_eq!(asked(&world), 2, "once, not again");
    let mut runs = world.runs();
    runs.retain(|run| run.job.kind == JobKind::Backup);
    let good = |run: &&backup_core::Run| run.state == RunState::Succeeded;
    assert_eq!(runs.iter().filter(good).count(), 2, "{runs:#?}");
    assert!(runs.iter().filter(|run| run.trigger == Trigger::Request).count() <= 2);
}
