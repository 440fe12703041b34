//! What the small verbs did, as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a verb without a document of its own did: `init`, `pin`, `unpin`, `prune`, `copy`,
/// `repair index`, `key …`, `export`, `notify test`, `demo`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptDocument {
    /// `backupctl.<verb>.v1`.
    #[schemars(regex(pattern = r"^backupctl\.[a-z_]+\.v1$"))]
    pub schema: String,
    /// One sentence: what was done.
    pub message: String,
    /// Counts and sizes by name.
    pub numbers: BTreeMap<String, u64>,
    /// Names, ids and places by name.
    pub facts: BTreeMap<String, String>,
    /// Each step with its reason, where there was a plan.
    pub steps: Vec<String>,
}

impl ReceiptDocument {
    /// Returns a receipt that says only `message`.
    #[must_use]
    pub fn new(verb: &str, message: impl Into<String>) -> Self {
        Self {
            schema: format!("backupctl.{verb}.v1"),
            message: message.into(),
            numbers: BTreeMap::new(),
            facts: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// Adds a count or a size.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.numbers.insert(name.into(), value);
        self
    }

    /// Adds a name, an id or a place.
    #[must_use]
    pub fn fact(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.facts.insert(name.into(), value.to_string());
        self
    }
}
