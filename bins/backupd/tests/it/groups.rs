//! A group by the daemon: taken on request, drilled by itself, shown in every place.

use std::fs;

use backup::daemon::{Answer, Question};
use backup_core::{JobKey, JobKind, Run, RunState};
use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::http::{address, ask, get};
use crate::world::{World, wait};

fn world(cluster: &Cluster) -> World {
    cluster.sql("postgres", "create database shop");
    cluster.sql(
        "shop",
        "create table uploads (path text); insert into uploads select 'f' || n from generate_series(1, 50) n",
    );
    let mut world = World::new(cluster);
    world.set("BACKUP_DRILL_URL", &cluster.url("postgres"));
    fs::create_dir(world.path("uploads")).unwrap();
    for n in 1..=50 {
        fs::write(world.path(&format!("uploads/f{n}")), "upload").unwrap();
    }
    world.configure(
        "[retention]\nkeep_last = 1\n[schedule]\nbackup = \"0 0 1 1 *\"\n\
         [[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n\
         [[source]]\nname = \"uploads\"\npath = \"uploads\"\n\
         [[group]]\nname = \"all\"\nsources = [\"shop\", \"uploads\"]\n\
         [group.drill]\nevery = \"snapshot\"\nkeys_sql = \"select path from uploads\"\n",
    );
    world
}

fn request(world: &World, kind: JobKind) -> Run {
    let job = JobKey::of(kind, &"all".parse().unwrap());
    match world.ask(&Question::Run { job, actor: None, wait: true }).unwrap().pop() {
        Some(Answer::Run(run)) => *run,
        other => panic!("{other:?}"),
    }
}

fn drills(world: &World) -> Vec<Run> {
    let ended = |run: &Run| run.job.kind == JobKind::Drill && run.ended_at.is_some();
    world.runs().into_iter().filter(ended).collect()
}

#[test]
fn a_group_is_taken_drilled_and_shown() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let world = world(&cluster);
    let daemon = world.start();
    // The general schedule is the group's; its members have none of their own.
    let planned: Vec<String> = world.status().next.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(planned, ["backup all"]);
    for _ in 0..2 {
        let run = request(&world, JobKind::Backup);
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
        assert_eq!(run.number("rows"), 50);
    }
    // Retention keeps one, of every member; each set is drilled, the last one at least.
    let sets: Vec<_> = world.snapshots().into_iter().map(|r| r.snapshot.set.unwrap().id).collect();
    assert_eq!((sets.len(), sets[0]), (2, sets[1]));
    let address = address(&daemon);
    let group = || {
        let status: Value = serde_json::from_str(&get(&address, "/api/backup/status")).unwrap();
        status["groups"][0].clone()
    };
    wait("a drill of the newest set", || group()["protected"] == true);
    let drilled = drills(&world);
    assert!(drilled.iter().all(|run| run.job.to_string() == "drill all"), "{drilled:?}");
    assert_eq!(drilled.last().unwrap().state, RunState::Succeeded);
    let shown = group();
    assert_eq!((&shown["lastDrill"], &shown["completeSets"]), (&"passed".into(), &1.into()));
    let metrics = get(&address, "/metrics");
    assert!(metrics.contains("backup_group_protected{group=\"all\"} 1"), "{metrics}");
    assert!(get(&address, "/").contains("Recovery sets"));
    assert_eq!(ask(&address, "GET", "/health/backups?strict", None, "").0, 200);

    // A file that a row refers to went: the set fails, and everything says so.
    fs::remove_file(world.path("uploads/f9")).unwrap();
    assert_eq!(request(&world, JobKind::Backup).state, RunState::Succeeded);
    wait("the drill that fails", || group()["lastDrill"] == "failed");
    let failed = drills(&world).pop().unwrap();
    assert_eq!(failed.state, RunState::Failed, "{failed:?}");
    assert!(failed.error.unwrap().message.contains("f9"));
    wait("the group's state", || group()["state"] == "at_risk");
    let (strict, body) = ask(&address, "GET", "/health/backups?strict", None, "");
    assert!(strict == 503 && body.contains("attention_groups"), "{strict} {body}");

    // A member that fails leaves a set that never counts.
    fs::rename(world.path("uploads"), world.path("away")).unwrap();
    let run = request(&world, JobKind::Backup);
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    wait("the incomplete set", || group()["incompleteSets"] == 1);
    daemon.terminate();
}
