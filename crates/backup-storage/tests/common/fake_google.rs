//! Google Cloud Storage as its JSON API is documented: what the adapter asks, and the answers. The
//! emulators that can be had ignore conditions or fail on objects without a type.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::fake_s3::{Request, read_request, whole};

/// A server with the bucket `bucket`. Ends with the test's runtime.
pub(crate) struct FakeGoogle {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, Timestamp)>,
    /// Refusals of the next requests.
    script: Vec<(u16, &'static str)>,
    pages: usize,
    /// Uploads that were begun: name, whether it must be new, bytes so far.
    uploads: Vec<(String, bool, Vec<u8>)>,
    port: u16,
}

impl FakeGoogle {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { port, ..State::default() }));
        let server = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&server);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Ok(Some(request)) = read_request(&mut stream).await {
                        let answer = state.lock().unwrap().answer(&request);
                        if stream.write_all(&answer).await.is_err() {
                            return;
                        }
                        let _ = stream.flush().await;
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self, bucket: &str) -> String {
        format!("gs://{bucket}/some/prefix?endpoint=http://127.0.0.1:{}", self.port)
    }

    /// The next request is refused so.
    pub(crate) fn refuse(&self, status: u16, reason: &'static str) {
        self.state.lock().unwrap().script.push((status, reason));
    }

    pub(crate) fn pages(&self) -> usize {
        self.state.lock().unwrap().pages
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Vec<u8> {
        if !self.script.is_empty() {
            let (status, reason) = self.script.remove(0);
            return refusal(status, "Words of the server.", reason);
        }
        let query: BTreeMap<String, String> = request
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let path = request.path.strip_prefix("/upload").unwrap_or(&request.path);
        let Some(path) = path.strip_prefix("/storage/v1/b/") else {
            return refusal(404, "Not Found", "notFound");
        };
        let (bucket, object) = path.split_once("/o").unwrap();
        if bucket != "bucket" {
            return refusal(404, "The specified bucket does not exist.", "notFound");
        }
        let name = object.strip_prefix('/').map(decoded);
        match (request.method.as_str(), name) {
            ("POST", None) => self.insert(&query, request),
            ("PUT", None) => self.go_on(&query, request),
            ("GET", None) => self.list(&query),
            ("GET", Some(name)) if query.get("alt").is_some_and(|alt| alt == "media") => {
                self.download(&name, request.headers.get("range"))
            }
            ("GET", Some(name)) => match self.objects.get(&name) {
                Some(object) => whole(200, "", resource(&name, object).as_bytes()),
                None => missing(&name),
            },
            ("DELETE", Some(name)) => match self.objects.remove(&name) {
                Some(_) => whole(204, "", b""),
                None => missing(&name),
            },
            _ => refusal(405, "Method Not Allowed", "methodNotAllowed"),
        }
    }

    fn insert(&mut self, query: &BTreeMap<String, String>, request: &Request) -> Vec<u8> {
        let name = query["name"].clone();
        let only_new = query.get("ifGenerationMatch").is_some_and(|generation| generation == "0");
        if query["uploadType"] == "resumable" {
            if only_new && self.objects.contains_key(&name) {
                return exists();
            }
            self.uploads.push((name, only_new, Vec::new()));
            let (port, id) = (self.port, self.uploads.len() - 1);
            let path = "upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id=";
            return whole(200, &format!("Location: http://127.0.0.1:{port}/{path}{id}\r\n"), b"");
        }
        assert_eq!(query["uploadType"], "media");
        self.store(&name, only_new, request.body.clone())
    }

    /// Takes a piece of an upload that was begun, or says how far it is.
    fn go_on(&mut self, query: &BTreeMap<String, String>, request: &Request) -> Vec<u8> {
        let id: usize = query["upload_id"].parse().unwrap();
        let (name, only_new, mut bytes) = self.uploads[id].clone();
        let place = request.headers["content-range"].strip_prefix("bytes ").unwrap();
        let (range, total) = place.split_once('/').unwrap();
        if let Some((start, _)) = range.split_once('-') {
            let start: usize = start.parse().unwrap();
            assert!(start <= bytes.len(), "a hole in an upload");
            bytes.truncate(start);
            bytes.extend_from_slice(&request.body);
            self.uploads[id].2.clone_from(&bytes);
        }
        if total.parse() == Ok(bytes.len()) {
            return self.store(&name, only_new, bytes);
        }
        assert_eq!(bytes.len() % (256 << 10), 0, "pieces are multiples of 256 KiB");
        let range = match bytes.len() {
            0 => String::new(),
            length => format!("Range: bytes=0-{}\r\n", length - 1),
        };
        whole(308, &range, b"")
    }

    fn store(&mut self, name: &str, only_new: bool, body: Vec<u8>) -> Vec<u8> {
        if only_new && self.objects.contains_key(name) {
            return exists();
        }
        let object = (body, Timestamp::now());
        let described = resource(name, &object);
        self.objects.insert(name.to_owned(), object);
        whole(200, "", described.as_bytes())
    }

    fn download(&self, name: &str, range: Option<&String>) -> Vec<u8> {
        let Some((body, _)) = self.objects.get(name) else {
            // Downloads are refused in plain words.
            let words = format!("No such object: bucket/{name}");
            return whole(404, "Content-Type: text/html; charset=UTF-8\r\n", words.as_bytes());
        };
        let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
            return whole(200, "", body);
        };
        let (start, end) = range.split_once('-').unwrap();
        let start: usize = start.parse().unwrap();
        if start >= body.len() {
            return whole(416, "", b"The requested range cannot be satisfied.");
        }
        let end = end.parse::<usize>().map_or(body.len(), |end| (end + 1).min(body.len()));
        let place = format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, body.len());
        whole(206, &place, &body[start..end])
    }

    /// Pages of two objects, so that they are asked for.
    fn list(&mut self, query: &BTreeMap<String, String>) -> Vec<u8> {
        self.pages += 1;
        let prefix = query.get("prefix").cloned().unwrap_or_default();
        let after = query.get("pageToken").cloned().unwrap_or_default();
        let mut found = self
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && name.as_str() > after.as_str());
        let page: Vec<_> = found.by_ref().take(2).collect();
        let items: Vec<String> = page.iter().map(|(name, object)| resource(name, object)).collect();
        let next = match (found.next(), page.last()) {
            (Some(_), Some((last, _))) => format!(r#","nextPageToken":"{last}""#),
            _ => String::new(),
        };
        let body = format!(r#"{{"kind":"storage#objects","items":[{}]{next}}}"#, items.join(","));
        whole(200, "Content-Type: application/json; charset=UTF-8\r\n", body.as_bytes())
    }
}

fn resource(name: &str, (body, at): &(Vec<u8>, Timestamp)) -> String {
    let id = format!("bucket/{name}/1700000000000000");
    format!(
        r#"{{"kind":"storage#object","id":"{id}","name":"{name}","bucket":"bucket","generation":"1700000000000000","metageneration":"1","storageClass":"STANDARD","size":"{}","md5Hash":"1B2M2Y8AsgTpgAmY7PhCfg==","crc32c":"AAAAAA==","etag":"CKih16GjycICEAE=","timeCreated":"{at}","updated":"{at}"}}"#,
        body.len()
    )
}

fn exists() -> Vec<u8> {
    let words = "At least one of the pre-conditions you specified did not hold.";
    refusal(412, words, "conditionNotMet")
}

fn missing(name: &str) -> Vec<u8> {
    refusal(404, &format!("No such object: bucket/{name}"), "notFound")
}

fn refusal(status: u16, message: &str, reason: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"error":{{"code":{status},"message":"{message}","errors":[{{"message":"{message}","domain":"global","reason":"{reason}"}}]}}}}"#
    );
    whole(status, "Content-Type: application/json; charset=UTF-8\r\n", body.as_bytes())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}
