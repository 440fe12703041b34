//! Webhooks against a real socket.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Answer, QuickClock, Server, alert, assert_clean, client, delivery, soon};
use backup_core::port::Notifier as _;
use backup_core::{ErrorKind, ErrorStatus, Secret};
use backup_notify::{Delivery, Template, Webhook, verify_signature};

fn webhook(server: &Server, clock: &Arc<QuickClock>) -> Webhook {
    let signing = Some(Secret::new("shared"));
    let clock = Arc::clone(clock);
    Webhook::new(client(), clock, &server.url(), signing, delivery()).unwrap()
}

fn seconds(all: &[u64]) -> Vec<Duration> {
    all.iter().copied().map(Duration::from_secs).collect()
}

#[tokio::test]
async fn sends_the_documented_body_signed() {
    let server = Server::start([]).await;
    let webhook = webhook(&server, &Arc::default());
    soon(webhook.deliver(&alert())).await.unwrap();
    let [request] = server.requests().try_into().unwrap();
    assert!(request.head.starts_with("POST /services/T0/B0/hunter2 "));
    let header = |name: &str| request.header(name).unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-backup-timestamp"), "1774922400");
    assert!(verify_signature(
        &Secret::new("shared"),
        "1774922400",
        request.body.as_bytes(),
        &header("x-backup-signature")
    ));
    let value: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[tokio::test]
async fn an_unsigned_webhook_has_no_signature() {
    let server = Server::start([]).await;
    let clock = Arc::new(QuickClock::default());
    let webhook = Webhook::new(client(), clock, &server.url(), None, delivery()).unwrap();
    soon(webhook.deliver(&alert())).await.unwrap();
    assert_eq!(server.requests()[0].header("x-backup-signature"), None);
}

#[tokio::test]
async fn retries_errors_of_the_server_with_growing_pauses() {
    let answers = [Answer::Status(500), Answer::Close, Answer::Status(503), Answer::Status(204)];
    let server = Server::start(answers).await;
    let clock = Arc::new(QuickClock::default());
    soon(webhook(&server, &clock).deliver(&alert())).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(clock.waited(), seconds(&[1, 2, 4]));
    let ids: Vec<_> = requests.iter().map(|r| r.header("x-backup-delivery").unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn obeys_retry_after_in_seconds_and_as_a_date() {
    let answers = [
        Answer::With(429, "retry-after", "7"),
        Answer::With(503, "retry-after", "Tue, 31 Mar 2026 02:00:09 GMT"),
    ];
    let server = Server::start(answers).await;
    let clock = Arc::new(QuickClock::default());
    soon(webhook(&server, &clock).deliver(&alert())).await.unwrap();
    assert_eq!(clock.waited(), seconds(&[7, 9]));
}

#[tokio::test]
async fn gives_up_on_a_destination_that_wants_hours() {
    let server = Server::start([Answer::With(429, "retry-after", "7200")]).await;
    let clock = Arc::new(QuickClock::default());
    let error = soon(webhook(&server, &clock).deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Persistent);
    assert!(clock.waited().is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_destination_that_hangs_is_given_up_in_time() {
    let server = Server::start([Answer::Hang; 4]).await;
    let clock = Arc::new(QuickClock::default());
    let error = soon(webhook(&server, &clock).deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Persistent);
    assert_eq!(server.requests().len(), 4);
    let shown = format!("{error:?}");
    assert!(shown.contains("timeout_seconds: 0.3"), "{shown}");
    assert_clean(&shown);
}

#[tokio::test]
async fn redirects_are_refused() {
    let elsewhere = Server::start([]).await;
    let location = format!("http://127.0.0.1:{}/", elsewhere.port).leak();
    let server = Server::start([Answer::With(302, "location", location)]).await;
    let error = soon(webhook(&server, &Arc::default()).deliver(&alert())).await.unwrap_err();
    assert!(error.remedy().unwrap().contains("redirects"), "{error:?}");
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_url_fails_once_and_stays_secret() {
    let server = Server::start([Answer::Status(404)]).await;
    let clock = Arc::new(QuickClock::default());
    let webhook = webhook(&server, &clock);
    let error = soon(webhook.deliver(&alert())).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    assert!(error.to_string().contains("status: 404"), "{error}");
    for shown in [format!("{error:?}"), format!("{webhook:?}"), webhook.name()] {
        assert_clean(&shown);
        assert!(!shown.contains("shared"), "{shown}");
    }
}

#[tokio::test]
async fn nobody_listening_is_an_error_without_the_url() {
    let server = Server::start([]).await;
    let url = server.url();
    drop(server);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let clock = Arc::new(QuickClock::default());
    let delivery = Delivery { attempts: 2, ..delivery() };
    let webhook = Webhook::new(client(), clock.clone(), &url, None, delivery).unwrap();
    let error = soon(webhook.deliver(&alert())).await.unwrap_err();
    assert_eq!(clock.waited(), seconds(&[1]));
    assert_clean(&format!("{error:?}"));
}

#[test]
fn unusable_settings_are_refused_without_repeating_them() {
    let clock = Arc::new(QuickClock::default());
    for url in ["hunter2", "ftp://h/hunter2", "file:///hunter2", ""] {
        let url = Secret::new(url);
        let error = Webhook::new(client(), clock.clone(), &url, None, delivery()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_clean(&format!("{error:?}"));
    }
    let url = Secret::new("https://example.com/");
    let empty = Some(Secret::new(""));
    assert!(Webhook::new(client(), clock, &url, empty, delivery()).is_err());
}

#[tokio::test]
async fn a_body_that_quotes_secrets_is_cleaned() {
    let server = Server::start([]).await;
    let mut alert = alert();
    alert.body = format!("posting to {} with shared failed", server.url().expose());
    alert.facts.push(("url".into(), "postgres://a:hunter3@h/d".into()));
    soon(webhook(&server, &Arc::default()).deliver(&alert)).await.unwrap();
    let body = &server.requests()[0].body;
    assert_clean(body);
    assert!(body.contains("posting to *** with *** failed"), "{body}");
}

#[tokio::test]
async fn a_template_shapes_the_body_and_the_signature_covers_it() {
    let server = Server::start([]).await;
    let template = Template::parse(
        r#"{"msgtype": "text", "text": {"content": "{{headline}}\n{{body}}"}, "code": "{{facts.exit_code}}"}"#,
    );
    let webhook = webhook(&server, &Arc::default()).templated(template.unwrap());
    soon(webhook.deliver(&alert())).await.unwrap();
    let [request] = server.requests().try_into().unwrap();
    let header = |name: &str| request.header(name).unwrap();
    let (timestamp, signature) = (header("x-backup-timestamp"), header("x-backup-signature"));
    let body = request.body.as_bytes();
    assert!(verify_signature(&Secret::new("shared"), &timestamp, body, &signature));
    assert_clean(&request.body);
    let value = request.json();
    assert_eq!(value["code"], "3");
    let content = value["text"]["content"].as_str().unwrap();
    assert!(content.starts_with("[CRITICAL] Backup of shop failed: <connection refused>\nconnect"));
}
