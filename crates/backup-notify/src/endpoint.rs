//! Calls a URL that is itself a secret, with retries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Clock;
use backup_core::{Error, ErrorKind, ErrorStatus, Result, Secret};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};

use crate::scrub::{scrub, without};
use crate::text::cut;

/// How much of an answer is read: enough for a page of issues with long bodies.
const ANSWER_BYTES: usize = 8 << 20;
/// How much of a refusal is read.
const REFUSAL_BYTES: usize = 4 << 10;

/// How patiently an alert is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How long one attempt may take, the answer included.
    pub timeout: Duration,
    /// Attempts in all; at least one is made.
    pub attempts: u32,
    /// The pause after the first failed attempt; it doubles from one to the next.
    pub first_pause: Duration,
    /// The longest pause; a destination that asks for a longer one is given up.
    pub max_pause: Duration,
}

impl Default for Delivery {
    /// 10 s an attempt, 4 attempts, pauses from 1 s to 60 s.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            attempts: 4,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
        }
    }
}

/// A destination. Neither its errors nor its `Debug` show the URL.
pub(crate) struct Endpoint {
    name: String,
    client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    url: Url,
    secrets: Vec<Secret>,
    delivery: Delivery,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Checks the URL; `name` turns it into what people are shown.
    pub(crate) fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        delivery: Delivery,
        name: impl FnOnce(&Url) -> String,
    ) -> Result<Self> {
        let url: Url = url.expose().trim().parse().map_err(|_| unusable("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("its scheme is not https"));
        }
        let name = name(&url);
        if url.scheme() == "http" && !is_loopback(&url) {
            tracing::warn!(
                destination = name,
                "alerts travel unencrypted, and so does the URL that authorises them; use https"
            );
        }
        Ok(Self { name, client, clock, url, secrets: Vec::new(), delivery })
    }

    /// Hides this secret too.
    pub(crate) fn hiding(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Hides the URL and other secrets where a text happens to quote them.
    pub(crate) fn hide(&self, text: &str) -> String {
        without(&text.replace(self.url.as_str(), "***"), &self.secrets)
    }

    /// The URL that authorises, for those who need a path below it.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Posts a body to the URL until it is accepted or there is no point in going on; `headers`
    /// are made anew for every attempt.
    pub(crate) async fn post(
        &self,
        body: Vec<u8>,
        headers: impl Fn() -> HeaderMap + Send + Sync,
    ) -> Result<()> {
        self.retry(|| {
            let call = Call {
                method: Method::POST,
                url: self.url.clone(),
                headers: headers(),
                body: Some(body.clone()),
            };
            async { self.call(call).await.map(|_| ()) }
        })
        .await
    }

    /// Tries until it works or there is no point in going on.
    pub(crate) async fn retry<T, F>(&self, attempt: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        retry(&self.name, &self.clock, self.delivery, attempt).await
    }

    /// Makes one request and returns the body of a 2xx answer, its first eight
    /// megabytes.
    pub(crate) async fn call(&self, call: Call) -> Result<Vec<u8>, Failure> {
        let mut request = self
            .client
            .request(call.method, call.url)
            .timeout(self.delivery.timeout)
            .headers(call.headers);
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(|error| self.unsent(error))?;
        let body = if response.status().is_success() {
            self.body(&mut response, ANSWER_BYTES).await?
        } else {
            self.body(&mut response, REFUSAL_BYTES).await.unwrap_or_default()
        };
        if response.status().is_success() { Ok(body) } else { Err(self.refused(&response, &body)) }
    }

    async fn body(&self, response: &mut Response, most: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while body.len() < most {
            match response.chunk().await.map_err(|error| self.unsent(error))? {
                Some(bytes) => body.extend_from_slice(&bytes),
                None => break,
            }
        }
        body.truncate(most);
        Ok(body)
    }

    fn refused(&self, response: &Response, body: &[u8]) -> Failure {
        let status = response.status();
        let mut error = self.error().with("status", status.as_u16());
        let answer = String::from_utf8_lossy(body);
        let answer = answer.split_whitespace().collect::<Vec<_>>().join(" ");
        if !answer.is_empty() {
            error = error.with("answer", scrub(&self.hide(&cut(&answer, 200))));
        }
        let retry_after = retry_after(response, self.clock.now());
        let overloaded = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || (status == StatusCode::FORBIDDEN && retry_after.is_some());
        if overloaded || status.is_server_error() {
            let hint = "The destination is overloaded or out of order.";
            return Failure { error: error.temporary().hint(hint), retry_after };
        }
        let hint = if status.is_redirection() {
            "The destination redirects, which alerts do not follow; configure the final URL."
        } else {
            "Check that the destination still exists and that its URL, token or key was copied \
             whole; `backupctl notify test` tries it."
        };
        error.hint(hint).into()
    }

    fn unsent(&self, error: reqwest::Error) -> Error {
        let reason = if error.is_timeout() {
            self.error().with("timeout_seconds", self.delivery.timeout.as_secs_f64())
        } else {
            self.error()
        };
        // Without the URL: reqwest would print it, and it is a secret.
        reason
            .because(error.without_url())
            .temporary()
            .hint("Check the network, the proxy and the host of the webhook.")
    }

    pub(crate) fn error(&self) -> Error {
        Error::new(ErrorKind::Failed, "deliver alert").with("destination", &self.name)
    }
}

/// Tries until it works, is refused for good, or patience ends.
pub(crate) async fn retry<T, F>(
    name: &str,
    clock: &Arc<dyn Clock>,
    delivery: Delivery,
    attempt: impl Fn() -> F + Send + Sync,
) -> Result<T>
where
    F: Future<Output = Result<T, Failure>> + Send,
{
    let mut pause = delivery.first_pause;
    let mut attempts = 1;
    loop {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let wait = failure.retry_after.unwrap_or(pause);
        let lasting = failure.error.status() != ErrorStatus::Temporary;
        if lasting || attempts >= delivery.attempts || wait > delivery.max_pause {
            return Err(failure.error.with("attempts", attempts).persistent());
        }
        tracing::debug!(destination = name, attempts, error = %failure.error, "retrying alert");
        clock.sleep(wait).await;
        attempts += 1;
        pause = (pause * 2).min(delivery.max_pause);
    }
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

/// Returns the headers of a JSON body.
pub(crate) fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

/// Why one attempt failed, and when the destination wants the next.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

/// Reads `Retry-After`, in seconds or as a date.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn unusable(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "use webhook URL")
        .because(reason)
        .hint("Copy the whole URL of the webhook, starting with https://.")
}
