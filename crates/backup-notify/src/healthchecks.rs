//! Pings for services that expect to hear of every run (healthchecks.io and its like).

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier, Phase};
use backup_core::{Error, ErrorKind, Result, Secret, Severity};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};

use crate::endpoint::{Call, Delivery, Endpoint};
use crate::scrub::cleaned;
use crate::text::cut_bytes;

/// The service keeps the first 100 kB of a ping.
const BODY_BYTES: usize = 100_000;
/// In the URL of the check, the name of the source that a ping is about.
const SOURCE: &str = "{source}";

/// Pings a check: `/start` when a run begins, the check itself when it succeeds, `/EXITCODE` or
/// `/fail` with the error when it fails. The service alerts when no ping comes, which this
/// program cannot do for itself.
///
/// A test alert goes to `/log`, which changes no check's state. With `{source}` in its path, every source has a check of its own. Slugs take lower-case
/// letters, digits, `-` and `_`; everything else in a source's name becomes `-`.
#[derive(Debug)]
pub struct Healthchecks {
    endpoint: Endpoint,
}

impl Healthchecks {
    /// Creates the notifier for the ping URL of a check; fails with `ConfigInvalid` when `url` is
    /// not an HTTP URL. Sends nothing yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        delivery: Delivery,
    ) -> Result<Self> {
        let name = |url: &Url| format!("healthchecks {}", url.host_str().unwrap_or("?"));
        let endpoint = Endpoint::new(client, clock, url, delivery, name)?;
        if endpoint.url().cannot_be_a_base() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "use ping URL")
                .because("it has no path")
                .hint("Copy the ping URL of the check."));
        }
        Ok(Self { endpoint })
    }

    /// Returns where this alert pings.
    fn ping(&self, alert: &Alert) -> Url {
        let mut url = self.endpoint.url().clone();
        let source = slug(alert.source.as_deref().unwrap_or("repository"));
        // The URL parser writes braces of a path as %7B and %7D.
        let path = url.path().replace("%7Bsource%7D", SOURCE).replace(SOURCE, &source);
        url.set_path(path.trim_end_matches('/'));
        let exit_code = alert.facts.iter().find(|(name, _)| name == "exit_code");
        let exit_code = exit_code.filter(|(_, code)| code.parse::<u8>().is_ok_and(|c| c != 0));
        let end = match (alert.phase, alert.severity) {
            (Phase::Started, _) => Some("start"),
            // A test is noted and changes nothing.
            _ if alert.event == "notify.test" => Some("log"),
            (_, Severity::Info) => None,
            _ => Some(exit_code.map_or("fail", |(_, code)| code.as_str())),
        };
        if let (Some(end), Ok(mut segments)) = (end, url.path_segments_mut()) {
            segments.push(end);
        }
        url
    }
}

#[async_trait]
impl Notifier for Healthchecks {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let alert = cleaned(alert, |text| self.endpoint.hide(text));
        let url = self.ping(&alert);
        let log = format!("{}\n\n{}", alert.title, alert.body);
        let log = cut_bytes(log.trim(), BODY_BYTES).into_bytes();
        self.endpoint
            .retry(|| {
                let text = HeaderValue::from_static("text/plain; charset=utf-8");
                let call = Call {
                    method: Method::POST,
                    url: url.clone(),
                    headers: HeaderMap::from_iter([(CONTENT_TYPE, text)]),
                    body: Some(log.clone()),
                };
                async { self.endpoint.call(call).await.map(|_| ()) }
            })
            .await
    }
}

fn slug(source: &str) -> String {
    let lower = source.to_ascii_lowercase();
    lower
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
        .collect()
}
