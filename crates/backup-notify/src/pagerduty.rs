//! PagerDuty, by its Events API v2.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier, Phase};
use backup_core::{Error, ErrorKind, Result, Secret, Severity};
use reqwest::Client;
use serde_json::{Value, json};

use crate::digest;
use crate::endpoint::{Delivery, Endpoint, json_headers};
use crate::scrub::cleaned;
use crate::template::facts;
use crate::text::{cut, cut_bytes};

const SUMMARY: usize = 1_024;
/// The service takes 512 KB.
const BODY_BYTES: usize = 64 << 10;

/// Opens an incident for a problem and resolves it when that is over.
///
/// All alerts of one problem bear the same `dedup_key`, so that repeating one, or reminding,
/// opens nothing twice. Good news that solves no problem is not sent.
#[derive(Debug)]
pub struct PagerDuty {
    endpoint: Endpoint,
    routing_key: Secret,
}

impl PagerDuty {
    /// Where the service listens, unless configured otherwise.
    pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";

    /// Creates the notifier with the integration key of a service; fails with `ConfigInvalid`
    /// when `url` is not an HTTP URL or the key is empty. Sends nothing yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        routing_key: Secret,
        delivery: Delivery,
    ) -> Result<Self> {
        if routing_key.expose().trim().is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "use PagerDuty routing key")
                .because("it is empty")
                .hint("Copy the integration key of an Events API v2 integration."));
        }
        let endpoint = Endpoint::new(client, clock, url, delivery, |_| "pagerduty".to_owned())?
            .hiding(&routing_key);
        Ok(Self { endpoint, routing_key })
    }

    fn event(&self, alert: &Alert) -> Value {
        let key = alert.problem.as_ref().map_or_else(
            || format!("backup/{}/{}", alert.event, alert.at),
            |problem| format!("backup/{problem}"),
        );
        // Keys may be 255 characters long; a longer one is told by its digest.
        let key = if key.len() > 255 { format!("backup/{}", digest(key.as_bytes())) } else { key };
        let routing_key = self.routing_key.expose().trim();
        if alert.solves() {
            return json!({
                "routing_key": routing_key,
                "event_action": "resolve",
                "dedup_key": key,
            });
        }
        let mut details = facts(alert);
        details.insert("details".into(), cut_bytes(&alert.body, BODY_BYTES).into());
        json!({
            "routing_key": routing_key,
            "event_action": "trigger",
            "dedup_key": key,
            "client": "backup",
            "payload": {
                "summary": cut(&alert.title, SUMMARY),
                "source": alert.source.as_deref().unwrap_or("backup"),
                "severity": severity(alert.severity),
                "timestamp": alert.at.to_string(),
                "component": "backup",
                "class": alert.event,
                "custom_details": details,
            },
        })
    }
}

#[async_trait]
impl Notifier for PagerDuty {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let news = alert.severity == Severity::Info && !alert.solves();
        if news || alert.phase == Phase::Started {
            return Ok(());
        }
        let alert = cleaned(alert, |text| self.endpoint.hide(text));
        self.endpoint
            .post(self.event(&alert).to_string().into_bytes(), json_headers)
            .await
            .map_err(|error| error.with("event", &alert.event))
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}
