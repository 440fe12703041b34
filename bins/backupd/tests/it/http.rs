//! What is served is what was done: a real backup, asked for over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::world::{Running, World, shop, wait};

/// The address the daemon says it serves on.
pub(crate) fn address(daemon: &Running) -> String {
    let said = |log: String| {
        let (_, rest) = log.split_once("serving HTTP address=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    wait("the address", || said(daemon.log()).is_some());
    said(daemon.log()).unwrap()
}

/// Asks; returns the status and the body.
pub(crate) fn ask(
    address: &str,
    method: &str,
    target: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let token =
        token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{heard:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn get(address: &str, target: &str) -> String {
    let (status, body) = ask(address, "GET", target, None, "");
    assert_eq!(status, 200, "{target}: {body}");
    body
}

pub(crate) fn json(address: &str, target: &str) -> Value {
    serde_json::from_str(&get(address, target)).unwrap()
}

/// Makes a token as an administrator does.
pub(crate) fn token(world: &World, role: &str) -> String {
    let mut command: Command = world.command();
    command.stdout(std::process::Stdio::piped());
    let output = command.args(["token", "add", "tester", "--role", role]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_backup_asked_for_over_http_is_seen_everywhere() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 3_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_CRON", "0 3 * * *");
    let daemon = world.start();
    let at = address(&daemon);
    assert_eq!(json(&at, "/health")["status"], "ok");
    assert_eq!(ask(&at, "GET", "/health/backups?strict", None, "").0, 503);
    let runs = "/api/v1/sources/shop/runs";
    assert_eq!(ask(&at, "POST", runs, None, "{\"job\":\"backup\"}").0, 401);

    let operator = token(&world, "operator");
    let (status, run) = ask(&at, "POST", runs, Some(&operator), "{\"job\":\"backup\"}");
    assert_eq!(status, 202, "{run}");
    let run: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(run["by"], "token tester");
    let target = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    wait("the run to end", || json(&at, &target)["run"]["state"] == "succeeded");
    wait("the source to be protected", || {
        ask(&at, "GET", "/health/backups?strict", None, "").0 == 200
    });

    let detail = json(&at, &target);
    assert!(!detail["phases"].as_array().unwrap().is_empty());
    assert!(detail["log"].to_string().contains("committed snapshot"), "{detail}");
    let snapshot = detail["run"]["snapshot"].as_str().unwrap();
    assert_eq!(world.snapshots()[0].snapshot.id.to_string(), snapshot);

    let status = json(&at, "/api/backup/status");
    assert_eq!(status["backup"]["totalBackups"], 1);
    assert_eq!(status["backup"]["lastBackupSuccess"], true);
    assert!(status["backup"]["nextBackup"].is_string(), "{status}");
    wait("the repository to be measured", || {
        json(&at, "/api/backup/status")["backup"]["diskUsage"]["used"].as_u64() > Some(0)
    });
    let metrics = get(&at, "/metrics");
    for line in [
        "backup_source_protected{source=\"shop\"} 1",
        "backup_snapshots{source=\"shop\"} 1",
        "backup_runs_total{source=\"shop\",job=\"backup\",result=\"succeeded\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let shop = &json(&at, "/api/backup/status")["sources"][0];
    assert!(shop["expectedAt"].as_str().unwrap().contains("T03:00"), "{shop}");
    assert_eq!(shop["overdueSince"], Value::Null);
    assert!(shop["verifiedAgeSeconds"].as_u64().unwrap() < 3600, "{shop}");
    assert_eq!(shop["success"][0]["good"], 1, "{shop}");
    assert!(shop["conditions"].as_array().unwrap().is_empty(), "{shop}");
    for line in [
        "backup_success_ratio{source=\"shop\",days=\"90\"} 1",
        "backup_repository_condition{repository=\"main\",condition=\"key_single\"} 1",
        "backup_expected_timestamp_seconds{source=\"shop\"} ",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert!(get(&at, "/storage").contains("One key is all that opens the repository"));
    let fleet = get(&at, "/");
    assert!(fleet.contains("Nothing to do") && fleet.contains(">shop<"), "{fleet}");
    assert!(get(&at, "/sources/shop").contains(&snapshot[..8]));
    let page = target.replace("/api/v1", "");
    assert!(get(&at, &page).contains("committed snapshot"));
    assert!(get(&at, "/storage").contains("1 snapshot"));
    let shown = json(&at, &format!("/api/v1/snapshots/{snapshot}"));
    assert_eq!(shown["snapshot"]["rows"], 3_000);
    let plan = json(&at, "/api/v1/sources/shop/plan");
    assert_eq!(plan["decisions"][0]["action"], "keep");
    let question = format!("{{\"snapshot\":\"{}\"}}", &snapshot[..12]);
    let (status, preview) = ask(&at, "POST", "/api/v1/restore-preview", None, &question);
    assert_eq!(status, 200, "{preview}");
    assert!(preview.contains("backupctl restore"), "{preview}");

    // A stop and a start: who asked for what, and the run's log, are still there.
    daemon.terminate();
    let daemon = world.start();
    let at = address(&daemon);
    let audit = json(&at, "/api/v1/audit");
    assert!(audit.to_string().contains("token tester"), "{audit}");
    assert_eq!(json(&at, "/api/v1/audit/check")["intact"], true);
    assert!(json(&at, &target)["log"].to_string().contains("committed snapshot"));
    for secret in [crate::world::PASSPHRASE, &operator] {
        for target in
            ["/", "/sources/shop", "/audit", "/api/v1/sources", "/api/v1/runs", "/metrics"]
        {
            assert!(!get(&at, target).contains(secret), "{target}");
        }
    }
    daemon.terminate();
}

#[test]
fn others_are_not_served_without_a_token() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    world.set("BACKUPD_LISTEN", "0.0.0.0:0");
    let output = world.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("token"), "{said}");
    token(&world, "viewer");
    let daemon = world.start();
    let at = address(&daemon).replace("0.0.0.0", "127.0.0.1");
    assert_eq!(ask(&at, "GET", "/api/v1/sources", None, "").0, 401);
    daemon.terminate();
}
