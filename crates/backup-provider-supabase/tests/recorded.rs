//! The control plane against exchanges that were recorded at Supabase: what it asks is what was
//! asked there, and what was answered there is understood.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Clock, CopyFrom, Intent, Platform};
use backup_core::{ErrorKind, Secret};
use backup_provider_supabase::{Address, SupabasePlatform};
use backup_testkit::FakeClock;
use backup_testkit::vendor::supabase::{PROJECT, TOKEN};
use backup_testkit::vendor::{Ask, FakeVendor, Reply, Vendor, provider_apis};
use serde_json::{Value, json};

/// Answers as it was recorded.
struct Replay(BTreeMap<(String, String), (Value, Reply)>);

impl Replay {
    fn load(folder: &Path) -> Self {
        let mut exchanges = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            let Some(start) = name.strip_suffix(".default.request.json") else { continue };
            let read = |path: &str| -> Value {
                let text = std::fs::read_to_string(path).unwrap();
                serde_json::from_str(&text.replace("__PROJECT_REF__", PROJECT)).unwrap()
            };
            let request = read(&name);
            let response = read(&format!("{start}.default.response.json"));
            let mut reply = Reply {
                status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
                headers: Vec::new(),
                body: Some(response["body"].clone()),
            };
            for (name, value) in response["headers"].as_object().unwrap() {
                if name.starts_with("x-ratelimit") {
                    reply = reply.header(name, value.as_str().unwrap());
                }
            }
            let key = ["method", "path"].map(|field| request[field].as_str().unwrap().to_owned());
            let [method, path] = key;
            exchanges.insert((method, path), (request["body"].clone(), reply));
        }
        Self(exchanges)
    }
}

#[async_trait]
impl Vendor for Replay {
    async fn reply(&self, ask: &Ask) -> Reply {
        let Some((body, reply)) = self.0.get(&(ask.method.clone(), ask.path.clone())) else {
            return Reply::json(404, json!({ "message": "not recorded" }));
        };
        // What we send has the fields, and the kinds of values, that Supabase's own client sent.
        let fields = |value: &Value| -> Vec<(String, &'static str)> {
            let kind = |value: &Value| if value.is_i64() { "integer" } else { "other" };
            let object = value.as_object().into_iter().flatten();
            object.map(|(name, value)| (name.clone(), kind(value))).collect()
        };
        let sent = ask.body.clone().unwrap_or(Value::Null);
        if fields(&sent) != fields(body) {
            return Reply::json(422, json!({ "message": "another body was recorded" }));
        }
        reply.clone()
    }
}

#[tokio::test]
async fn what_supabase_answered_is_understood() {
    let Some(folder) = provider_apis().map(|folder| folder.join("supabase.recorded")) else {
        return;
    };
    let served = FakeVendor::start(Arc::new(Replay::load(&folder)), None).await;
    let clock = Arc::new(FakeClock::new("2026-03-02T12:00:00Z".parse().unwrap()));
    let address =
        Address::parse(&format!("postgres://postgres:x@db.{PROJECT}.supabase.co/postgres"))
            .unwrap();
    let platform = SupabasePlatform::new(
        &served.url(),
        Secret::new(TOKEN),
        None,
        address,
        Arc::clone(&clock) as Arc<dyn Clock>,
    )
    .unwrap();
    let facts = platform.facts().await.unwrap();
    assert_eq!(facts.server_major, Some(17));
    assert!(facts.location.contains("cli-e2e-test, us-east-1"), "{}", facts.location);
    let said: String = facts.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    assert!(said.contains("keeps no backup of this project"), "{said}");
    assert!(said.contains("aws-0-us-east-1.pooler.supabase.green:5432"), "{said}");
    for unread in ["add-ons", "backups", "the pooler"] {
        assert!(!said.contains(&format!("{unread} could not be read")), "{said}");
    }
    assert_eq!(platform.rate().unwrap().limit, Some(120));
    assert!(platform.snapshots().await.unwrap().is_empty());
    assert_eq!(platform.window().await.unwrap(), None);
    let at = "2024-02-08T15:44:07Z".parse().unwrap();
    let intent = Intent::RestoreInPlace { from: CopyFrom::At(at), keep_as: String::new() };
    let error = platform.begin(&intent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "by what the list of backups says");
}

/// Had the list of backups said otherwise, the refusal that was recorded (with a status that the
/// schema does not declare) would have been the answer.
#[tokio::test]
async fn a_refusal_of_a_status_that_nobody_declared_is_told_in_supabases_words() {
    let Some(folder) = provider_apis().map(|folder| folder.join("supabase.recorded")) else {
        return;
    };
    let mut replay = Replay::load(&folder);
    let backups = format!("/v1/projects/{PROJECT}/database/backups");
    let (_, reply) = replay.0.get_mut(&("GET".to_owned(), backups)).unwrap();
    let body = reply.body.as_mut().unwrap();
    body["pitr_enabled"] = true.into();
    body["physical_backup_data"] = json!({
        "earliest_physical_backup_date_unix": 1_707_000_000,
        "latest_physical_backup_date_unix": 1_708_000_000,
    });
    let served = FakeVendor::start(Arc::new(replay), None).await;
    let clock = Arc::new(FakeClock::new("2026-03-02T12:00:00Z".parse().unwrap()));
    let address = Address::parse("postgres://postgres:x@127.0.0.1:1/postgres").unwrap();
    let token = Secret::new(TOKEN);
    let platform =
        SupabasePlatform::new(&served.url(), token, Some(PROJECT), address, clock).unwrap();
    let at = "2024-02-08T15:44:07Z".parse().unwrap();
    let intent = Intent::RestoreInPlace { from: CopyFrom::At(at), keep_as: String::new() };
    let error = platform.begin(&intent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("PITR is not enabled for this project."), "{error}");
    assert_eq!(served.count("POST", "restore-pitr"), 1);
}
