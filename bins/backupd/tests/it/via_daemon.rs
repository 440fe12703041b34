//! `backupctl --via-daemon`: two programs, one socket.

use std::path::PathBuf;
use std::process::{Command, Output};

use backup_core::{JobKind, RunState, Trigger};
use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::world::{World, shop};

/// The other program, which tests of the whole workspace have built; else it is built now.
pub(crate) fn backupctl() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_backupd")).with_file_name("backupctl");
    if !beside.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "backupctl"]).status();
        assert!(built.unwrap().success());
    }
    beside
}

pub(crate) fn run(world: &World, words: &[&str]) -> Output {
    let mut command = Command::new(backupctl());
    let daemon = world.command();
    let environment = daemon.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(environment).current_dir(world.folder.path());
    command.args(words).output().unwrap()
}

fn document(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_daemon_does_what_backupctl_is_asked_for() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 500);
    let mut world = World::new(&cluster);
    world.set("BACKUP_DRILL_URL", &cluster.url("postgres"));
    world.configure("[daemon]\nattempts = 1\n");
    let nobody = run(&world, &["backup", "--via-daemon"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("none answers there"));

    let daemon = world.start();
    let taken = document(&run(&world, &["--json", "backup", "--via-daemon"]));
    assert_eq!(taken["schema"], "backupctl.backup.v1");
    assert_eq!(taken["snapshot"]["verified"]["level"], "read", "{taken}");
    let receipt = document(&run(&world, &["--json", "drill", "shop", "--via-daemon"]));
    assert_eq!(receipt["verdict"], "passed", "{receipt}");
    assert_eq!(receipt["snapshot"], taken["snapshot"]["id"]);
    assert!(receipt["program"].as_str().unwrap().starts_with("backupd "), "{receipt}");

    // What fails there fails here.
    cluster.sql("postgres", "alter database shop rename to shop_away");
    let failed = run(&world, &["backup", "--via-daemon"]);
    assert_eq!(failed.status.code(), Some(3), "as if it had been taken here");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("does not exist"), "{said}");
    daemon.terminate();
    let runs = world.runs();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.trigger == Trigger::Request));
    assert!(runs.iter().all(|run| run.actor.as_deref() == Some("backupctl")));
    assert_eq!(runs[1].job.kind, JobKind::Drill);
    assert_eq!(runs[2].state, RunState::Failed);
}
