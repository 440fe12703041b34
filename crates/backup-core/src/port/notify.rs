//! Telling someone.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Result, Severity};

/// Delivers alerts to one destination.
#[async_trait]
pub trait Notifier: Send + Sync + std::fmt::Debug {
    /// Returns the destination's name for logs, without secrets ("slack", "webhook host").
    fn name(&self) -> String;

    /// Delivers one alert, retrying what is temporary; an error means "not delivered". The
    /// caller reports it and goes on: an alert never fails the run it speaks of.
    async fn deliver(&self, alert: &Alert) -> Result<()>;
}

/// What is told. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// How urgent.
    pub severity: Severity,
    /// The event's stable name: `backup.failed`, `backup.succeeded`, `verify.failed` …
    pub event: String,
    /// The source concerned, where there is one.
    pub source: Option<String>,
    /// One line for people.
    pub title: String,
    /// The rest: the error and its remedy, or the receipt.
    pub body: String,
    /// When it happened.
    pub at: Timestamp,
    /// Facts by name, for machines.
    pub facts: Vec<(String, String)>,
    /// The problem that it speaks of, such as `backup/shop`: two alerts of one problem bear the
    /// same name.
    #[serde(default)]
    pub problem: Option<String>,
    /// What it says about that problem.
    #[serde(default)]
    pub phase: Phase,
}

impl Alert {
    /// Returns whether its problem, if it names one, is over.
    #[must_use]
    pub fn solves(&self) -> bool {
        self.problem.is_some() && matches!(self.phase, Phase::News | Phase::Solved)
    }
}

/// Where in the life of a problem an alert stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Something worth knowing happened; if it names a problem, that is over.
    #[default]
    News,
    /// A run began: for destinations that measure how long runs take.
    Started,
    /// A problem exists.
    Open,
    /// It still exists.
    Reminder,
    /// It is over.
    Solved,
}

impl Phase {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::News => "news",
            Self::Started => "started",
            Self::Open => "open",
            Self::Reminder => "reminder",
            Self::Solved => "solved",
        }
    }
}
