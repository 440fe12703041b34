//! PagerDuty's Events API v2 against a real socket.

use std::sync::Arc;

use crate::common::{
    Answer, QuickClock, Server, alert, assert_clean, client, delivery, huge, solved, soon,
};
use backup_core::port::{Alert, Notifier as _, Phase};
use backup_core::{ErrorKind, ErrorStatus, Secret};
use backup_notify::PagerDuty;

const KEY: &str = "R0UT1NGKEY00000000000000000000000";

fn pager(server: &Server, key: &str) -> backup_core::Result<PagerDuty> {
    let clock = Arc::new(QuickClock::default());
    PagerDuty::new(client(), clock, &server.url(), Secret::new(key), delivery())
}

#[tokio::test]
async fn a_problem_opens_an_incident_and_its_end_resolves_that_very_one() {
    let server = Server::start([Answer::Status(202), Answer::Status(202)]).await;
    let pager = pager(&server, KEY).unwrap();
    soon(pager.deliver(&alert())).await.unwrap();
    soon(pager.deliver(&solved())).await.unwrap();
    let [open, end] = server.requests().try_into().unwrap();
    assert_eq!(open.header("content-type").unwrap(), "application/json");
    insta::assert_snapshot!(serde_json::to_string_pretty(&open.json()).unwrap());
    insta::assert_snapshot!(serde_json::to_string_pretty(&end.json()).unwrap());
    assert_eq!(open.json()["dedup_key"], end.json()["dedup_key"]);
}

#[tokio::test]
async fn good_news_that_solves_nothing_wakes_nobody() {
    let server = Server::start([]).await;
    let pager = pager(&server, KEY).unwrap();
    soon(pager.deliver(&Alert { problem: None, phase: Phase::News, ..solved() })).await.unwrap();
    soon(pager.deliver(&Alert { phase: Phase::Started, ..solved() })).await.unwrap();
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn long_alerts_keep_to_the_limits() {
    let server = Server::start([]).await;
    let alert = Alert { problem: Some("p".repeat(400)), ..huge() };
    soon(pager(&server, KEY).unwrap().deliver(&alert)).await.unwrap();
    let value = server.requests()[0].json();
    assert!(server.requests()[0].body.len() < 512_000);
    assert!(value["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
    assert!(value["dedup_key"].as_str().unwrap().len() <= 255);
}

#[tokio::test]
async fn a_refusal_says_why_and_not_the_key() {
    let body = format!("{{\"status\":\"invalid event\",\"errors\":[\"bad key {KEY}\"]}}");
    let server = Server::handling(Arc::new(move |_| Some((400, body.clone())))).await;
    let pager = pager(&server, KEY).unwrap();
    let error = soon(pager.deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert!(error.to_string().contains("invalid event"), "{error}");
    assert_clean(&format!("{error:?} {pager:?}"));
    assert!(!format!("{error} {error:?} {pager:?}").contains(KEY), "{error}");
}

#[tokio::test]
async fn an_empty_key_is_refused_at_once() {
    let server = Server::start([]).await;
    assert_eq!(pager(&server, " ").unwrap_err().kind(), ErrorKind::ConfigInvalid);
}
