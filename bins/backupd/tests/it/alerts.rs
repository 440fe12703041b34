//! Somebody hears of it: a daemon that cannot start, a repository that is away, a fault of the
//! program.

use std::sync::Arc;

use backup::config::Environment;
use backup::daemon::{Daemon, Options};
use backup::ops::interrupt;
use backup_core::{ErrorKind, Event, JobKey, JobKind, RunId, RunState};
use backup_testkit::postgres::Cluster;

use crate::http::{address, json};
use crate::receiver::Receiver;
use crate::world::{World, runtime, shop, wait};

#[test]
fn a_daemon_that_cannot_start_is_told_once_and_that_it_runs_again() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    let receiver = Receiver::start();
    world.set("BACKUP_WEBHOOK_URL", &receiver.url());
    world.configure("[schedule]\nbackup = \"61 * * * *\"\n");
    // A crash loop.
    for _ in 0..3 {
        let output = world.command().output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    let heard = receiver.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["event"], "daemon.failed");
    assert!(heard[0].to_string().contains("line: 2"), "{}", heard[0]);
    world.configure("");
    let daemon = world.start();
    wait("the recovery", || receiver.count("daemon.restored") == 1);
    daemon.terminate();

    // Another reason, and the receiver is away: a later start tells it, once.
    receiver.set_down(true);
    world.set("BACKUPD_LISTEN", "0.0.0.0:0");
    assert_eq!(world.command().output().unwrap().status.code(), Some(2));
    assert!(receiver.refused() > 0 && receiver.count("daemon.failed") == 1);
    receiver.set_down(false);
    for _ in 0..2 {
        assert_eq!(world.command().output().unwrap().status.code(), Some(2));
    }
    assert_eq!(receiver.count("daemon.failed"), 2);
    world.set("BACKUPD_LISTEN", "127.0.0.1:0");
    let daemon = world.start();
    wait("the recovery", || receiver.count("daemon.restored") == 2);
    // One too many is no news: the one that runs speaks for itself.
    assert_eq!(world.command().output().unwrap().status.code(), Some(8));
    daemon.terminate();
    assert_eq!(receiver.count("daemon.failed"), 2);
}

#[test]
fn a_repository_that_is_away_is_told_once_however_often_the_daemon_starts() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    let receiver = Receiver::start();
    world.set("BACKUP_WEBHOOK_URL", &receiver.url());
    let there = world.repository();
    // Nobody listens there.
    world.set("BACKUP_REPOSITORY", "s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=x");
    world.set("AWS_ACCESS_KEY_ID", "key");
    world.set("AWS_SECRET_ACCESS_KEY", "secret");
    world.configure("[repository]\nattempts = 1\ntimeout = \"2s\"\n");
    let mut daemon = world.spawn();
    wait("people to be told", || receiver.count("repository.failed") == 1);
    daemon.signal("KILL");
    daemon.ended();
    let mut daemon = world.spawn();
    wait("the second one to wait as well", || daemon.log().matches("is away").count() >= 5);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    assert_eq!(receiver.count("repository.failed"), 1);
    world.set("BACKUP_REPOSITORY", &there);
    let daemon = world.start();
    wait("the recovery", || receiver.count("repository.restored") == 1);
    daemon.terminate();
}

#[test]
fn an_alert_survives_a_channel_that_is_down_and_a_kill_and_arrives_once() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    let receiver = Receiver::start();
    world.set("ALERT_HOOK", &receiver.url());
    world.configure("[daemon]\nattempts = 1\n[[notify]]\nkind = \"webhook\"\nurl = \"env:ALERT_HOOK\"\nevents = [\"backup.*\"]\n");
    receiver.set_down(true);
    let mut daemon = world.start();
    cluster.sql("postgres", "alter database shop rename to shop_away");
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Failed);
    wait("a delivery to fail", || {
        json(&address(&daemon), "/api/v1/alerts").to_string().contains("undelivered")
    });
    assert!(receiver.refused() > 0 && receiver.heard().is_empty());
    daemon.signal("KILL");
    daemon.ended();

    receiver.set_down(false);
    let mut daemon = world.start();
    wait("the alert", || receiver.count("backup.failed") == 1);
    wait("its record", || {
        !json(&address(&daemon), "/api/v1/alerts").to_string().contains("undelivered")
    });
    daemon.signal("KILL");
    daemon.ended();
    let daemon = world.start();
    // It fails again, which is known; then it is over.
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Failed);
    cluster.sql("postgres", "alter database shop_away rename to shop");
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    wait("the recovery", || receiver.count("backup.succeeded") == 1);
    daemon.terminate();
    let heard = receiver.heard();
    let events: Vec<_> = heard.iter().map(|body| body["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["backup.failed", "backup.succeeded"]);
    assert!(heard[0].to_string().contains("does not exist"), "{}", heard[0]);
    assert!(!heard[1].to_string().contains("undelivered"));
}

#[test]
fn a_run_in_which_the_program_fails_is_a_failed_run_with_an_alert() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    let receiver = Receiver::start();
    let daemon = world.start();
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    daemon.terminate();
    world.set("BACKUP_WEBHOOK_URL", &receiver.url());
    let command = world.command();
    let pairs = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    let environment = Environment::from_pairs(pairs);
    runtime().block_on(async {
        backup::install_tls();
        let faulty = |_: RunId, event: &Event| {
            if matches!(event, Event::RunStarted { .. }) {
                panic!("a fault for the test");
            }
        };
        let options = Options { config: None, environment, feed: Some(Arc::new(faulty)) };
        let (daemon, life) = Daemon::open(options).await.unwrap();
        let (interrupter, stop) = interrupt();
        let running = tokio::spawn({
            let (daemon, stop) = (daemon.clone(), stop.clone());
            async move { daemon.run(life, &stop).await }
        });
        let job = JobKey::of(JobKind::Verify, &"shop".parse().unwrap());
        let run = daemon.request(job, None).await.unwrap();
        let ended = loop {
            let known = daemon.catalog().run(run.id).await.unwrap();
            if let Some(run) = known.filter(|run| run.ended_at.is_some()) {
                break run;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert_eq!(ended.state, RunState::Failed);
        let error = ended.error.unwrap();
        assert!(error.message.contains("a fault for the test"), "{error:?}");
        while receiver.count("verify.failed") == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(receiver.count("verify.failed"), 1);
        interrupter.request(ErrorKind::Terminated);
        running.await.unwrap().unwrap();
    });
}
