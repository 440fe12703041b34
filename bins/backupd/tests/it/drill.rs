//! Drills by the daemon: asked for over HTTP, seen everywhere, and a bad one is not silent.

use backup::daemon::{Answer, Question};
use backup_core::{JobKind, RunState, VerifyLevel};
use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::http::{address, ask, get, json, token};
use crate::world::{World, shop, wait};

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
    wait("the source to be at risk", || source()["state"] == "at_risk");
    assert!(source()["reasons"].to_string().contains("The newest drill failed"), "{}", source());
    wait("the metric", || get(&at, "/metrics").contains("backup_drill_passed{source=\"shop\"} 0"));
    let alerts = json(&at, "/api/v1/alerts").to_string();
    assert!(alerts.contains("drill/shop"), "{alerts}");
    let left = "select count(*) from pg_database where datname like 'backup_drill_%'";
    assert_eq!(cluster.sql("postgres", left).trim(), "0");
    daemon.terminate();
}
