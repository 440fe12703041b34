//! Telling someone.

use async_trait::async_trait;
use jiff::Timestamp;

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
#[derive(Clone, Debug)]
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
}
