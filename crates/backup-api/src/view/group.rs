//! How a group stands.

use backup_core::SourceName;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;

/// Sources that are one recovery set, and how they stand together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// Its name, which no source has.
    #[schemars(with = "String")]
    pub name: SourceName,
    /// Its members in the order in which they are taken.
    #[schemars(with = "Vec<String>")]
    pub members: Vec<SourceName>,
    /// How it stands.
    pub state: State,
    /// Why, a sentence each; empty when protected.
    pub reasons: Vec<String>,
    /// How old the newest complete set may get.
    pub rpo_seconds: u64,
    /// The newest complete set's id.
    pub newest_set: Option<String>,
    /// When that was begun: how old its oldest data is.
    pub newest_at: Option<Timestamp>,
    /// How many complete sets there are.
    pub complete: u64,
    /// How many incomplete ones.
    pub incomplete: u64,
    /// What the newest drill of a set found: `passed`, `failed` or `inconclusive`.
    pub drill_verdict: Option<String>,
    /// When the newest that passed began.
    pub drill_passed_at: Option<Timestamp>,
    /// When the next set is taken.
    pub next_at: Option<Timestamp>,
}
