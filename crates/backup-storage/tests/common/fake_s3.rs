//! The server: honest unless told otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, rustls};

/// What the next matching request gets.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// A status, and a code in an S3 error body.
    Refuse(u16, &'static str),
    /// These very bytes, then the connection closes.
    Raw(String),
    /// The honest answer without its last bytes, then the connection closes.
    Short(usize),
    /// The connection closes before anything is done.
    Drop,
    /// The request is done, then the connection closes without an answer.
    LoseReply,
    /// No answer, ever.
    Hang,
    /// The answer in pieces of 16 KiB with pauses.
    Slow(Duration),
}

/// A running server. Ends with the test's runtime.
pub(crate) struct FakeS3 {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct Stored {
    body: Vec<u8>,
    at: Timestamp,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    script: VecDeque<(&'static str, Behaviour)>,
    forever: Option<(&'static str, Behaviour)>,
    requests: Vec<Request>,
    ignores_conditions: bool,
    refuses_conditions: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl FakeS3 {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Speaks TLS with this configuration.
    pub(crate) async fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let tls = tls.map(TlsAcceptor::from);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let server = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&server), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &state).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, &state).await;
                        }
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("s3://bucket/some/prefix?endpoint=http://127.0.0.1:{}", self.port)
    }

    /// The next request of `method` (or any, when empty) gets `behaviour`; several queue up.
    pub(crate) fn next(&self, method: &'static str, behaviour: Behaviour) -> &Self {
        self.state.lock().unwrap().script.push_back((method, behaviour));
        self
    }

    /// Every request of `method` gets `behaviour`.
    pub(crate) fn always(&self, method: &'static str, behaviour: Behaviour) {
        self.state.lock().unwrap().forever = Some((method, behaviour));
    }

    /// Overwrites whatever the condition says.
    pub(crate) fn ignore_conditions(&self) {
        self.state.lock().unwrap().ignores_conditions = true;
    }

    /// Answers 501 to conditional writes.
    pub(crate) fn refuse_conditions(&self) {
        self.state.lock().unwrap().refuses_conditions = true;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.state
            .lock()
            .unwrap()
            .objects
            .get(&format!("some/prefix/{name}"))
            .map(|o| o.body.clone())
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read_request(&mut stream).await {
        let behaviour = state.lock().unwrap().behaviour(&request);
        let honest = || state.lock().unwrap().answer(&request);
        let keep = match behaviour {
            None => stream.write_all(&honest()).await.is_ok(),
            Some(Behaviour::Refuse(status, code)) => {
                stream.write_all(&refusal(status, code, request.method == "HEAD")).await.is_ok()
            }
            Some(Behaviour::Raw(text)) => {
                let _ = stream.write_all(text.as_bytes()).await;
                false
            }
            Some(Behaviour::Short(missing)) => {
                let answer = honest();
                let _ = stream.write_all(&answer[..answer.len() - missing]).await;
                false
            }
            Some(Behaviour::Drop) => false,
            Some(Behaviour::LoseReply) => {
                honest();
                false
            }
            Some(Behaviour::Hang) => std::future::pending().await,
            Some(Behaviour::Slow(pause)) => write_slowly(&mut stream, &honest(), pause).await,
        };
        let _ = stream.flush().await;
        if !keep {
            return;
        }
    }
}

async fn write_slowly(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: &[u8],
    pause: Duration,
) -> bool {
    for piece in answer.chunks(16 << 10) {
        tokio::time::sleep(pause).await;
        if stream.write_all(piece).await.is_err() {
            return false;
        }
    }
    true
}

pub(crate) async fn read_request(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut request = Request { method, path, query, ..Request::default() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = request.headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

impl State {
    fn behaviour(&mut self, request: &Request) -> Option<Behaviour> {
        self.requests.push(Request { body: Vec::new(), ..request.clone() });
        let fits = |method: &str| method.is_empty() || method == request.method;
        if self.script.front().is_some_and(|(method, _)| fits(method)) {
            return self.script.pop_front().map(|(_, behaviour)| behaviour);
        }
        self.forever.clone().filter(|(method, _)| fits(method)).map(|(_, behaviour)| behaviour)
    }

    fn answer(&mut self, request: &Request) -> Vec<u8> {
        if !request.headers.contains_key("authorization") {
            return refusal(403, "AccessDenied", false);
        }
        let Some(key) = request.path.strip_prefix("/bucket/").filter(|key| !key.is_empty()) else {
            return self.list(&request.query);
        };
        match request.method.as_str() {
            "PUT" => self.put(key, request),
            "DELETE" => {
                self.objects.remove(key);
                whole(204, "", b"")
            }
            "GET" => match self.objects.get(key) {
                None => refusal(404, "NoSuchKey", false),
                Some(object) => get(object, request.headers.get("range")),
            },
            _ => match self.objects.get(key) {
                None => refusal(404, "NoSuchKey", true),
                Some(object) => {
                    let length = object.body.len();
                    head(200, &format!("{}Content-Length: {length}\r\n", about(object)))
                }
            },
        }
    }

    fn put(&mut self, key: &str, request: &Request) -> Vec<u8> {
        let conditional = request.headers.contains_key("if-none-match");
        if conditional && self.refuses_conditions {
            return refusal(501, "NotImplemented", false);
        }
        if conditional && !self.ignores_conditions && self.objects.contains_key(key) {
            return refusal(412, "PreconditionFailed", false);
        }
        let stored = Stored { body: request.body.clone(), at: Timestamp::now() };
        self.objects.insert(key.to_owned(), stored);
        whole(200, "ETag: \"0123\"\r\n", b"")
    }

    fn list(&self, query: &str) -> Vec<u8> {
        let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix="));
        let prefix = prefix.unwrap_or_default().replace("%2F", "/");
        let mut body = String::from(
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>",
        );
        for (key, object) in self.objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            body.push_str(&format!(
                "<Contents><Key>{key}</Key><Size>{}</Size>\
                 <LastModified>{}</LastModified></Contents>",
                object.body.len(),
                object.at
            ));
        }
        body.push_str("</ListBucketResult>");
        whole(200, "", body.as_bytes())
    }
}

fn about(object: &Stored) -> String {
    let at = object.at.strftime("%a, %d %b %Y %H:%M:%S GMT");
    format!("ETag: \"0123\"\r\nLast-Modified: {at}\r\n")
}

fn get(object: &Stored, range: Option<&String>) -> Vec<u8> {
    let (body, about) = (&object.body, about(object));
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return whole(200, &about, body);
    };
    let (start, end) = range.split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    if start >= body.len() {
        return refusal(416, "InvalidRange", false);
    }
    let end = end.parse::<usize>().map_or(body.len(), |end| (end + 1).min(body.len()));
    let place = format!("{about}Content-Range: bytes {start}-{}/{}\r\n", end - 1, body.len());
    whole(206, &place, &body[start..end])
}

fn refusal(status: u16, code: &str, is_head: bool) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Words of the server.</Message>\
         <Resource>/bucket</Resource><RequestId>REQ-1</RequestId></Error>"
    );
    if is_head { head(status, "Content-Length: 0\r\n") } else { whole(status, "", body.as_bytes()) }
}

pub(crate) fn whole(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length =
        if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let mut answer = head(status, &format!("{headers}{length}"));
    answer.extend_from_slice(body);
    answer
}

fn head(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Words\r\n{headers}\r\n").into_bytes()
}
