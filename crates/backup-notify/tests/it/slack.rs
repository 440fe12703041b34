//! Slack's webhooks against a real socket.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Answer, NOW, QuickClock, Server, alert, assert_clean, client, delivery, soon};
use backup_core::port::{Alert, Notifier as _, Phase};
use backup_core::{ErrorStatus, Severity};
use backup_notify::Slack;
use serde_json::Value;

fn slack(server: &Server, clock: &Arc<QuickClock>) -> Slack {
    Slack::new(client(), Arc::clone(clock) as _, &server.url(), delivery()).unwrap()
}

async fn sent(alert: &Alert) -> Value {
    let server = Server::start([]).await;
    soon(slack(&server, &Arc::default()).deliver(alert)).await.unwrap();
    serde_json::from_str(&server.requests()[0].body).unwrap()
}

#[tokio::test]
async fn a_failure_as_slack_gets_it() {
    let value = sent(&alert()).await;
    assert_clean(&value.to_string());
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[tokio::test]
async fn a_success_without_source_body_or_facts() {
    let value = sent(&Alert {
        severity: Severity::Info,
        event: "notify.test".into(),
        source: None,
        title: "It works".into(),
        body: String::new(),
        at: NOW.parse().unwrap(),
        facts: Vec::new(),
        problem: None,
        phase: Phase::News,
    })
    .await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[tokio::test]
async fn long_alerts_keep_to_slacks_limits() {
    let mut alert = alert();
    alert.title = "t".repeat(5_000);
    alert.body = "a line of an error message\n".repeat(2_000);
    alert.facts = (0..40).map(|i| (format!("fact {i}"), "v".repeat(3_000))).collect();
    let value = sent(&alert).await;
    let units = |text: &Value| text["text"].as_str().unwrap().encode_utf16().count();
    assert!(units(&value) <= 3_000);
    let blocks = value["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => assert!(units(&block["text"]) <= 150),
            "section" if block["text"].is_object() => assert!(units(&block["text"]) <= 3_000),
            "section" => {
                let fields = block["fields"].as_array().unwrap();
                assert!(fields.len() <= 10 && fields.iter().all(|f| units(f) <= 2_000));
            }
            "context" => assert!(block["elements"].as_array().unwrap().len() <= 10),
            other => panic!("unexpected block {other}"),
        }
    }
    let body: Vec<&str> = blocks.iter().filter_map(|b| b["text"]["text"].as_str()).collect();
    assert!(body.last().unwrap().ends_with("more characters"), "{body:?}");
}

#[tokio::test]
async fn messages_are_a_second_apart() {
    let server = Server::start([]).await;
    let clock = Arc::new(QuickClock::default());
    let slack = slack(&server, &clock);
    let alert = alert();
    let (a, b, c) = soon(async {
        tokio::join!(slack.deliver(&alert), slack.deliver(&alert), slack.deliver(&alert))
    })
    .await;
    assert!(a.and(b).and(c).is_ok());
    assert_eq!(clock.waited(), [Duration::from_secs(1); 2]);
}

#[tokio::test]
async fn obeys_slacks_wish_to_wait() {
    let server = Server::start([Answer::With(429, "Retry-After", "30")]).await;
    let clock = Arc::new(QuickClock::default());
    soon(slack(&server, &clock).deliver(&alert())).await.unwrap();
    assert_eq!(clock.waited(), [Duration::from_secs(30)]);
}

#[tokio::test]
async fn a_revoked_webhook_fails_once_and_stays_secret() {
    let server = Server::start([Answer::Status(410)]).await;
    let slack = slack(&server, &Arc::default());
    let error = soon(slack.deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert_eq!(server.requests().len(), 1);
    assert_clean(&format!("{error:?} {slack:?}"));
    assert_eq!(slack.name(), "slack");
}
