//! Drills by the daemon: asked for over HTTP, seen everywhere, and a bad one is not silent.

use backup::daemon::{Answer, Question};
use backup::repository::NewKey;
use backup::{Backup, KeySecret, Secret};
use backup_core::{JobKind, Run, RunState, Trigger, VerifyLevel};
use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::http::{address, ask, get, json, token};
use crate::receiver::Receiver;
use crate::world::{PASSPHRASE, World, runtime, shop, wait};

#[test]
fn a_drill_is_held_is_seen_everywhere_and_one_that_fails_puts_the_source_at_risk() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 1_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_DRILL_URL", &cluster.url("postgres"));
    let configure = |wanted: u64| {
        world.configure(&format!(
            "[schedule]\ndrill = \"0 6 1 1 *\"\n[daemon]\nattempts = 1\n[drill]\nrto = \"10m\"\n\
             [[drill.assert]]\nname = \"orders\"\nsql = \"select count(*) from orders\"\n\
             equals = {wanted}\n"
        ));
    };
    configure(1_000);
    let daemon = world.start();
    let at = address(&daemon);
    let operator = token(&world, "operator");
    // Nothing to restore is no drill.
    let early = world.request(JobKind::Drill, true);
    assert_eq!(early.state, RunState::Failed);
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);

    let runs = "/api/v1/sources/shop/runs";
    for (job, why) in [("point_drill", "physical"), ("disaster_drill", "drill.sheet")] {
        let body = format!("{{\"job\":\"{job}\"}}");
        let (status, said) = ask(&at, "POST", runs, Some(&operator), &body);
        assert!(status == 422 && said.contains(why), "{job}: {status} {said}");
    }
    let (status, run) = ask(&at, "POST", runs, Some(&operator), "{\"job\":\"drill\"}");
    assert_eq!(status, 202, "{run}");
    let run: Value = serde_json::from_str(&run).unwrap();
    let id = run["id"].as_str().unwrap().to_owned();
    let target = format!("/api/v1/runs/{id}");
    wait("the drill to end", || json(&at, &target)["run"]["finished_at"].is_string());
    let detail = json(&at, &target);
    assert_eq!(detail["run"]["state"], "succeeded", "{detail}");
    assert!(detail["phases"].to_string().contains("restore"), "{detail}");
    let source = || json(&at, "/api/v1/sources/shop");
    wait("the drill to be seen", || source()["drill"]["run"] == id);
    let seen = source();
    assert_eq!(seen["drill"]["passed"], true, "{seen}");
    assert_eq!(seen["rto_budget_seconds"], 600);
    assert_eq!(seen["newest_level"], "drilled");
    assert!(seen["drill"]["rto_seconds"].as_f64() > Some(0.0), "{seen}");
    let history = json(&at, "/api/v1/sources/shop/history");
    assert_eq!(history["drills"][0]["run"], id, "{history}");
    let metrics = get(&at, "/metrics");
    for family in [
        "backup_drill_passed{source=\"shop\"} 1",
        "backup_last_drill_timestamp_seconds{source=\"shop\"} ",
        "backup_drill_rto_seconds{source=\"shop\"} ",
        "backup_source_rto_budget_seconds{source=\"shop\"} 600",
        "backup_next_run_timestamp_seconds{source=\"shop\",job=\"drill\"} ",
        "backup_last_success_timestamp_seconds{source=\"shop\",job=\"drill\"} ",
    ] {
        assert!(metrics.contains(family), "{family} in\n{metrics}");
    }
    assert!(get(&at, "/sources/shop").contains("RTO measured"));
    assert_eq!(world.snapshots()[0].verified.level, VerifyLevel::Drilled);

    // What its owner asks is not so: the run failed, and the source is at risk, with the reason.
    configure(1_001);
    assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
    let bad = world.request(JobKind::Drill, true);
    assert_eq!(bad.state, RunState::Failed);
    assert!(bad.error.unwrap().message.contains("not 1001"));
    // The proof is withdrawn first; the reason is there with the receipt.
    wait("the source to be at risk", || source()["state"] == "at_risk");
    wait("the reason", || source()["reasons"].to_string().contains("The newest drill failed"));
    wait("the metric", || get(&at, "/metrics").contains("backup_drill_passed{source=\"shop\"} 0"));
    let alerts = json(&at, "/api/v1/alerts").to_string();
    assert!(alerts.contains("drill/shop"), "{alerts}");
    let left = "select count(*) from pg_database where datname like 'backup_drill_%'";
    assert_eq!(cluster.sql("postgres", left).trim(), "0");
    daemon.terminate();
}

