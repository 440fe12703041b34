//! What is worth looking at, as JSON.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::health::{Condition, RepositoryHealth, SizeStanding, SuccessRate};

/// One thing worth looking at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConditionDocument {
    /// What: `overdue`, `size_small`, `storage_low` … More may be added.
    pub name: String,
    /// `info`, `warning` or `critical`.
    #[schemars(extend("enum" = ["info", "warning", "critical"]))]
    pub severity: String,
    /// One sentence.
    pub detail: String,
}

/// How large the newest snapshot is beside those before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SizeDocument {
    /// Bytes read for the newest.
    pub newest_bytes: u64,
    /// The median of up to fourteen before it.
    pub usual_bytes: u64,
    /// The newest as a multiple of what is usual.
    pub ratio: Option<f64>,
    /// How sizes change, in bytes a day; absent until there are five over a week.
    pub bytes_a_day: Option<f64>,
}

/// How many backups went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuccessDocument {
    /// Over how many days back.
    pub days: u32,
    /// Runs that ended well.
    pub good: u64,
    /// Runs that ended by themselves.
    pub all: u64,
}

/// How a repository stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryHealthDocument {
    /// Bytes of the device or quota it is on; absent where that has no end or cannot be told.
    pub capacity_bytes: Option<u64>,
    /// Bytes of it that are free.
    pub available_bytes: Option<u64>,
    /// How it grows, in bytes a day; absent where no daemon has measured it for days.
    pub bytes_a_day: Option<f64>,
    /// When it is full at that rate; absent when it has no end or does not grow.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub full_at: Option<Timestamp>,
    /// In how many days that is.
    pub days_until_full: Option<f64>,
    /// What is worth looking at, by name.
    pub conditions: Vec<ConditionDocument>,
}

impl ConditionDocument {
    /// Returns the document of a condition.
    #[must_use]
    pub fn new(condition: &Condition) -> Self {
        Self {
            name: condition.concern.as_str().into(),
            severity: condition.severity.as_str().into(),
            detail: condition.detail.clone(),
        }
    }
}

impl SizeDocument {
    /// Returns the document of a standing.
    #[must_use]
    pub fn new(size: &SizeStanding) -> Self {
        Self {
            newest_bytes: size.newest_bytes,
            usual_bytes: size.usual_bytes,
            ratio: size.ratio(),
            bytes_a_day: size.bytes_a_day,
        }
    }
}

impl SuccessDocument {
    /// Returns the document of a rate.
    #[must_use]
    pub fn new(rate: &SuccessRate) -> Self {
        Self { days: rate.days, good: rate.good, all: rate.all }
    }
}

impl RepositoryHealthDocument {
    /// Returns the document of a repository at an instant.
    #[must_use]
    pub fn new(health: &RepositoryHealth, now: Timestamp) -> Self {
        Self {
            capacity_bytes: health.room.map(|room| room.capacity_bytes),
            available_bytes: health.room.map(|room| room.available_bytes),
            bytes_a_day: health.forecast.map(|forecast| forecast.bytes_a_day),
            full_at: health.forecast.and_then(|forecast| forecast.full_at),
            days_until_full: health.days_until_full(now),
            conditions: health.conditions.iter().map(ConditionDocument::new).collect(),
        }
    }
}
