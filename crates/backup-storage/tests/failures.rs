//! The S3 adapter against a server that misbehaves.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backup_core::port::{Observer, Store};
use backup_core::{Error, ErrorKind, ErrorStatus, Event};
use backup_storage::{CreateIfAbsent, Retry, StoreOptions, open};
use backup_testkit::conformance;
use bytes::Bytes;
use common::{Behaviour, FakeS3, SECRET_KEY, name, options};
use futures::TryStreamExt;

async fn started() -> (FakeS3, Arc<dyn Store>) {
    let server = FakeS3::start().await;
    let store = open(&server.url(), &options()).await.unwrap();
    (server, store)
}

async fn list(store: &Arc<dyn Store>) -> backup_core::Result<usize> {
    let objects: Vec<_> = store.list("").await?.try_collect().await?;
    Ok(objects.len())
}

fn assert_final(error: &Error, status: ErrorStatus, words: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
    assert_eq!(error.status(), status, "{error:?}");
    let shown = format!("{error:?}");
    for word in words {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    assert!(!shown.contains(SECRET_KEY), "{shown}");
    assert!(!shown.contains("Parts {"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_keeps_the_contract_while_it_behaves() {
    let (_server, store) = started().await;
    conformance::store(store).await;
}

#[tokio::test]
async fn writes_carry_a_condition_and_a_checksum() {
    let (server, store) = started().await;
    store.create(&name("a"), "body".into()).await.unwrap();
    let headers = server.requests().pop().unwrap().headers;
    assert_eq!(headers.get("if-none-match").unwrap(), "*");
    assert_eq!(headers.get("content-md5").unwrap(), "hBotaJrYa9FhFEdFPCLG/A==");
    assert_eq!(headers.get("content-length").unwrap(), "4");
    let store = open(&format!("{}&checksum=crc32c", server.url()), &options()).await.unwrap();
    store.create(&name("b"), "body".into()).await.unwrap();
    assert!(server.requests().pop().unwrap().headers.contains_key("x-amz-checksum-crc32c"));
    assert_eq!(server.requests().len(), 2, "one request per write");
}

#[tokio::test]
async fn reads_are_one_request() {
    let (server, store) = started().await;
    store.create(&name("a"), "0123456789".into()).await.unwrap();
    store.get(&name("a")).await.unwrap();
    store.get_range(&name("a"), 2..5).await.unwrap();
    store.stat(&name("a")).await.unwrap();
    let methods: Vec<_> = server.requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["PUT", "GET", "GET", "HEAD"]);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let (server, store) = started().await;
    store.create(&name("a"), "body".into()).await.unwrap();
    for behaviour in [
        Behaviour::Refuse(500, "InternalError"),
        Behaviour::Refuse(503, "SlowDown"),
        Behaviour::Refuse(429, "TooManyRequests"),
        Behaviour::Refuse(400, "RequestTimeout"),
        Behaviour::Raw("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops".to_owned()),
        Behaviour::Drop,
        Behaviour::Short(2),
    ] {
        server.next("GET", behaviour.clone());
        assert_eq!(store.get(&name("a")).await.unwrap(), "body", "{behaviour:?}");
        server.next("GET", behaviour.clone());
        assert_eq!(store.get_range(&name("a"), 1..3).await.unwrap(), "od", "{behaviour:?}");
        server.next("GET", behaviour.clone());
        assert_eq!(list(&store).await.unwrap(), 1, "{behaviour:?}");
    }
    for behaviour in [
        Behaviour::Refuse(503, "SlowDown"),
        Behaviour::Refuse(409, "ConditionalRequestConflict"),
        Behaviour::Drop,
    ] {
        server.next("PUT", behaviour.clone());
        let object = name(&format!("new/{}", server.requests().len()));
        store.create(&object, "body".into()).await.unwrap();
        server.next("DELETE", behaviour);
        store.delete(&object).await.unwrap();
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again() {
    let (server, store) = started().await;
    for (status, code, word) in [
        (403, "AccessDenied", "s3:ListBucket"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (404, "NoSuchBucket", "Create the bucket"),
        (301, "PermanentRedirect", "region"),
        (403, "InvalidObjectState", "archive"),
        (507, "XMinioStorageFull", "full"),
    ] {
        let before = server.requests().len();
        server.next("", Behaviour::Refuse(status, code));
        let error = store.get(&name("a")).await.unwrap_err();
        assert_final(&error, ErrorStatus::Permanent, &[code, word, "Words of the server", "REQ-1"]);
        assert_eq!(server.requests().len(), before + 1, "{code}");
    }
}

#[tokio::test]
async fn patience_ends_and_says_so() {
    let (server, store) = started().await;
    server.always("", Behaviour::Refuse(503, "SlowDown"));
    let words = ["SlowDown", "fewer requests", "attempts: 4", "127.0.0.1"];
    let error = store.get(&name("a")).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &words);
    assert_eq!(server.requests().len(), 4);
    let error = store.create(&name("a"), "x".into()).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &words);
    let error = list(&store).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["SlowDown", "fewer requests"]);
    assert_eq!(server.requests().len(), 12);
}

#[tokio::test]
async fn a_lost_reply_to_a_write_is_not_a_conflict() {
    let (server, store) = started().await;
    server.next("PUT", Behaviour::LoseReply);
    store.create(&name("a"), "ours".into()).await.unwrap();
    assert_eq!(server.object("a").unwrap(), b"ours");
    // But another's object is.
    server.next("PUT", Behaviour::Drop);
    let error = store.create(&name("a"), "theirs".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(server.object("a").unwrap(), b"ours");
    // And what cannot be read back is neither.
    server
        .next("PUT", Behaviour::LoseReply)
        .next("PUT", Behaviour::Refuse(412, "PreconditionFailed"));
    server.always("GET", Behaviour::Refuse(403, "AccessDenied"));
    let error = store.create(&name("b"), "ours".into()).await.unwrap_err();
    assert_final(&error, ErrorStatus::Permanent, &["may have succeeded", "AccessDenied"]);
}

#[tokio::test]
async fn silence_is_a_failure() {
    let server = FakeS3::start().await;
    let impatient = StoreOptions { timeout: Duration::from_millis(200), ..options() };
    let store = open(&server.url(), &impatient).await.unwrap();
    server.next("PUT", Behaviour::Hang);
    store.create(&name("a"), Bytes::from(vec![1; 100_000])).await.unwrap();
    server.next("GET", Behaviour::Hang);
    assert_eq!(store.get(&name("a")).await.unwrap().len(), 100_000);
    server.always("", Behaviour::Hang);
    let started = Instant::now();
    let error = store.get(&name("a")).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["nothing moved for 0.2 seconds", "network"]);
    let waited = started.elapsed();
    assert!((0.8..3.0).contains(&waited.as_secs_f64()), "{waited:?}");
    let error = list(&store).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["nothing moved"]);
}

#[tokio::test]
async fn slowness_is_not_a_failure() {
    let server = FakeS3::start().await;
    let impatient = StoreOptions { timeout: Duration::from_millis(300), ..options() };
    let store = open(&server.url(), &impatient).await.unwrap();
    let body = Bytes::from(vec![1; 200_000]);
    store.create(&name("a"), body.clone()).await.unwrap();
    server.next("GET", Behaviour::Slow(Duration::from_millis(60)));
    let started = Instant::now();
    assert_eq!(store.get(&name("a")).await.unwrap(), body);
    assert!(started.elapsed() > Duration::from_millis(700), "slower than the timeout in all");
    assert_eq!(store.requests().gets, 1, "but not tried again");
}

#[tokio::test]
async fn answers_of_strangers_are_not_believed() {
    let page = "<html><body>Sign in to the network</body></html>";
    let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    let absent = ok.replace("200 OK", "404 Not Found");
    let (server, store) = started().await;
    server.always("", Behaviour::Raw(ok));
    let error = store.create(&name("a"), "x".into()).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["no ETag", "endpoint"]);
    let error = list(&store).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["not a listing", "endpoint"]);
    server.always("", Behaviour::Raw(absent));
    for outcome in [
        store.get(&name("a")).await.map(|_| ()),
        store.get_range(&name("a"), 0..1).await.map(|_| ()),
        list(&store).await.map(|_| ()),
    ] {
        assert_final(&outcome.unwrap_err(), ErrorStatus::Permanent, &["endpoint"]);
    }
}

