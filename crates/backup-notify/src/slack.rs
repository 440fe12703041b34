//! Slack's incoming webhooks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier};
use backup_core::{Result, Secret};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::endpoint::{Delivery, Endpoint, json_headers};
use crate::scrub::cleaned;
use crate::text::{context, cut, headline, prefix};

/// Slack takes one message a second and channel.
const INTERVAL: Duration = Duration::from_secs(1);
/// Slack's limits in UTF-16 units, with room for what escaping adds on their side.
const HEADER_UNITS: usize = 150;
const SECTION_UNITS: usize = 3_000;
const FIELD_UNITS: usize = 1_000;
const FIELDS_PER_SECTION: usize = 10;
/// Whole messages fail beyond about 13,000 characters.
const MAX_BODY_SECTIONS: usize = 3;
const MAX_FACTS: usize = 10;

/// Delivers alerts to a Slack channel through an incoming webhook.
///
/// Messages are sent one at a time, a second apart. Long bodies are cut into sections, very long
/// ones end with the number of characters left out.
#[derive(Debug)]
pub struct Slack {
    endpoint: Endpoint,
    last_sent: Mutex<Option<Duration>>,
}

impl Slack {
    /// Creates the notifier; fails with `ConfigInvalid` when `url` is not an HTTP URL. Sends
    /// nothing yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        delivery: Delivery,
    ) -> Result<Self> {
        let endpoint = Endpoint::new(client, clock, url, delivery, |_| "slack".to_owned())?;
        Ok(Self { endpoint, last_sent: Mutex::new(None) })
    }

    fn message(&self, alert: &Alert) -> Value {
        message(&cleaned(alert, |text| self.endpoint.hide(text)))
    }
}

#[async_trait]
impl Notifier for Slack {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let body = self.message(alert).to_string().into_bytes();
        let mut last_sent = self.last_sent.lock().await;
        if let Some(last) = *last_sent {
            let since = self.endpoint.clock.elapsed().saturating_sub(last);
            if since < INTERVAL {
                self.endpoint.clock.sleep(INTERVAL.saturating_sub(since)).await;
            }
        }
        let result = self.endpoint.post(body, json_headers).await;
        *last_sent = Some(self.endpoint.clock.elapsed());
        result
    }
}

/// Builds the message. Everything variable goes into `plain_text`, where nothing is a mention,
/// a link or markup; the fallback text, which Slack does read as markup, is escaped.
fn message(alert: &Alert) -> Value {
    let headline = headline(alert);
    let mut blocks = vec![json!({
        "type": "header",
        "text": plain(&cut(&headline, HEADER_UNITS)),
    })];
    blocks.extend(
        sections(&alert.body)
            .into_iter()
            .map(|text| json!({ "type": "section", "text": plain(&text) })),
    );
    let facts: Vec<Value> = alert
        .facts
        .iter()
        .take(MAX_FACTS)
        .map(|(name, value)| plain(&cut(&format!("{name}: {value}"), FIELD_UNITS)))
        .collect();
    blocks.extend(
        facts
            .chunks(FIELDS_PER_SECTION)
            .map(|fields| json!({ "type": "section", "fields": fields })),
    );
    blocks.push(json!({
        "type": "context",
        "elements": [plain(&cut(&context(alert), FIELD_UNITS))],
    }));
    json!({ "text": escape(&cut(&headline, SECTION_UNITS)), "blocks": blocks })
}

fn plain(text: &str) -> Value {
    // Slack refuses empty texts.
    let text = if text.trim().is_empty() { "-" } else { text };
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Cuts a text into sections, at line ends where possible.
fn sections(body: &str) -> Vec<String> {
    let mut sections = Vec::new();
    let mut rest = body.trim();
    while !rest.is_empty() && sections.len() < MAX_BODY_SECTIONS {
        // Room for the note on what was left out.
        let limit = prefix(rest, SECTION_UNITS - 60);
        let end = if limit == rest.len() {
            limit
        } else {
            rest[..limit].rfind('\n').map_or(limit, |newline| newline + 1)
        };
        let (section, next) = rest.split_at(end);
        sections.push(section.trim_end().to_owned());
        rest = next.trim_start_matches('\n');
    }
    if let Some(last) = sections.last_mut().filter(|_| !rest.is_empty()) {
        last.push_str(&format!("\n… and {} more characters", rest.chars().count()));
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn sections_keep_to_the_limit_and_lose_nothing_silently() {
        for body in ["x".repeat(20_000), "ä😀\n".repeat(9_000), "line\n".repeat(10)] {
            let sections = sections(&body);
            assert!(sections.iter().all(|s| units(s) <= SECTION_UNITS && !s.is_empty()));
            assert!(sections.len() <= MAX_BODY_SECTIONS);
            let cut = sections.last().unwrap().contains("more characters");
            assert_eq!(cut, units(&body) > 3 * SECTION_UNITS);
        }
        assert!(sections("  ").is_empty());
    }
}
