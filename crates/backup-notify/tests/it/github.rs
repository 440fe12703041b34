//! Issues against a server that remembers them, as GitHub does, and loses answers on demand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{
    QuickClock, Request, Server, alert, assert_clean, client, delivery, solved, soon,
};
use backup_core::port::{Alert, Notifier as _, Phase};
use backup_core::{ErrorKind, Secret};
use backup_notify::Github;
use serde_json::{Value, json};

const TOKEN: &str = "hunter2-token";

#[derive(Debug, Default)]
struct Tracker {
    issues: Mutex<Vec<Value>>,
    comments: Mutex<Vec<(usize, Value)>>,
    /// Writes whose answer is lost after they took effect.
    lost: AtomicUsize,
}

impl Tracker {
    fn answer(&self, request: &Request) -> Option<(u16, String)> {
        assert_eq!(request.header("authorization").unwrap(), format!("Bearer {TOKEN}"));
        assert_eq!(request.header("accept").unwrap(), "application/vnd.github+json");
        assert_eq!(request.header("x-github-api-version").unwrap(), "2022-11-28");
        let (method, target) = request.line().split_once(' ').unwrap();
        let path = target.split('?').next().unwrap();
        let rest: Vec<&str> =
            path.strip_prefix("/api/v3/repos/acme/ops/issues").unwrap().split('/').collect();
        let number = rest.get(1).map(|text| text.parse::<usize>().unwrap());
        let answer = match (method, number, rest.get(2).copied()) {
            ("GET", None, None) => {
                assert!(target.contains("state=open&sort=updated&direction=desc&per_page=100"));
                let page: usize = target.rsplit_once("page=").unwrap().1.parse().unwrap();
                let issues = self.issues.lock().unwrap();
                let open = issues.iter().filter(|issue| issue["state"] == "open").rev();
                json!(open.skip((page - 1) * 100).take(100).collect::<Vec<_>>())
            }
            ("GET", Some(number), Some("comments")) => {
                assert!(target.contains("since=2026-03-31T01%3A00%3A0"), "{target}");
                let all = self.comments.lock().unwrap();
                json!(
                    all.iter().filter(|(of, _)| *of == number).map(|(_, c)| c).collect::<Vec<_>>()
                )
            }
            ("POST", None, None) => {
                let mut issues = self.issues.lock().unwrap();
                let mut issue = request.json();
                issue["number"] = json!(issues.len() + 1);
                issue["state"] = json!("open");
                issues.push(issue.clone());
                issue
            }
            ("POST", Some(number), Some("comments")) => {
                self.comments.lock().unwrap().push((number, request.json()));
                json!({})
            }
            ("PATCH", Some(number), None) => {
                assert_eq!(request.json()["state_reason"], "completed");
                self.issues.lock().unwrap()[number - 1]["state"] = request.json()["state"].clone();
                json!({})
            }
            other => panic!("unexpected {other:?}"),
        };
        let write = method != "GET";
        let lose = write
            && self
                .lost
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok();
        (!lose).then(|| (200, answer.to_string()))
    }

    fn issues(&self) -> Vec<Value> {
        self.issues.lock().unwrap().clone()
    }

    fn comments(&self) -> usize {
        self.comments.lock().unwrap().len()
    }
}

async fn server(tracker: &Arc<Tracker>) -> Server {
    let tracker = Arc::clone(tracker);
    Server::handling(Arc::new(move |request| tracker.answer(request))).await
}

fn github(server: &Server, repository: &str) -> backup_core::Result<Github> {
    let clock = Arc::new(QuickClock::default());
    let url = Secret::new(format!("http://127.0.0.1:{}/api/v3/", server.port));
    Github::new(client(), clock, &url, repository, Secret::new(TOKEN), delivery())
}

fn reminder() -> Alert {
    let at = "2026-03-31T02:00:01Z".parse().unwrap();
    Alert { phase: Phase::Reminder, at, ..alert() }
}

#[tokio::test]
async fn a_problem_is_one_issue_reminders_are_comments_and_its_end_closes_it() {
    let tracker = Arc::new(Tracker::default());
    let server = server(&tracker).await;
    let github = github(&server, "acme/ops").unwrap();
    soon(github.deliver(&alert())).await.unwrap();
    soon(github.deliver(&reminder())).await.unwrap();
    let [issue] = tracker.issues().try_into().unwrap();
    assert_eq!(issue["title"], "[CRITICAL] Backup of shop failed: <connection refused>");
    insta::assert_snapshot!(issue["body"].as_str().unwrap());
    assert_eq!((tracker.comments(), &issue["state"]), (1, &json!("open")));
    soon(github.deliver(&solved())).await.unwrap();
    assert_eq!(tracker.issues()[0]["state"], "closed");
    assert_eq!(tracker.comments(), 2);
    soon(github.deliver(&alert())).await.unwrap();
    assert_eq!(tracker.issues().len(), 2, "a problem that comes back is a new issue");
}

#[tokio::test]
async fn lost_answers_make_no_duplicates() {
    let tracker = Arc::new(Tracker::default());
    let server = server(&tracker).await;
    let github = github(&server, "acme/ops").unwrap();
    for alert in [alert(), reminder(), solved()] {
        tracker.lost.store(2, Ordering::SeqCst);
        soon(github.deliver(&alert)).await.unwrap();
        tracker.lost.store(0, Ordering::SeqCst);
        soon(github.deliver(&alert)).await.unwrap();
    }
    assert_eq!(tracker.issues().len(), 1);
    assert_eq!(tracker.comments(), 2);
    assert_eq!(tracker.issues()[0]["state"], "closed");
}

#[tokio::test]
async fn the_issue_is_found_on_later_pages_and_never_mistaken_for_a_pull_request() {
    let tracker = Arc::new(Tracker::default());
    let server = server(&tracker).await;
    let github = github(&server, "acme/ops").unwrap();
    soon(github.deliver(&alert())).await.unwrap();
    {
        let mut issues = tracker.issues.lock().unwrap();
        let body = issues[0]["body"].clone();
        issues.push(json!({"number": 2, "state": "open", "body": body, "pull_request": {}}));
        issues.extend((3..150).map(|n| json!({"number": n, "state": "open", "body": null})));
    }
    soon(github.deliver(&reminder())).await.unwrap();
    assert_eq!(tracker.issues().len(), 149);
    assert_eq!(tracker.comments.lock().unwrap()[0].0, 1);
}

#[tokio::test]
async fn good_news_without_an_issue_writes_nothing() {
    let tracker = Arc::new(Tracker::default());
    let server = server(&tracker).await;
    let github = github(&server, "acme/ops").unwrap();
    soon(github.deliver(&Alert { phase: Phase::News, ..solved() })).await.unwrap();
    assert!(tracker.issues().is_empty());
    soon(github.deliver(&Alert { problem: None, phase: Phase::News, ..solved() })).await.unwrap();
    assert_eq!(server.requests().len(), 1, "without a problem there is nothing to look for");
}

#[tokio::test]
async fn a_spent_rate_limit_is_waited_for_and_the_token_stays_secret() {
    let server = Server::start([crate::common::Answer::With(403, "retry-after", "3600")]).await;
    let github = github(&server, "acme/ops").unwrap();
    let error = soon(github.deliver(&alert())).await.unwrap_err();
    assert_eq!(error.status(), backup_core::ErrorStatus::Persistent);
    assert_clean(&format!("{error:?} {github:?}"));
    for repository in ["acme", "acme/", "a b/c", "acme/ops/x", "../x"] {
        let refused = self::github(&server, repository);
        let refused = refused.map(|_| repository).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConfigInvalid, "{repository}");
    }
}