#[tokio::test]
async fn an_error_with_status_200_is_an_error() {
    let error = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
    let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{error}", error.len());
    let (server, store) = started().await;
    store.create(&name("a"), "x".into()).await.unwrap();
    server.next("GET", Behaviour::Raw(ok.clone()));
    assert_eq!(list(&store).await.unwrap(), 1, "it was tried again");
    server.next("PUT", Behaviour::Raw(ok));
    store.create(&name("b"), "x".into()).await.unwrap();
    assert_eq!(server.object("b").unwrap(), b"x", "it was tried again");
}

#[tokio::test]
async fn stores_without_conditions_are_found_out() {
    let probing = StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..options() };
    let server = FakeS3::start().await;
    assert!(open(&server.url(), &probing).await.unwrap().capabilities().create_if_absent);
    server.ignore_conditions();
    assert!(!open(&server.url(), &probing).await.unwrap().capabilities().create_if_absent);

    let server = FakeS3::start().await;
    server.refuse_conditions();
    let store = open(&server.url(), &probing).await.unwrap();
    assert!(!store.capabilities().create_if_absent);
    // What a repository remembers may have become wrong; writing goes on without conditions.
    let store = open(&server.url(), &options()).await.unwrap();
    assert!(store.capabilities().create_if_absent);
    store.create(&name("a"), "x".into()).await.unwrap();
    assert!(!store.capabilities().create_if_absent);
    assert_eq!(server.object("a").unwrap(), b"x");
}

