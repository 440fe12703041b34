//! HTTP on loopback for a fake.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::trouble::Troubles;
use super::{Ask, Contract, Reply, Trouble, Upset};
use crate::sync::lock;

/// A vendor's control plane as a state machine.
#[async_trait]
pub trait Vendor: Send + Sync + 'static {
    /// Answers one request; what it changes is changed when this returns.
    async fn reply(&self, ask: &Ask) -> Reply;

    /// The body of a refusal in the vendor's shape.
    fn refusal(&self, status: u16, message: &str) -> Value {
        let _ = status;
        json!({ "code": "", "message": message })
    }
}

/// A fake that is being served. Dropping it ends it, and fails the test when a request or an
/// answer broke the vendor's contract.
pub struct FakeVendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    vendor: Arc<dyn Vendor>,
    contract: Option<Contract>,
    troubles: Troubles,
    log: Mutex<Vec<Ask>>,
    broken: Mutex<Vec<String>>,
}

impl fmt::Debug for FakeVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeVendor").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FakeVendor {
    /// Serves a fake on a free port of loopback.
    ///
    /// # Panics
    /// When no port can be had.
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub async fn start(vendor: Arc<dyn Vendor>, contract: Option<Contract>) -> Self {
        let bound = async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            Ok::<_, io::Error>((listener.local_addr()?, listener))
        };
        let (address, listener) = match bound.await {
            Ok(bound) => bound,
            Err(error) => panic!("a fake found no port: {error}"),
        };
        let shared = Arc::new(Shared {
            vendor,
            contract,
            troubles: Troubles::default(),
            log: Mutex::default(),
            broken: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&serving), stream));
            }
        });
        Self { address, shared, task }
    }

    /// The base of its URLs, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes requests go wrong; several troubles strike in the order they were added.
    pub fn trouble(&self, trouble: Trouble) {
        self.shared.troubles.add(trouble);
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.shared.troubles.clear();
    }

    /// Every request so far.
    #[must_use]
    pub fn log(&self) -> Vec<Ask> {
        lock(&self.shared.log).clone()
    }

    /// How many requests of a method had this in their path.
    #[must_use]
    pub fn count(&self, method: &str, part: &str) -> usize {
        let log = lock(&self.shared.log);
        log.iter().filter(|ask| ask.method == method && ask.path.contains(part)).count()
    }

    /// What broke the contract so far.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        lock(&self.shared.broken).clone()
    }
}

impl Drop for FakeVendor {
    #[allow(clippy::panic, reason = "a broken contract fails the test")]
    fn drop(&mut self) {
        self.task.abort();
        let broken = self.broken();
        if !broken.is_empty() && !std::thread::panicking() {
            panic!("the vendor's contract was broken:\n{}", broken.join("\n"));
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    // An error here is a client that went away, or a connection that was broken on purpose.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A connection that breaks is an error of the service: hyper closes it without an answer.
async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (ask, sound) = read(request).await?;
    lock(&shared.log).push(ask.clone());
    if !sound {
        shared.complain(format!("{} {}: the body is not JSON", ask.method, ask.path));
    }
    let upset = shared.troubles.strike(&ask);
    let reply = match upset {
        Some(upset) if !upset.executes() => None,
        _ => Some(shared.act(&ask).await),
    };
    let message = "something went wrong on purpose";
    let refusal = |status| Reply::json(status, shared.vendor.refusal(status, message));
    let reply = match (upset, reply) {
        (None, Some(reply)) => reply,
        (Some(Upset::LosesAnswer | Upset::LosesRequest), _) => {
            return Err(io::Error::other("the connection breaks"));
        }
        (Some(Upset::Throttled(wait)), _) => match wait {
            Some(wait) => refusal(429).header("retry-after", wait),
            None => refusal(429),
        },
        (Some(Upset::Busy), _) => refusal(423),
        (Some(Upset::Fails(status) | Upset::FailsAfter(status)), _) => refusal(status),
        (Some(Upset::Page(status)), _) => return page(status),
        (None, None) => refusal(500),
    };
    let body = reply.body.map(|body| body.to_string()).unwrap_or_default();
    let mut response =
        Response::builder().status(reply.status).header("content-type", "application/json");
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(body))).map_err(io::Error::other)
}

fn page(status: u16) -> Result<Response<Full<Bytes>>, io::Error> {
    let body = Full::new(Bytes::from_static(b"<html><body><h1>Bad gateway</h1></body></html>"));
    Response::builder()
        .status(status)
        .header("content-type", "text/html")
        .body(body)
        .map_err(io::Error::other)
}

async fn read(request: Request<Incoming>) -> Result<(Ask, bool), io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let query = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect();
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let parsed = (!body.is_empty()).then(|| serde_json::from_slice(&body));
    let sound = !matches!(parsed, Some(Err(_)));
    let ask = Ask {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query,
        headers,
        body: parsed.and_then(Result::ok),
    };
    Ok((ask, sound))
}

impl Shared {
    /// The vendor acts and answers; both are compared with the contract.
    async fn act(&self, ask: &Ask) -> Reply {
        if let Some(contract) = &self.contract
            && let Err(error) = contract.request(ask)
        {
            self.complain(format!("request {} {}: {error}", ask.method, ask.path));
        }
        let reply = self.vendor.reply(ask).await;
        if let Some(contract) = &self.contract
            && let Err(error) = contract.answer(ask, &reply)
        {
            self.complain(format!("answer to {} {}: {error}", ask.method, ask.path));
        }
        reply
    }

    fn complain(&self, what: String) {
        lock(&self.broken).push(what);
    }
}
