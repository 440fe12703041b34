//! Delivers alerts to webhooks and chat.
//!
//! **What it is.** Two [`Notifier`](backup_core::port::Notifier)s: [`Slack`] for Slack's incoming
//! webhooks and [`Webhook`] for everything else that takes JSON, optionally signed. Both retry
//! what is temporary, obey `Retry-After`, give up after a bounded time, and treat their URL as
//! the secret it is.
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
mod endpoint;
mod scrub;
mod slack;
mod webhook;

pub use client::{client, client_builder};
pub use endpoint::Delivery;
pub use slack::Slack;
pub use webhook::{
    DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhook, signature, verify_signature,
};
