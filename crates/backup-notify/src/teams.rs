//! Microsoft Teams: the workflow "when a webhook request is received".

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier, Phase};
use backup_core::{Result, Secret, Severity};
use reqwest::Client;
use serde_json::{Value, json};

use crate::endpoint::{Delivery, Endpoint, json_headers};
use crate::scrub::cleaned;
use crate::text::{context, cut, cut_bytes, headline, plain_markdown};

/// Teams takes 28 KB in all; what is escaped may grow to twice its size.
const BODY_BYTES: usize = 8_000;
const TITLE: usize = 500;
const FACTS: usize = 12;
const FACT: usize = 300;

/// Delivers alerts to a Teams channel as an Adaptive Card, through a workflow's webhook.
#[derive(Debug)]
pub struct Teams {
    endpoint: Endpoint,
}

impl Teams {
    /// Creates the notifier; fails with `ConfigInvalid` when `url` is not an HTTP URL. Sends
    /// nothing yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        delivery: Delivery,
    ) -> Result<Self> {
        let endpoint = Endpoint::new(client, clock, url, delivery, |_| "teams".to_owned())?;
        Ok(Self { endpoint })
    }
}

#[async_trait]
impl Notifier for Teams {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let alert = cleaned(alert, |text| self.endpoint.hide(text));
        self.endpoint.post(message(&alert).to_string().into_bytes(), json_headers).await
    }
}

fn message(alert: &Alert) -> Value {
    let mut body = vec![json!({
        "type": "TextBlock",
        "text": plain_markdown(&cut(&headline(alert), TITLE)),
        "weight": "Bolder",
        "size": "Medium",
        "color": color(alert),
        "wrap": true,
    })];
    // A block a line: a card shows no line breaks inside of a block.
    let text = cut_bytes(alert.body.trim(), BODY_BYTES);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    body.extend(lines.take(60).enumerate().map(|(number, line)| {
        let spacing = if number == 0 { "Default" } else { "None" };
        json!({
            "type": "TextBlock",
            "text": plain_markdown(line),
            "wrap": true,
            "spacing": spacing,
        })
    }));
    let facts: Vec<Value> = alert
        .facts
        .iter()
        .take(FACTS)
        .map(|(name, value)| {
            json!({
                "title": plain_markdown(&cut(name, FACT)),
                "value": plain_markdown(&cut(value, FACT)),
            })
        })
        .collect();
    if !facts.is_empty() {
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    body.push(json!({
        "type": "TextBlock",
        "text": plain_markdown(&cut(&context(alert), TITLE)),
        "isSubtle": true,
        "size": "Small",
        "wrap": true,
    }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

fn color(alert: &Alert) -> &'static str {
    match (alert.phase, alert.severity) {
        (Phase::Solved, _) | (_, Severity::Info) => "Good",
        (_, Severity::Warning) => "Warning",
        (_, Severity::Critical) => "Attention",
    }
}
