//! Discord's webhooks.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier, Phase};
use backup_core::{Result, Secret, Severity};
use reqwest::Client;
use serde_json::{Value, json};

use crate::endpoint::{Delivery, Endpoint, json_headers};
use crate::scrub::cleaned;
use crate::text::{context, cut, headline, plain_markdown};

/// Discord's limits, in characters of one embed; 6,000 for all of it.
const TITLE: usize = 256;
const DESCRIPTION: usize = 2_500;
const FIELD_NAME: usize = 100;
const FIELD_VALUE: usize = 200;
const FIELDS: usize = 8;
const FOOTER: usize = 300;

/// Delivers alerts to a Discord channel through its webhook, as an embed that mentions nobody.
#[derive(Debug)]
pub struct Discord {
    endpoint: Endpoint,
}

impl Discord {
    /// Creates the notifier; fails with `ConfigInvalid` when `url` is not an HTTP URL. Sends
    /// nothing yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        delivery: Delivery,
    ) -> Result<Self> {
        let endpoint = Endpoint::new(client, clock, url, delivery, |_| "discord".to_owned())?;
        Ok(Self { endpoint })
    }
}

#[async_trait]
impl Notifier for Discord {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let alert = cleaned(alert, |text| self.endpoint.hide(text));
        self.endpoint.post(message(&alert).to_string().into_bytes(), json_headers).await
    }
}

fn message(alert: &Alert) -> Value {
    // The ends of texts are cut after escaping, or they would grow past the limit.
    let text = |text: &str, most| cut(&plain_markdown(text), most);
    let fields: Vec<Value> = alert
        .facts
        .iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .take(FIELDS)
        .map(|(name, value)| {
            json!({
                "name": text(name, FIELD_NAME),
                "value": text(value, FIELD_VALUE),
                "inline": true,
            })
        })
        .collect();
    json!({
        "allowed_mentions": { "parse": [] },
        "embeds": [{
            "title": text(&headline(alert), TITLE),
            "description": text(&alert.body, DESCRIPTION),
            "color": color(alert),
            "fields": fields,
            "footer": { "text": cut(&context(alert), FOOTER) },
            "timestamp": alert.at.to_string(),
        }],
    })
}

fn color(alert: &Alert) -> u32 {
    match (alert.phase, alert.severity) {
        (Phase::Solved, _) | (_, Severity::Info) => 0x2e_a0_43,
        (_, Severity::Warning) => 0xd2_99_22,
        (_, Severity::Critical) => 0xda_36_33,
    }
}
