//! A scripted HTTP server on a real socket, and a clock that does not wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Phase};
use backup_core::{Secret, Severity};
use backup_notify::Delivery;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(u16),
    With(u16, &'static str, &'static str),
    Hang,
    Close,
}

/// Answers requests by what they ask for: status and body, or nothing and the connection closes.
pub(crate) type Handler = Arc<dyn Fn(&Request) -> Option<(u16, String)> + Send + Sync>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// Returns the body, which is JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Returns method and path.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
    }

    /// Returns a header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::run(answers, None).await
    }

    pub(crate) async fn handling(handler: Handler) -> Self {
        Self::run([], Some(handler)).await
    }

    async fn run(answers: impl IntoIterator<Item = Answer>, handler: Option<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                tokio::spawn(serve(stream, answers, seen, handler.clone()));
            }
        });
        Self { port, requests, task }
    }

    pub(crate) fn url(&self) -> Secret {
        Secret::new(format!("http://127.0.0.1:{}/services/T0/B0/hunter2", self.port))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Request>>>,
    handler: Option<Handler>,
) {
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().push(request.clone());
        if let Some(handler) = &handler {
            let Some((status, body)) = handler(&request) else { return };
            let length = body.len();
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
        let text = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
            Answer::With(status, name, value) => {
                format!("HTTP/1.1 {status} X\r\n{name}: {value}\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::Hang => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
            Answer::Close => return,
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            });
            let length: usize = length.unwrap_or(0);
            let body = end + 4;
            if bytes.len() >= body + length {
                let body = String::from_utf8(bytes[body..body + length].to_vec()).ok()?;
                return Some(Request { head, body });
            }
        }
        let read = stream.read(&mut buffer).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// Notes how long it was asked to wait, lets that time pass at once, and stands still otherwise.
#[derive(Debug, Default)]
pub(crate) struct QuickClock {
    waited: Mutex<Vec<Duration>>,
}

impl QuickClock {
    pub(crate) fn waited(&self) -> Vec<Duration> {
        self.waited.lock().unwrap().clone()
    }
}

pub(crate) const NOW: &str = "2026-03-31T02:00:00Z";

#[async_trait]
impl Clock for QuickClock {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.waited().iter().sum()
    }

    async fn sleep(&self, duration: Duration) {
        self.waited.lock().unwrap().push(duration);
    }
}

/// Talks to loopback whatever proxies the machine has.
pub(crate) fn client() -> reqwest::Client {
    backup_notify::client_builder().unwrap().no_proxy().build().unwrap()
}

pub(crate) fn alert() -> Alert {
    Alert {
        severity: Severity::Critical,
        event: "backup.failed".into(),
        source: Some("shop".into()),
        title: "Backup of shop failed: <connection refused>".into(),
        body: "connect (host: db, user: app): connection refused\n\
               Check that postgres://app:hunter3@db:5432/shop is reachable."
            .into(),
        at: NOW.parse().unwrap(),
        facts: vec![
            ("exit_code".into(), "3".into()),
            ("last_success".into(), "2026-03-30T02:00:00Z".into()),
        ],
        problem: Some("backup/shop".into()),
        phase: Phase::Open,
    }
}

/// The end of [`alert`]'s problem.
pub(crate) fn solved() -> Alert {
    Alert {
        severity: Severity::Info,
        event: "backup.succeeded".into(),
        title: "backup of shop succeeded".into(),
        body: "Snapshot 00112233: 1.0 GiB read.".into(),
        phase: Phase::Solved,
        ..alert()
    }
}

/// An alert larger than anybody takes.
pub(crate) fn huge() -> Alert {
    Alert {
        title: "t*".repeat(5_000),
        body: "a line with *markup* and ünicode 😀\n".repeat(20_000),
        facts: (0..40).map(|i| (format!("fact {i}"), "v_".repeat(3_000))).collect(),
        ..alert()
    }
}

/// Returns a delivery whose attempts are short.
pub(crate) fn delivery() -> Delivery {
    Delivery { timeout: Duration::from_millis(300), ..Delivery::default() }
}

/// Fails if a secret of these tests shows in what people see.
pub(crate) fn assert_clean(shown: &str) {
    for secret in ["hunter2", "hunter3", "services/T0"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Runs a check that must end soon, so that a hang is a failure and not a stuck test.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = tokio::time::timeout(Duration::from_secs(20), work).await;
    result.unwrap_or_else(|_| panic!("still busy after {:?}", start.elapsed()))
}
