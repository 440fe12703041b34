//! Pings against a real socket.

use std::sync::Arc;

use crate::common::{
    Answer, QuickClock, Server, alert, assert_clean, client, delivery, solved, soon,
};
use backup_core::port::{Alert, Notifier as _, Phase};
use backup_core::{Secret, Severity};
use backup_notify::Healthchecks;

fn check(server: &Server, path: &str) -> Healthchecks {
    let clock = Arc::new(QuickClock::default());
    let url = Secret::new(format!("http://127.0.0.1:{}{path}", server.port));
    Healthchecks::new(client(), clock, &url, delivery()).unwrap()
}

fn started() -> Alert {
    Alert { phase: Phase::Started, severity: Severity::Info, facts: Vec::new(), ..alert() }
}

#[tokio::test]
async fn start_success_and_failure_go_where_the_service_expects_them() {
    let server = Server::start([]).await;
    let check = check(&server, "/hunter2-uuid/");
    let failed = Alert { facts: Vec::new(), ..alert() };
    let test = Alert { event: "notify.test".into(), phase: Phase::News, ..alert() };
    for alert in [started(), Alert { phase: Phase::News, ..solved() }, alert(), failed, test] {
        soon(check.deliver(&alert)).await.unwrap();
    }
    let lines: Vec<String> = server.requests().iter().map(|r| r.line().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "POST /hunter2-uuid/start",
            "POST /hunter2-uuid",
            "POST /hunter2-uuid/3",
            "POST /hunter2-uuid/fail",
            "POST /hunter2-uuid/log",
        ]
    );
    let log = &server.requests()[2].body;
    assert!(log.starts_with("Backup of shop failed: <connection refused>\n\nconnect"), "{log}");
    assert_clean(log);
}

#[tokio::test]
async fn every_source_can_have_a_check_of_its_own() {
    let server = Server::start([]).await;
    let check = check(&server, "/key/backup-{source}?create=1");
    soon(check.deliver(&Alert { source: Some("Shop.EU".into()), ..alert() })).await.unwrap();
    soon(check.deliver(&Alert { source: None, ..started() })).await.unwrap();
    assert_eq!(server.requests()[0].line(), "POST /key/backup-shop-eu/3?create=1");
    assert_eq!(server.requests()[1].line(), "POST /key/backup-repository/start?create=1");
}

#[tokio::test]
async fn logs_are_cut_to_what_the_service_keeps_and_failures_stay_secret() {
    let server = Server::start([Answer::Status(404)]).await;
    let check = check(&server, "/hunter2");
    let error = soon(check.deliver(&crate::common::huge())).await.unwrap_err();
    assert!(server.requests()[0].body.len() <= 100_000);
    assert_clean(&format!("{error:?} {check:?} {}", check.name()));
}
