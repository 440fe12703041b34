//! Where snapshots rest.

use backup_ops::document::ConditionDocument;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, without secrets.
    pub location: String,
    /// When it was last measured; absent until it was.
    pub measured_at: Option<Timestamp>,
    /// Bytes of all its objects.
    pub stored_bytes: Option<u64>,
    /// How many objects it holds.
    pub objects: Option<u64>,
    /// Bytes of source in all its snapshots: what keeping each one whole would take.
    pub source_bytes: Option<u64>,
    /// Bytes that no snapshot needs and prune would give back.
    pub unused_bytes: Option<u64>,
    /// How many snapshots it holds.
    pub snapshots: u64,
    /// Bytes of the device or quota it is on, where that has an end.
    pub capacity_bytes: Option<u64>,
    /// Bytes of it that are free.
    pub available_bytes: Option<u64>,
    /// Its size over time, oldest first; at most 400 points.
    pub growth: Vec<Growth>,
    /// How it goes on, where there are enough points to say.
    pub forecast: Option<Forecast>,
    /// What is worth looking at, by name.
    pub conditions: Vec<ConditionDocument>,
    /// What is wrong with it, a sentence each.
    pub problems: Vec<String>,
}

impl Repository {
    /// Returns how many bytes of source each stored byte stands for.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let (source, stored) = (self.source_bytes?, self.stored_bytes?);
        (stored > 0).then(|| source as f64 / stored as f64)
    }
}

/// One point of a growth chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Growth {
    /// When.
    pub at: Timestamp,
    /// Bytes of all objects then.
    pub stored_bytes: u64,
}

/// How a repository grows, by a straight line through its points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Bytes a day; negative while it shrinks.
    pub bytes_a_day: f64,
    /// Over how many days back.
    pub days: f64,
    /// When it is full at that rate; absent when it has no end or does not grow.
    pub full_at: Option<Timestamp>,
}
