//! HTTP for opendal: our own client, bandwidth, and an end to waiting.

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use http::{Request, Response, Uri};
use opendal::{Buffer, HttpBody, HttpTransport};
use reqwest::Client;

use super::body::{Progress, Upload};
use super::tls;
use crate::pace::Pace;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// Sends requests; a request that makes no progress for a while fails.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    timeout: Duration,
    upload: Pace,
    download: Pace,
}

impl Transport {
    /// Creates a transport with its own connections. Redirects are not followed, because a
    /// signature holds for one host only.
    pub(super) fn new(
        ca_file: Option<&Path>,
        encrypted: bool,
        timeout: Duration,
        upload: Pace,
        download: Pace,
    ) -> Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::configuration(ca_file, encrypted)?)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(timeout))
            .tcp_nodelay(true)
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::ConfigInvalid, "set up HTTP client").because(error)
            })?;
        Ok(Self { client, timeout, upload, download })
    }

    async fn send(&self, request: Request<Buffer>) -> Result<reqwest::Response> {
        let (parts, body) = request.into_parts();
        let progress = Progress::new();
        let mut builder =
            self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        if !body.is_empty() {
            let upload = Upload::new(body, self.upload.clone(), progress.clone());
            builder = builder.body(reqwest::Body::wrap(upload));
        }
        tokio::select! {
            answer = builder.send() => answer.map_err(|error| unreachable("send request", error)),
            () = progress.stalled(self.timeout) => Err(self.too_slow("wait for the store's answer")),
        }
    }

    /// Returns the next piece of an answer, or `None` at its end.
    async fn receive(&self, answer: &mut reqwest::Response) -> Result<Option<Buffer>> {
        let received = tokio::time::timeout(self.timeout, answer.chunk()).await;
        let received = received.map_err(|_| self.too_slow("receive the store's answer"))?;
        let piece = received.map_err(|error| unreachable("receive the store's answer", error))?;
        let Some(piece) = piece else { return Ok(None) };
        self.download.take(piece.len() as u64).await;
        Ok(Some(Buffer::from(piece)))
    }

    fn too_slow(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::StoreUnavailable, operation)
            .because(format!("nothing moved for {} seconds", self.timeout.as_secs_f64()))
            .hint("Check the network to the store, or allow a longer timeout.")
            .temporary()
    }

    /// Reads a whole listing and checks that it is one: an error or a web page with status
    /// 200 must not pass for an empty listing.
    async fn listing(&self, mut answer: reqwest::Response, mark: &str) -> Result<HttpBody> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.receive(&mut answer).await? {
            pieces.push(piece);
        }
        let body: Buffer = pieces.into_iter().flatten().collect();
        let bytes = body.to_bytes();
        let head = String::from_utf8_lossy(bytes.get(..bytes.len().min(1024)).unwrap_or_default());
        if !head.contains(mark) {
            return Err(Error::new(ErrorKind::StoreUnavailable, "read listing")
                .because("the answer is not a listing")
                .hint("Check that `endpoint` is the store's, and that no proxy answers for it.")
                .temporary());
        }
        let size = bytes.len() as u64;
        let whole = futures::stream::iter([Ok(Buffer::from(bytes))]);
        Ok(HttpBody::new(whole, Some(size)))
    }

    fn streamed(&self, answer: reqwest::Response) -> HttpBody {
        let size = answer.content_length();
        let transport = self.clone();
        let pieces = futures::stream::try_unfold(answer, move |mut answer| {
            let transport = transport.clone();
            async move {
                let piece = transport.receive(&mut answer).await.map_err(into_opendal)?;
                Ok(piece.map(|piece| (piece, answer)))
            }
        });
        HttpBody::new(Box::pin(pieces), size)
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let uri = request.uri().clone();
        let is_head = request.method() == http::Method::HEAD;
        let mark = listing_mark(request.method(), &uri);
        let answer = self.send(request).await.map_err(into_opendal)?;
        let mut response = Response::builder()
            .status(answer.status())
            .version(answer.version())
            .extension(uri.clone());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let body = if is_head {
            HttpBody::new(futures::stream::empty(), None)
        } else if let Some(mark) = mark.filter(|_| answer.status().is_success()) {
            self.listing(answer, mark).await.map_err(into_opendal)?
        } else {
            self.streamed(answer)
        };
        response.body(body).map_err(|error| {
            opendal::Error::new(opendal::ErrorKind::Unexpected, "read answer").set_source(error)
        })
    }
}

/// Returns what stands near the beginning of the answer if this asks for a listing: S3's, Azure's,
/// Google's.
fn listing_mark(method: &http::Method, uri: &Uri) -> Option<&'static str> {
    if method != http::Method::GET {
        return None;
    }
    let asks = |word| uri.query().is_some_and(|query| query.split('&').any(|part| part == word));
    if asks("list-type=2") {
        Some("<ListBucketResult")
    } else if asks("comp=list") {
        Some("<EnumerationResults")
    } else if uri.path().starts_with("/storage/v1/b/") && uri.path().ends_with("/o") {
        Some("storage#objects")
    } else {
        None
    }
}

/// Wraps our error so that it comes out of opendal with its words and remedy.
fn into_opendal(error: Error) -> opendal::Error {
    let temporary = error.status() == backup_core::ErrorStatus::Temporary;
    opendal::Error::new(opendal::ErrorKind::Unexpected, error.operation().to_owned())
        .with_temporary(temporary)
        .set_source(error)
}

/// Explains why the store could not be reached. All of it may pass, except a certificate that
/// is not trusted.
fn unreachable(operation: &'static str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let (certificate, name) = (is_certificate(&error), is_name(&error));
    let connect = error.is_connect();
    let converted = Error::new(ErrorKind::StoreUnavailable, operation).because(error);
    if certificate {
        return converted.hint(
            "The store's certificate is not trusted here: install its authority, or name its PEM \
             file; for a server without TLS write endpoint=http://….",
        );
    }
    let converted = converted.temporary();
    if name {
        converted.hint("Check the host name in the endpoint, and this host's name resolution.")
    } else if connect {
        converted.hint("Check that the endpoint is right and can be reached from this host.")
    } else {
        converted.hint("Check the network to the store.")
    }
}

fn is_certificate(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.to_string().contains("invalid peer certificate"))
}

fn is_name(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.to_string().contains("dns error"))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(StdError::source(error), |&cause| cause.source())
}
