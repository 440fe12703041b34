//! What is wrong, who was told, and what is still to be told: kept across restarts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::notify::{Alert, Phase};
use crate::{Result, Severity};

/// Keeps the [`AlertBook`] of one daemon. One process writes at a time.
#[async_trait]
pub trait AlertLedger: Send + Sync + std::fmt::Debug {
    /// Returns every open problem, every delivery that waits, and the next free number.
    async fn load(&self) -> Result<AlertBook>;

    /// Makes these changes in their order, all or none; they survive a crash from the moment
    /// this returns.
    async fn apply(&self, changes: &[LedgerChange]) -> Result<()>;

    /// Returns up to `limit` deliveries of any state, the highest number first. Ended ones may
    /// be forgotten after a while, waiting ones never.
    async fn recent(&self, limit: usize) -> Result<Vec<QueuedAlert>>;
}

/// A step of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerChange {
    /// A problem exists and looks like this; replaces the one of that key.
    Problem(OpenProblem),
    /// The problem of that key is over.
    Closed(String),
    /// A delivery looks like this; replaces the one of that number.
    Delivery(QueuedAlert),
}

/// A problem that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenProblem {
    /// Its name, as in [`Alert::problem`].
    pub key: String,
    /// Its newest description.
    pub alert: Alert,
    /// When it was first seen.
    pub since: Timestamp,
    /// Who was told, by channel.
    pub told: BTreeMap<String, Told>,
}

/// What a channel was last told about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The worst severity told.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
}

/// An alert on its way to one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedAlert {
    /// Its number; later ones are higher.
    pub id: u64,
    /// Which channel.
    pub channel: String,
    /// What is told.
    pub alert: Alert,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_try: Timestamp,
    /// Why the last attempt failed; holds no secret.
    pub last_error: Option<String>,
    /// Whether that was the fault of the channel as a whole, so that nothing else is worth
    /// trying there before [`QueuedAlert::next_try`].
    pub channel_down: bool,
    /// What became of it.
    pub state: DeliveryState,
    /// When it ended, unless it waits.
    pub ended_at: Option<Timestamp>,
}

impl QueuedAlert {
    /// Returns whether it speaks of a problem as existing.
    #[must_use]
    pub fn reports(&self, problem: &str) -> bool {
        self.alert.problem.as_deref() == Some(problem)
            && matches!(self.alert.phase, Phase::Open | Phase::Reminder)
    }
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is to be sent.
    Waiting,
    /// The destination took it.
    Delivered,
    /// It was overtaken by events and will not be sent; its last error says by which.
    Dropped,
}

impl DeliveryState {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
        }
    }
}

/// Everything that alerting remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertBook {
    /// Problems that exist, by key.
    pub problems: BTreeMap<String, OpenProblem>,
    /// Deliveries that wait, by number.
    pub waiting: BTreeMap<u64, QueuedAlert>,
    /// A number higher than that of any delivery ever made.
    pub next_id: u64,
}

impl AlertBook {
    /// Makes a change, as [`AlertLedger::apply`] does.
    pub fn apply(&mut self, change: &LedgerChange) {
        match change {
            LedgerChange::Problem(problem) => {
                self.problems.insert(problem.key.clone(), problem.clone());
            }
            LedgerChange::Closed(key) => {
                self.problems.remove(key);
            }
            LedgerChange::Delivery(delivery) => {
                self.next_id = self.next_id.max(delivery.id.saturating_add(1));
                if delivery.state == DeliveryState::Waiting {
                    self.waiting.insert(delivery.id, delivery.clone());
                } else {
                    self.waiting.remove(&delivery.id);
                }
            }
        }
    }
}
