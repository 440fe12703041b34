//! A MySQL source: backed up, drilled on a server of its own, seen everywhere, as PostgreSQL is.

use backup::daemon::{Answer, Question};
use backup_core::{JobKind, RunState, VerifyLevel};
use backup_testkit::mariadb::MariaDb;
use serde_json::Value;

use crate::http::{address, ask, get, json, token};
use crate::world::{World, wait};

#[test]
fn a_mysql_source_is_backed_up_drilled_and_protected() {
    let Some(mut server) = MariaDb::start(&[]) else { return };
    server.sql("", "CREATE DATABASE shop; CREATE USER app@localhost IDENTIFIED BY 'hunter22'");
    server.sql("", "GRANT ALL PRIVILEGES ON *.* TO app@localhost");
    server.sql(
        "shop",
        "CREATE TABLE orders (id int PRIMARY KEY, note text);
         INSERT INTO orders SELECT seq, MD5(seq) FROM seq_1_to_3000;",
    );
    let mut world = World::bare();
    world.set("DB_PROVIDER", "mysql");
    world.set("MYSQL_DB_URL", &server.url_of("app", "shop"));
    world.set("MYSQL_PWD", "hunter22");
    world.set("BACKUP_CRON", "0 3 * * *");
    let temporary = world.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    world.set("TMPDIR", &temporary.display().to_string());
    let configure = |wanted: u64| {
        world.configure(&format!(
            "[backup]\nusers = true\n[daemon]\nattempts = 1\n[drill]\nevery = \"snapshot\"\n\
             [[drill.assert]]\nname = \"orders\"\nsql = \"select count(*) from orders\"\n\
             equals = {wanted}\n"
        ));
    };
    configure(3_000);
    let daemon = world.start();
    let at = address(&daemon);
    let operator = token(&world, "operator");
    let runs = "/api/v1/sources/shop/runs";
    let (status, run) = ask(&at, "POST", runs, Some(&operator), "{\"job\":\"backup\"}");
    assert_eq!(status, 202, "{run}");
    let run: Value = serde_json::from_str(&run).unwrap();
    let target = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    wait("the run to end", || json(&at, &target)["run"]["finished_at"].is_string());
    let detail = json(&at, &target);
    assert_eq!(detail["run"]["state"], "succeeded", "{detail}");

    // The drill of the snapshot follows by itself, on a server that goes again.
    let source = || json(&at, "/api/v1/sources/shop");
    wait("protection", || source()["state"] == "protected");
    assert_eq!(source()["newest_level"], "drilled");
    assert_eq!(source()["drill"]["passed"], true, "{}", source());
    assert_eq!(world.snapshots()[0].verified.level, VerifyLevel::Drilled);
    wait("the throw-away server to go", || std::fs::read_dir(&temporary).unwrap().count() == 0);
    let status = json(&at, "/api/backup/status");
    assert_eq!(status["backup"]["totalBackups"], 1, "{status}");
    assert_eq!(status["backup"]["lastBackupSuccess"], true);
    assert!(status["backup"]["nextBackup"].is_string(), "{status}");
    let shop = &status["sources"][0];
    assert!(shop["expectedAt"].as_str().unwrap().contains("T03:00"), "{shop}");
    assert!(shop["conditions"].as_array().unwrap().is_empty(), "{shop}");
    assert_eq!(ask(&at, "GET", "/health/backups?strict", None, "").0, 200);
    let metrics = get(&at, "/metrics");
    for line in [
        "backup_source_protected{source=\"shop\"} 1",
        "backup_snapshots{source=\"shop\"} 1",
        "backup_runs_total{source=\"shop\",job=\"backup\",result=\"succeeded\"} 1",
        "backup_runs_total{source=\"shop\",job=\"drill\",result=\"succeeded\"} 1",
        "backup_drill_passed{source=\"shop\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let snapshot = detail["run"]["snapshot"].as_str().unwrap();
    assert_eq!(json(&at, &format!("/api/v1/snapshots/{snapshot}"))["snapshot"]["rows"], 3_000);
    let question = format!("{{\"snapshot\":\"{}\"}}", &snapshot[..12]);
    let (code, preview) = ask(&at, "POST", "/api/v1/restore-preview", None, &question);
    assert!(code == 200 && preview.contains("backupctl restore"), "{code} {preview}");
    assert!(get(&at, "/sources/shop").contains(&snapshot[..8]));

    // What is kept is proved again, and thinned out.
    for kind in [JobKind::Verify, JobKind::Forget] {
        let run = world.request(kind, true);
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    }
    // An answer that is another one fails the drill, and the source is at risk.
    configure(3_001);
    assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
    let bad = world.request(JobKind::Drill, true);
    assert_eq!(bad.state, RunState::Failed, "{bad:?}");
    assert!(bad.error.unwrap().message.contains("not 3001"));
    wait("the source to be at risk", || source()["state"] == "at_risk");

    // The server dies: the run fails, says where, and nothing is shown that is secret.
    server.kill9();
    let lost = world.request(JobKind::Backup, true);
    assert_eq!(lost.state, RunState::Failed, "{lost:?}");
    assert_eq!(world.snapshots().len(), 1);
    for page in ["/", "/sources/shop", "/api/v1/runs", "/api/backup/status", "/metrics"] {
        assert!(!get(&at, page).contains("hunter22"), "{page}");
    }
    assert!(!daemon.log().contains("hunter22"));
    daemon.terminate();
}
