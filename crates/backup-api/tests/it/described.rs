//! The description and the handlers say the same.

use std::collections::BTreeSet;

use backup_api::port::Role;
use serde_json::{Value, json};

use crate::schema::check;
use crate::serve::{Served, loopback};

/// What to put where a path has a name, and what to send.
fn example(path: &str, method: &str, snapshot: &str, token: &str) -> (String, Value) {
    let job = if method == "post" && path.contains("{source}") { "ledger" } else { "orders" };
    let run = if method == "post" { "run-catalog-now" } else { "run-legacy-crm-failed0" };
    let target = path
        .replace("{source}", job)
        .replace("{run}", run)
        .replace("{snapshot}", snapshot)
        .replace("{token}", token);
    let body = match path {
        "/api/v1/sources/{source}/runs" => json!({ "job": "backup" }),
        "/api/v1/restore-preview" => json!({ "snapshot": "orders@latest" }),
        "/api/v1/tokens" => json!({ "name": "ci", "role": "viewer", "expires_at": null }),
        _ => Value::Null,
    };
    (target, body)
}

#[tokio::test]
async fn every_documented_operation_answers_as_documented() {
    let served = Served::new(loopback()).await;
    let admin = served.token(Role::Admin).await;
    let document = served.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let page = served.with(&admin, "GET", "/api/v1/snapshots?limit=1", "").await.json();
    let snapshot = page["snapshots"][0]["id"].as_str().unwrap().to_owned();
    let spare = served.token(Role::Viewer).await;
    let spare = spare.split('_').nth(1).unwrap();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["operationId"] == "events" {
                continue;
            }
            let (target, body) = example(path, method, &snapshot, spare);
            let text = if body.is_null() { String::new() } else { body.to_string() };
            if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema")
            {
                assert!(body.is_object(), "an example for {path}");
                // What is asked follows its schema's reference.
                let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                let known = &document["components"]["schemas"][name]["properties"];
                let names: BTreeSet<_> = known.as_object().unwrap().keys().collect();
                assert!(body.as_object().unwrap().keys().all(|key| names.contains(key)));
            }
            let heard = served.with(&admin, &method.to_uppercase(), &target, &text).await;
            let response = &operation["responses"][heard.status.to_string()];
            assert!(response.is_object(), "{method} {target}: {heard:?}");
            match response["content"].as_object() {
                None => assert_eq!(heard.body, "", "{target}"),
                Some(content) => {
                    let (media, described) = content.iter().next().unwrap();
                    assert_eq!(&heard.headers["content-type"], media, "{target}");
                    if media == "application/json" {
                        let wrong = check(&document, &described["schema"], &heard.json());
                        assert_eq!(wrong, Vec::<String>::new(), "{method} {target}");
                    }
                }
            }
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
    served.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_described_too() {
    let served = Served::new(loopback()).await;
    let admin = served.token(Role::Admin).await;
    let document = served.get("/api/v1/openapi.json").await.json();
    let problem = "#/components/schemas/ProblemDocument";
    let schema = json!({ "$ref": problem });
    let zeros = format!("/api/v1/snapshots/{}", "0".repeat(32));
    let asked = [
        ("GET", "/api/v1/sources/nowhere", "", 404),
        ("GET", zeros.as_str(), "", 404),
        ("GET", "/api/v1/snapshots/xyz", "", 400),
        ("GET", "/api/v1/sources/..%2Fetc", "", 400),
        ("GET", "/api/v1/runs?limit=1001", "", 400),
        ("GET", "/api/v1/runs?limit=-1", "", 400),
        ("GET", "/api/v1/runs?limit=1&limit=2", "", 400),
        ("GET", "/api/v1/runs?state=sleeping", "", 400),
        ("GET", "/api/v1/runs?color=red", "", 400),
        ("GET", "/api/v1/runs?source=%ff", "", 400),
        ("GET", "/api/v1/nothing", "", 404),
        ("PUT", "/api/v1/runs", "", 405),
        ("POST", "/api/v1/runs/run-orders-none/cancel", "", 404),
        ("POST", "/api/v1/runs/run-legacy-crm-failed0/cancel", "", 409),
        ("POST", "/api/v1/sources/nowhere/runs", "{\"job\":\"backup\"}", 404),
        ("POST", "/api/v1/sources/orders/runs", "{\"job\":\"nap\"}", 400),
        ("POST", "/api/v1/sources/orders/runs", "{\"job\":\"backup\",\"x\":1}", 400),
        ("POST", "/api/v1/sources/orders/runs", "{", 400),
        ("POST", "/api/v1/tokens", "{\"name\":\"<b>\",\"role\":\"viewer\"}", 400),
        ("POST", "/api/v1/restore-preview", "{\"snapshot\":\"nope\"}", 404),
        ("DELETE", "/api/v1/tokens/none", "", 404),
    ];
    for (method, target, body, status) in asked {
        let heard = served.with(&admin, method, target, body).await;
        assert_eq!(heard.status, status, "{method} {target}: {heard:?}");
        assert_eq!(heard.headers["content-type"], "application/problem+json");
        assert_eq!(check(&document, &schema, &heard.json()), Vec::<String>::new(), "{target}");
        assert_eq!(heard.json()["status"], status);
    }
    let plain = served
        .ask(
            "POST",
            "/api/v1/sources/orders/runs",
            &[&format!("Authorization: Bearer {admin}")],
            "{\"job\":\"backup\"}",
        )
        .await;
    assert_eq!(plain.status, 415);
    served.stop().await;
}

#[tokio::test]
async fn status_has_the_shape_that_dashboards_read() {
    let served = Served::new(loopback()).await;
    let status = served.get("/api/backup/status").await.json();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&status), ["backup", "groups", "sources", "timestamp"]);
    let backup = &status["backup"];
    let mut known = names(backup);
    known.sort();
    assert_eq!(
        known,
        [
            "diskUsage",
            "enabled",
            "lastBackup",
            "lastBackupSuccess",
            "lastError",
            "nextBackup",
            "totalBackups"
        ]
    );
    assert_eq!(names(&backup["diskUsage"]), ["available", "total", "used"]);
    assert_eq!(backup["enabled"], true);
    let sum: u64 = status["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["totalBackups"].as_u64().unwrap())
        .sum();
    assert_eq!(backup["totalBackups"], sum);
    let crm =
        status["sources"].as_array().unwrap().iter().find(|s| s["name"] == "legacy-crm").unwrap();
    assert_eq!(crm["lastBackupSuccess"], false);
    assert_eq!(crm["protected"], false);
    assert!(crm["lastError"].as_str().unwrap().contains("refused"));
    served.stop().await;
}

#[tokio::test]
async fn only_strict_health_says_503_and_only_while_something_is_not_protected() {
    let served = Served::new(loopback()).await;
    assert_eq!(served.get("/health").await.status, 200);
    assert_eq!(served.get("/health/detailed").await.status, 200);
    let relaxed = served.get("/health/backups").await;
    assert_eq!((relaxed.status, &relaxed.json()["protected"]), (200, &json!(false)));
    assert_eq!(served.get("/health/backups?strict").await.status, 503);
    assert_eq!(served.get("/health/backups?strict=false").await.status, 200);
    assert_eq!(served.get("/api/backup/status").await.status, 200);
    served.world.change_fleet(|fleet| {
        fleet.sources.retain(|source| source.state == backup_api::view::State::Protected);
    });
    assert_eq!(served.get("/health/backups?strict").await.status, 200);
    served.world.change_fleet(|fleet| fleet.sources.clear());
    assert_eq!(served.get("/health/backups?strict").await.status, 503, "nothing is not protected");
    served.stop().await;
}