#[tokio::test]
async fn the_probe_copes_with_refused_deletion_and_reading() {
    let probing = StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..options() };
    for method in ["DELETE", "GET"] {
        let server = FakeS3::start().await;
        server.always(method, Behaviour::Refuse(403, "AccessDenied"));
        let store = open(&server.url(), &probing).await.unwrap();
        assert!(store.capabilities().create_if_absent, "without {method}");
    }
    let server = FakeS3::start().await;
    server.always("PUT", Behaviour::Refuse(403, "AccessDenied"));
    let error = open(&server.url(), &probing).await.unwrap_err();
    assert_final(&error, ErrorStatus::Permanent, &["AccessDenied", "s3:PutObject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bandwidth_is_even_and_shared() {
    let server = FakeS3::start().await;
    let rate = NonZeroU64::new(2 << 20);
    let timeout = Duration::from_millis(900);
    let limited = StoreOptions { upload_rate: rate, download_rate: rate, timeout, ..options() };
    let store = open(&server.url(), &limited).await.unwrap();
    let body = Bytes::from(vec![1; 1 << 20]);
    let started = Instant::now();
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let writes = [&a, &b, &c].map(|object| store.create(object, body.clone()));
    futures::future::try_join_all(writes).await.unwrap();
    let wrote = started.elapsed().as_secs_f64();
    assert!((1.2..2.2).contains(&wrote), "3 MiB at 2 MiB/s took {wrote} s");
    let started = Instant::now();
    let reads = [&a, &b, &c].map(|object| store.get(object));
    assert_eq!(futures::future::try_join_all(reads).await.unwrap().concat().len(), 3 << 20);
    let read = started.elapsed().as_secs_f64();
    assert!((1.2..2.2).contains(&read), "3 MiB at 2 MiB/s took {read} s");
    assert_eq!(store.requests().creates, 3, "waiting for bandwidth is no timeout");
}

#[tokio::test]
async fn nobody_there_is_explained() {
    let gone = "s3://bucket/x?endpoint=http://127.0.0.1:1";
    let store = open(gone, &options()).await.unwrap();
    let error = store.get(&name("a")).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["refused", "can be reached", "attempts: 4"]);
    let unknown = "s3://bucket/x?endpoint=http://no-such-host.invalid";
    let store = open(unknown, &options()).await.unwrap();
    let error = store.get(&name("a")).await.unwrap_err();
    assert_final(&error, ErrorStatus::Persistent, &["host name"]);
}

