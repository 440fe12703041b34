//! Posts a body to a URL that is itself a secret, with retries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Clock;
use backup_core::{Error, ErrorKind, ErrorStatus, Result, Secret};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

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
        Ok(Self { name, client, clock, url, delivery })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Hides the URL where a text happens to quote it.
    pub(crate) fn hide(&self, text: &str) -> String {
        text.replace(self.url.as_str(), "***")
    }

    /// Posts JSON until it is accepted or there is no point in going on; `headers` are made anew
    /// for every attempt.
    pub(crate) async fn post(
        &self,
        body: Vec<u8>,
        headers: impl Fn() -> HeaderMap + Send + Sync,
    ) -> Result<()> {
        let mut pause = self.delivery.first_pause;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(body.clone(), headers()).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let wait = failure.retry_after.unwrap_or(pause);
            let lasting = failure.error.status() != ErrorStatus::Temporary;
            if lasting || attempt >= self.delivery.attempts || wait > self.delivery.max_pause {
                return Err(failure.error.with("attempts", attempt).persistent());
            }
            tracing::debug!(destination = self.name, attempt, error = %failure.error, "retrying alert");
            self.clock.sleep(wait).await;
            attempt += 1;
            pause = (pause * 2).min(self.delivery.max_pause);
        }
    }

    async fn attempt(&self, body: Vec<u8>, headers: HeaderMap) -> Result<(), Failure> {
        let sent = self
            .client
            .post(self.url.clone())
            .timeout(self.delivery.timeout)
            .headers(headers)
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(self.refused(&response)),
            Err(error) => Err(self.unsent(error).into()),
        }
    }

    fn refused(&self, response: &Response) -> Failure {
        let status = response.status();
        let error = self.error().with("status", status.as_u16());
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let retry_after = retry_after(response, self.clock.now());
            let hint = "The destination is overloaded or out of order; the alert is lost.";
            return Failure { error: error.temporary().hint(hint), retry_after };
        }
        let hint = if status.is_redirection() {
            "The destination redirects, which alerts do not follow; configure the final URL."
        } else {
            "Check that the webhook still exists and that its URL was copied whole; \
             `backupctl notify test` tries it."
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

    fn error(&self) -> Error {
        Error::new(ErrorKind::Failed, "deliver alert").with("destination", &self.name)
    }
}

/// Why one attempt failed, and when the destination wants the next.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

/// Reads `Retry-After`, in seconds or as a date.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
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
