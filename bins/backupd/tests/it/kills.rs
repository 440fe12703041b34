//! Killed in the middle of runs, and what it remembers is lost.

use std::time::Duration;

use backup::daemon::{Answer, Question};
use backup_core::{JobKind, RunState, Trigger};
use backup_testkit::postgres::Cluster;

use crate::world::{World, reading, sessions, shop, wait};

#[test]
fn killed_at_random_the_run_is_marked_and_runs_again() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 60_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_MAX_RATE", "500KiB");
    world.set("BACKUP_JOBS", "1");
    // What is killed again and again is not hurried.
    world.configure("[daemon]\nretry_first = \"1s\"\n");
    let mut killed = Vec::new();
    for round in 0..3 {
        let mut daemon = world.start();
        if round == 0 {
            killed.push(world.request(JobKind::Backup, false).id);
        } else {
            // What was killed before begins again by itself.
            wait("the run to begin again", || !world.status().active.is_empty());
            killed.push(world.status().active[0].id);
        }
        wait("rows to be read", || reading(&cluster) > 0);
        std::thread::sleep(Duration::from_millis(150 * round));
        daemon.signal("KILL");
        assert_eq!(daemon.ended(), None);
        wait("the sessions to end", || sessions(&cluster) == 0);
        assert!(world.snapshots().is_empty(), "nothing half done counts");
    }
    world.set("BACKUP_MAX_RATE", "");
    let daemon = world.start();
    wait("the run to be finished", || {
        world.runs().iter().any(|run| run.state == RunState::Succeeded) || {
            let _ = world.ask(&Question::Status);
            false
        }
    });
    daemon.terminate();
    let runs = world.runs();
    for id in &killed {
        let run = runs.iter().find(|run| run.id == *id).unwrap();
        assert_eq!(run.state, RunState::Interrupted, "{run:?}");
        assert!(run.error.as_ref().unwrap().hint.is_some());
    }
    assert!(runs.iter().all(|run| run.state != RunState::Running));
    let done = runs.iter().find(|run| run.state == RunState::Succeeded).unwrap();
    assert_eq!(done.trigger, Trigger::Retry);
    assert_eq!(world.snapshots().len(), 1);
}

#[test]
fn a_stop_ends_the_session_and_the_run_goes_on_next_time() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 60_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_MAX_RATE", "300KiB");
    world.set("BACKUP_JOBS", "1");
    let daemon = world.start();
    let run = world.request(JobKind::Backup, false);
    wait("rows to be read", || reading(&cluster) > 0);
    daemon.terminate();
    wait("the sessions to end", || sessions(&cluster) == 0);
    let state = |world: &World| world.runs().iter().find(|r| r.id == run.id).unwrap().state;
    assert_eq!(state(&world), RunState::Interrupted);
    world.set("BACKUP_MAX_RATE", "");
    let daemon = world.start();
    wait("the run to go on", || world.snapshots().len() == 1);
    daemon.terminate();
}

#[test]
fn a_person_cancels() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 60_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_MAX_RATE", "300KiB");
    world.set("BACKUP_JOBS", "1");
    let daemon = world.start();
    let run = world.request(JobKind::Backup, false);
    wait("rows to be read", || reading(&cluster) > 0);
    world.ask(&Question::Cancel { run: run.id, actor: None }).unwrap();
    wait("the sessions to end", || sessions(&cluster) == 0);
    wait("the run to be marked", || {
        world.runs().iter().any(|r| r.id == run.id && r.state == RunState::Cancelled)
    });
    let again = world.ask(&Question::Cancel { run: run.id, actor: None }).unwrap();
    assert!(matches!(again[0], Answer::Failed { exit_code: 7, .. }), "{again:?}");
    daemon.terminate();
}

#[test]
fn a_lost_catalog_is_rebuilt_from_the_repository() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 1_000);
    let mut world = World::new(&cluster);
    let daemon = world.start();
    let first = world.request(JobKind::Backup, true);
    let second = world.request(JobKind::Backup, true);
    daemon.terminate();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(world.path("state").join(name));
    }
    // A backup that was missed while nothing was remembered is made up for.
    world.set("BACKUP_CRON", "* * * * *");
    wait("a minute to pass", || {
        let started = world.snapshots().last().unwrap().snapshot.started_at;
        backup::system_clock().now().as_second() / 60 > started.as_second() / 60
    });
    let daemon = world.start();
    wait("the missed backup", || world.snapshots().len() >= 3);
    daemon.terminate();
    let runs = world.runs();
    let rebuilt: Vec<_> = runs.iter().filter(|run| run.trigger == Trigger::Rebuilt).collect();
    assert_eq!(rebuilt.len(), 2);
    assert_eq!(rebuilt[0].snapshot, first.snapshot);
    assert_eq!(rebuilt[1].snapshot, second.snapshot);
    assert_eq!(rebuilt[1].number("rows"), 1_000);
    assert!(runs.iter().any(|run| run.trigger == Trigger::CatchUp), "{runs:#?}");
}