#[tokio::test]
async fn retries_are_told() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<(String, u32)>>);
    impl Observer for Seen {
        fn on_event(&self, event: &Event) {
            if let Event::Retrying { operation, attempt, error } = event {
                assert!(error.contains("SlowDown"), "{error}");
                self.0.lock().unwrap().push((operation.clone(), *attempt));
            }
        }
    }
    let server = FakeS3::start().await;
    let seen = Arc::new(Seen::default());
    let observer: Arc<dyn Observer> = Arc::clone(&seen) as _;
    let watched = StoreOptions { observer: Some(observer), ..options() };
    let store = open(&server.url(), &watched).await.unwrap();
    server.always("GET", Behaviour::Refuse(503, "SlowDown"));
    store.get(&name("a")).await.unwrap_err();
    let told = seen.0.lock().unwrap().clone();
    assert_eq!(told, [1, 2, 3].map(|attempt| ("read object".to_owned(), attempt)));
    assert_eq!(store.requests().gets, 4, "every attempt is a request");
    list(&store).await.unwrap_err();
    let told = seen.0.lock().unwrap().split_off(3);
    assert_eq!(told, [1, 2, 3].map(|attempt| ("list objects".to_owned(), attempt)));
}

#[tokio::test]
async fn never_retrying_is_possible() {
    let server = FakeS3::start().await;
    let once = Retry { attempts: 1, ..Retry::default() };
    let store = open(&server.url(), &StoreOptions { retry: once, ..options() }).await.unwrap();
    server.always("GET", Behaviour::Refuse(500, "InternalError"));
    store.get(&name("a")).await.unwrap_err();
    list(&store).await.unwrap_err();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn certificates_are_checked() {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = FakeS3::start_with(Some(server_tls(&own))).await;
    let url = server.url().replace("http://", "https://");
    let store = open(&url, &options()).await.unwrap();
    let error = store.get(&name("a")).await.unwrap_err();
    assert_final(&error, ErrorStatus::Permanent, &["certificate", "endpoint=http://"]);
    assert!(server.requests().is_empty());

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), own.cert.pem()).unwrap();
    let trusting = StoreOptions { ca_file: Some(file.path().to_owned()), ..options() };
    let store = open(&url, &trusting).await.unwrap();
    store.create(&name("a"), "sealed".into()).await.unwrap();
    assert_eq!(store.get(&name("a")).await.unwrap(), "sealed");

    std::fs::write(file.path(), "no certificate").unwrap();
    let error = open(&url, &trusting).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.remedy().unwrap().contains("PEM"), "{error:?}");
}

fn server_tls(
    own: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> Arc<tokio_rustls::rustls::ServerConfig> {
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, crypto::ring::default_provider};
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key);
    Arc::new(config.unwrap())
}

const ROLE: &str = "STORE_TEST_URL";

#[test]
fn missing_settings_are_named() {
    for (url, words) in [
        ("s3://bucket/x?endpoint=http://127.0.0.1:1", "AWS_ACCESS_KEY_ID"),
        ("s3://bucket/x", "AWS_REGION"),
    ] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_reads_from_the_url_it_is_given", "--nocapture"])
            .env_clear()
            .env("HOME", "/nonexistent")
            .env(ROLE, url)
            .output()
            .unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        assert!(said.contains(words), "{said}");
    }
}

/// Runs in an empty environment of its own; does nothing as a test.
#[tokio::test]
async fn child_reads_from_the_url_it_is_given() {
    let Ok(url) = std::env::var(ROLE) else { return };
    let store = open(&url, &StoreOptions { credentials: None, ..options() }).await;
    let error = match store {
        Ok(store) => store.get(&name("a")).await.unwrap_err(),
        Err(error) => error,
    };
    eprintln!("{error:?}");
}
