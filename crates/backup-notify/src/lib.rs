//! Delivers alerts to webhooks and chat.
//!
//! **What it is.** A [`Notifier`](backup_core::port::Notifier) for each kind of destination:
//! [`Slack`], [`Discord`], [`Teams`], [`Email`], [`PagerDuty`], [`Github`] issues, pings of
//! [`Healthchecks`], and [`Webhook`] for everything else that takes JSON, optionally signed and
//! of any shape ([`Template`]). All retry what is temporary, obey `Retry-After`, give up after a
//! bounded time, keep to the receiver's limits, and treat URL, token and key as the secrets they
//! are.
//!
//! **What it is not.** It does not decide what is worth an alert, reads no configuration, and
//! cannot tell you that the process died: for that, watch `backupctl validate` from outside.
//!
//! ```
//! use backup_core::Secret;
//! use backup_notify::{signature, verify_signature};
//!
//! // What a receiver does with a signed request:
//! let secret = Secret::new("shared with the sender");
//! let body = br#"{"schema":"backup.alert.v1"}"#;
//! let header = signature(&secret, "1774922400", body);
//! assert!(verify_signature(&secret, "1774922400", body, &header));
//! assert!(!verify_signature(&secret, "1774922400", b"forged", &header));
//! ```

mod client;
mod discord;
mod email;
mod endpoint;
mod github;
mod healthchecks;
mod pagerduty;
mod scrub;
mod slack;
mod teams;
mod template;
mod text;
mod webhook;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

pub use client::{client, client_builder};
pub use discord::Discord;
pub use email::{Email, EmailSettings};
pub use endpoint::Delivery;
pub use github::Github;
pub use healthchecks::Healthchecks;
pub use pagerduty::PagerDuty;
pub use reqwest::Client;
pub use slack::Slack;
pub use teams::Teams;
pub use template::Template;
pub use webhook::{
    DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhook, signature, verify_signature,
};

/// Returns a short name for some bytes, the same for the same bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}
