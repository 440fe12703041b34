//! Webhooks of anyone: a documented JSON body, signed on request.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier};
use backup_core::{Error, ErrorKind, Result, Secret};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::digest;
use crate::endpoint::{Delivery, Endpoint};
use crate::scrub::cleaned;
use crate::template::{Template, facts};

/// Seconds since 1970 at which the attempt was made.
pub const TIMESTAMP_HEADER: &str = "x-backup-timestamp";
/// `sha256=` and the hexadecimal HMAC-SHA256 over timestamp, `.` and body.
pub const SIGNATURE_HEADER: &str = "x-backup-signature";
/// The same for all attempts to deliver one alert.
pub const DELIVERY_HEADER: &str = "x-backup-delivery";

/// Delivers alerts as JSON to any URL.
///
/// The body is `{"schema": "backup.alert.v1", "severity", "event", "source", "title", "body",
/// "at", "facts": {…}, "problem", "phase"}`; fields may be added, never removed. Any 2xx answer
/// is success.
#[derive(Debug)]
pub struct Webhook {
    endpoint: Endpoint,
    signing: Option<Secret>,
    template: Option<Template>,
}

impl Webhook {
    /// Creates the notifier; with a `signing` secret every request carries a signature (see
    /// [`signature`]). Fails with `ConfigInvalid` when `url` is not an HTTP URL. Sends nothing
    /// yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        signing: Option<Secret>,
        delivery: Delivery,
    ) -> Result<Self> {
        if signing.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "use webhook signing secret")
                .because("it is empty")
                .hint("Set a secret that the receiver shares, or none at all."));
        }
        let mut endpoint = Endpoint::new(client, clock, url, delivery, name)?;
        if let Some(secret) = &signing {
            endpoint = endpoint.hiding(secret);
        }
        Ok(Self { endpoint, signing, template: None })
    }

    /// Sends bodies of this shape instead of the documented one.
    #[must_use]
    pub fn templated(self, template: Template) -> Self {
        Self { template: Some(template), ..self }
    }

    fn body(&self, alert: &Alert) -> Vec<u8> {
        let alert = cleaned(alert, |text| self.endpoint.hide(text));
        let body = match &self.template {
            Some(template) => template.render(&alert),
            None => json!({
                "schema": "backup.alert.v1",
                "severity": alert.severity.as_str(),
                "event": alert.event,
                "source": alert.source,
                "title": alert.title,
                "body": alert.body,
                "at": alert.at.to_string(),
                "facts": facts(&alert),
                "problem": alert.problem,
                "phase": alert.phase.as_str(),
            }),
        };
        body.to_string().into_bytes()
    }

    fn headers(&self, body: &[u8]) -> HeaderMap {
        let timestamp = self.endpoint.clock.now().as_second().to_string();
        let delivery = digest(body);
        let mut values = vec![
            (CONTENT_TYPE, "application/json".to_owned()),
            (HeaderName::from_static(TIMESTAMP_HEADER), timestamp.clone()),
            (HeaderName::from_static(DELIVERY_HEADER), delivery),
        ];
        if let Some(secret) = &self.signing {
            let signature = signature(secret, &timestamp, body);
            values.push((HeaderName::from_static(SIGNATURE_HEADER), signature));
        }
        values
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
            .collect()
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let body = self.body(alert);
        self.endpoint.post(body.clone(), || self.headers(&body)).await
    }
}

fn name(url: &Url) -> String {
    format!("webhook {}", url.host_str().unwrap_or("?"))
}

/// Returns the value of [`SIGNATURE_HEADER`] for a request: `sha256=` and the hexadecimal
/// HMAC-SHA256, keyed by the shared secret, of the timestamp header, a `.` and the raw body.
#[must_use]
pub fn signature(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    sign(secret, timestamp, body).unwrap_or_default()
}

/// Returns whether `header` is the signature of a request, comparing in constant time. Check
/// also that the timestamp is recent, or a recorded request can be replayed.
#[must_use]
pub fn verify_signature(secret: &Secret, timestamp: &str, body: &[u8], header: &str) -> bool {
    sign(secret, timestamp, body)
        .is_some_and(|expected| expected.as_bytes().ct_eq(header.as_bytes()).into())
}

/// HMAC takes keys of any length, so there always is a signature; its type does not know.
fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    let mac = mac.chain_update(timestamp).chain_update(".").chain_update(body);
    Some(format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '%s' '1700000000.{}' | openssl dgst -sha256 -hmac key`.
    const KNOWN: &str = "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";

    #[test]
    fn signs_as_openssl_does() {
        let secret = Secret::new("key");
        assert_eq!(signature(&secret, "1700000000", b"{}"), KNOWN);
        assert!(verify_signature(&secret, "1700000000", b"{}", KNOWN));
        assert!(!verify_signature(&secret, "1700000001", b"{}", KNOWN));
        assert!(!verify_signature(&secret, "1700000000", b"{}", ""));
        assert!(!verify_signature(&Secret::new("kez"), "1700000000", b"{}", KNOWN));
    }
}
