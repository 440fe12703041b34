//! What is repeated, and what never is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::Clock;
use backup_core::{ErrorKind, ErrorStatus, Secret};
use backup_http::{Api, ApiError, Auth, Fate, Method, Rules, create_or_adopt};
use backup_testkit::FakeClock;
use backup_testkit::vendor::{Ask, FakeVendor, Reply, Trouble, Upset, Vendor};
use serde_json::{Value, json};

const TOKEN: &str = "tok_0123456789";

/// Keeps the names that are posted.
#[derive(Default)]
struct Names(Mutex<Vec<String>>);

#[async_trait]
impl Vendor for Names {
    async fn reply(&self, ask: &Ask) -> Reply {
        let mut names = self.0.lock().unwrap();
        match (ask.method.as_str(), ask.text("/name")) {
            ("POST", Some(name)) => {
                names.push(name.to_owned());
                Reply::json(201, json!({ "name": name }))
            }
            ("GET", _) => {
                Reply::ok(json!({ "names": *names, "auth": ask.headers.get("authorization") }))
            }
            ("DELETE", _) => Reply::empty(204),
            _ => Reply::json(
                400,
                json!({ "message": format!("no name, and not {TOKEN} nor postgres://a:pw@h/d") }),
            ),
        }
    }
}

async fn world() -> (FakeVendor, Api, Arc<FakeClock>) {
    let vendor = FakeVendor::start(Arc::new(Names::default()), None).await;
    let clock = Arc::new(FakeClock::default());
    let api = Api::new(
        Rules::new("Names"),
        &vendor.url(),
        Auth::Bearer(Secret::new(TOKEN)),
        clock.clone(),
    );
    (vendor, api.unwrap(), clock)
}

async fn names(api: &Api) -> Result<Vec<String>, ApiError> {
    let found: Value = api.get("list names", &["names"]).send().await?;
    Ok(found["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect())
}

async fn post(api: &Api, name: &str) -> Result<Value, ApiError> {
    api.post("add name", &["names"]).json(&json!({ "name": name })).send().await
}

#[tokio::test]
async fn reads_are_repeated_whatever_happens_and_changes_only_when_they_did_not_happen() {
    for (upset, repeated) in [
        (Upset::Throttled(Some(7)), true),
        (Upset::Busy, true),
        (Upset::Fails(500), false),
        (Upset::FailsAfter(502), false),
        (Upset::LosesAnswer, false),
        (Upset::LosesRequest, false),
        (Upset::Page(502), false),
        (Upset::Fails(422), false),
    ] {
        let (vendor, api, _) = world().await;
        if upset != Upset::Fails(422) {
            vendor.trouble(Trouble::new(upset).method("GET"));
            assert_eq!(names(&api).await.unwrap(), Vec::<String>::new(), "{upset:?}");
            assert_eq!(vendor.count("GET", ""), 2, "{upset:?}");
        }
        vendor.trouble(Trouble::new(upset).method("POST"));
        let posted = post(&api, "a").await;
        assert_eq!(posted.is_ok(), repeated, "{upset:?}: {posted:?}");
        assert_eq!(vendor.count("POST", ""), if repeated { 2 } else { 1 }, "{upset:?}");
        if let Err(error) = posted {
            let unknown = error.fate() == Fate::Unknown;
            assert_eq!(unknown, upset != Upset::Fails(422), "{upset:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn one_thing_is_made_whether_its_answer_is_lost_or_never_was() {
    for upset in
        [Upset::LosesAnswer, Upset::LosesRequest, Upset::Fails(500), Upset::FailsAfter(500)]
    {
        let (vendor, api, _) = world().await;
        vendor.trouble(Trouble::new(upset).method("POST"));
        let find = || async { Ok(names(&api).await?.into_iter().find(|name| name == "a")) };
        let create = || async {
            post(&api, "a").await.map(|made| made["name"].as_str().unwrap().to_owned())
        };
        assert_eq!(create_or_adopt(&api, find, create).await.unwrap(), "a", "{upset:?}");
        assert_eq!(create_or_adopt(&api, find, create).await.unwrap(), "a", "{upset:?}");
        assert_eq!(names(&api).await.unwrap(), ["a"], "{upset:?}");
    }
}

#[tokio::test]
async fn patience_ends_and_says_what_was_tried() {
    let (vendor, api, clock) = world().await;
    vendor.trouble(Trouble::new(Upset::Fails(503)).times(99));
    let error = backup_core::Error::from(names(&api).await.unwrap_err());
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::SourceUnavailable, ErrorStatus::Persistent)
    );
    let text = error.to_string();
    for part in ["list names", "provider: Names", "status: 503", "attempts: 5", "on purpose"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(error.remedy().unwrap().contains("out of order"));
    vendor.calm();
    vendor.trouble(Trouble::new(Upset::Throttled(Some(3_600))));
    let before = clock.slept();
    assert_eq!(names(&api).await.unwrap_err().status(), Some(429));
    assert_eq!(clock.slept(), before, "an hour is not waited");
}

#[tokio::test]
async fn busy_is_waited_for_longer_than_errors() {
    let (vendor, api, clock) = world().await;
    vendor.trouble(Trouble::new(Upset::Busy).times(30));
    post(&api, "a").await.unwrap();
    assert!(clock.elapsed() > Duration::from_secs(60));
}

#[tokio::test]
async fn the_token_goes_to_the_vendor_and_nowhere_else() {
    let (_vendor, api, _) = world().await;
    let found: Value = api.get("list names", &["names"]).send().await.unwrap();
    assert_eq!(found["auth"], format!("Bearer {TOKEN}"));
    let refused =
        api.call(Method::PATCH, "change name", &["names", "a/b"]).send_unit().await.unwrap_err();
    let mut shown = format!("{api:?} {refused:?} {refused}");
    shown.push_str(&format!(" {:?}", backup_core::Error::from(refused)));
    assert!(shown.contains("***") && !shown.contains(TOKEN) && !shown.contains(":pw@"), "{shown}");
    api.delete("drop name", &["names", "a"]).send_unit().await.unwrap();
}

#[test]
fn a_token_is_never_sent_unencrypted() {
    let api = |base: &str, token: &str| {
        let token = Auth::Plain(Secret::new(token));
        Api::new(Rules::new("Names"), base, token, Arc::new(FakeClock::default())).map(|_| ())
    };
    for (base, token) in [
        ("http://api.example.com", TOKEN),
        ("ftp://127.0.0.1", TOKEN),
        ("names", TOKEN),
        ("https://a.example", " "),
        ("https://a.example", "a\nb"),
    ] {
        assert_eq!(
            api(base, token).unwrap_err().kind(),
            ErrorKind::ConfigInvalid,
            "{base} {token:?}"
        );
    }
    assert!(api("http://127.0.0.1:1", TOKEN).is_ok() && api("http://[::1]:1", TOKEN).is_ok());
}