#[test]
fn each_snapshot_is_drilled_once_whoever_took_it_and_whatever_is_killed() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 1_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_DRILL_URL", &cluster.url("postgres"));
    let receiver = Receiver::start();
    world.set("BACKUP_WEBHOOK_URL", &receiver.url());
    world.configure("[drill]\nevery = \"snapshot\"\n");
    let drills = |world: &World| -> Vec<Run> {
        let drill = |run: &Run| run.job.kind == JobKind::Drill;
        world.runs().into_iter().filter(drill).collect()
    };
    let ended =
        |world: &World| drills(world).iter().filter(|run| run.state == RunState::Succeeded).count();
    let mut daemon = world.start();
    let first = world.request(JobKind::Backup, true);
    wait("the drill of the first snapshot", || ended(&world) == 1);
    let drill = drills(&world).remove(0);
    assert_eq!((drill.trigger, drill.snapshot), (Trigger::Snapshot, first.snapshot));
    assert_eq!(world.snapshots()[0].verified.level, VerifyLevel::Drilled);
    wait("protection", || json(&address(&daemon), "/api/v1/sources/shop")["state"] == "protected");
    assert_eq!(receiver.count("protection.at_risk"), 0, "nobody is called before the drill");
    let next = json(&address(&daemon), "/api/v1/sources/shop")["next"].clone();
    assert_eq!(next[0]["schedule"], "each snapshot", "{next}");
    daemon.signal("KILL");
    daemon.ended();

    // One that another program took while no daemon ran; and what was drilled is not again.
    runtime().block_on(async {
        let secret = Secret::new(PASSPHRASE);
        let backup = Backup::open(&world.repository(), secret).await.unwrap();
        let tools = vec![cluster.bin("pg_dump").parent().unwrap().to_owned()];
        let tools = backup::postgres::tools::ToolPaths::only(tools);
        backup.with_tools(tools).backup(&cluster.url("shop")).await.unwrap();
    });
    let daemon = world.start();
    // It is as good as it was proved: what was only committed is not drilled.
    assert_eq!(world.request(JobKind::Verify, true).state, RunState::Succeeded);
    wait("the drill of the second snapshot", || ended(&world) == 2);
    let snapshots = world.snapshots();
    assert!(snapshots.iter().all(|record| record.verified.level == VerifyLevel::Drilled));
    wait("protection", || json(&address(&daemon), "/api/v1/sources/shop")["state"] == "protected");
    daemon.terminate();
    let daemon = world.start();
    wait("protection", || json(&address(&daemon), "/api/v1/sources/shop")["state"] == "protected");
    daemon.terminate();
    assert_eq!(drills(&world).len(), 2, "{:#?}", drills(&world));
}

#[test]
fn a_drill_from_nothing_but_the_recovery_sheet_is_a_job() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 500);
    let mut world = World::new(&cluster);
    world.set("BACKUP_DRILL_URL", &cluster.url("postgres"));
    let sheet = world.path("sheet.txt");
    world.configure(&format!(
        "[schedule]\ndisaster_drill = \"0 9 1 1 *\"\n[drill]\ndisaster = \"quarterly\"\n\
         sheet = \"file:{}\"\n[daemon]\nattempts = 1\n",
        sheet.display()
    ));
    let key = backup::generate_key_file().unwrap();
    runtime().block_on(async {
        let secret = KeySecret::Passphrase(Secret::new(PASSPHRASE));
        let store = backup::open_store(&world.repository(), &<_>::default()).await.unwrap();
        let clock = backup::system_clock();
        let repository =
            backup::repository::Repository::open(store, clock, &secret, <_>::default());
        let key = NewKey { secret: KeySecret::KeyFile(key.clone()), label: "sheet".into() };
        repository.await.unwrap().add_key(key).await.unwrap();
    });
    let daemon = world.start();
    let at = address(&daemon);
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    let source = || json(&at, "/api/v1/sources/shop");
    wait("what was promised", || source()["reasons"].to_string().contains("disaster drill"));
    // The sheet is not where it should be: that is found out now, and not on the day it is needed.
    let lost = world.request(JobKind::DisasterDrill, true);
    assert_eq!(lost.state, RunState::Failed);
    let alerts = || json(&at, "/api/v1/alerts").to_string();
    wait("the alert", || alerts().contains("disaster_drill/shop"));
    let url = world.repository();
    let text = format!("RECOVERY\n  export BACKUP_REPOSITORY='{url}'\n  {}\n", key.expose());
    std::fs::write(&sheet, text).unwrap();
    let held = world.request(JobKind::DisasterDrill, true);
    assert_eq!(held.state, RunState::Succeeded, "{held:?}");
    wait("the promise to be kept", || source()["state"] == "protected");
    assert!(!alerts().contains("disaster_drill"), "{}", alerts());
    let planned = source()["next"].to_string();
    assert!(planned.contains("\"job\":\"disaster_drill\""), "{planned}");
    let metrics = get(&at, "/metrics");
    let success = "backup_last_success_timestamp_seconds{source=\"shop\",job=\"disaster_drill\"} ";
    assert!(metrics.contains(success), "{metrics}");
    assert!(!daemon.log().contains(key.expose()), "the key stays where it is");
    daemon.terminate();
}
