//! Who is told, resolved.

use std::path::PathBuf;

use backup_core::Severity;
use backup_retention::Period;

use crate::{NotifyKind, SecretRef};

/// A destination of alerts, and what it wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// Its name; unique.
    pub name: String,
    /// What is at the other end, and how to reach it.
    pub channel: ChannelSettings,
    /// Problems at least so urgent are told.
    pub severity: Severity,
    /// Only about these sources; empty: about all. A `*` stands for any text.
    pub sources: Vec<String>,
    /// Only these events; empty: all. A `*` stands for any text.
    pub events: Vec<String>,
    /// Whether good news is told.
    pub on_success: bool,
    /// Whether problems are told.
    pub on_failure: bool,
    /// Whether the end of a problem is told.
    pub on_recovery: bool,
    /// After how long a problem that is still there is told again; absent: never.
    pub remind_after: Option<Period>,
}

/// What is at the other end, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelSettings {
    /// A chat that takes an incoming webhook.
    Chat {
        /// `Slack`, `Discord` or `Teams`.
        kind: NotifyKind,
        /// The webhook's URL.
        url: SecretRef,
    },
    /// Any URL that takes JSON.
    Webhook {
        /// Where to.
        url: SecretRef,
        /// What signs requests.
        secret: Option<SecretRef>,
        /// The shape of bodies.
        template: Option<String>,
    },
    /// Mail.
    Email {
        /// The server.
        url: SecretRef,
        /// The password of the URL's user.
        password: Option<SecretRef>,
        /// The sender.
        from: String,
        /// The receivers.
        to: Vec<String>,
        /// Certificate authorities to trust besides the system's.
        ca_file: Option<PathBuf>,
    },
    /// PagerDuty's Events API v2.
    PagerDuty {
        /// Where it listens; absent: at PagerDuty.
        url: Option<SecretRef>,
        /// The integration key.
        routing_key: SecretRef,
    },
    /// Issues on GitHub.
    Github {
        /// Where the API is; absent: at GitHub.
        url: Option<SecretRef>,
        /// `owner/name`.
        repository: String,
        /// What authorises.
        token: SecretRef,
    },
    /// Pings of every run.
    Healthchecks {
        /// The ping URL.
        url: SecretRef,
    },
}

impl ChannelSettings {
    /// Returns what is at the other end.
    #[must_use]
    pub fn kind(&self) -> NotifyKind {
        match self {
            Self::Chat { kind, .. } => *kind,
            Self::Webhook { .. } => NotifyKind::Webhook,
            Self::Email { .. } => NotifyKind::Email,
            Self::PagerDuty { .. } => NotifyKind::PagerDuty,
            Self::Github { .. } => NotifyKind::Github,
            Self::Healthchecks { .. } => NotifyKind::Healthchecks,
        }
    }

    /// Returns the references to what authorises: two channels with the same one are the same.
    #[must_use]
    pub fn secrets(&self) -> Vec<&SecretRef> {
        match self {
            Self::Chat { url, .. } | Self::Healthchecks { url } => vec![url],
            Self::Webhook { url, .. } | Self::Email { url, .. } => vec![url],
            Self::PagerDuty { routing_key, .. } => vec![routing_key],
            Self::Github { token, .. } => vec![token],
        }
    }
}
