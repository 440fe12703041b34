//! Keys as JSON; never a secret.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `backupctl key list --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeysDocument {
    /// `backupctl.keys.v1`.
    #[schemars(extend("const" = "backupctl.keys.v1"))]
    pub schema: String,
    /// The repository's id.
    pub repository: String,
    /// Each key that opens it.
    pub keys: Vec<KeyDocument>,
}

/// One key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyDocument {
    /// Its id.
    pub id: String,
    /// `passphrase`, `key-file` or `recipient`.
    pub kind: String,
    /// What its holder may do: `everything`, or only `write`.
    #[schemars(extend("enum" = ["everything", "write"]))]
    pub may: String,
    /// What its owner called it.
    pub label: String,
    /// When it was added.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: Timestamp,
}
