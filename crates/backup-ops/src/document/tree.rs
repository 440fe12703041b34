//! Entries of trees of files, a line each.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `ls --json` of a snapshot of files: one line for each entry.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EntryDocument {
    /// `backupctl.entry.v1`.
    #[schemars(extend("const" = "backupctl.entry.v1"))]
    pub schema: String,
    /// The snapshot's id.
    pub snapshot: String,
    /// The entry.
    #[serde(flatten)]
    pub entry: EntryFacts,
}

/// `diff --json` of two snapshots of files: one line for each entry that is not the same.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EntryChangeDocument {
    /// `backupctl.entry_change.v1`.
    #[schemars(extend("const" = "backupctl.entry_change.v1"))]
    pub schema: String,
    /// Its path, as in `entry.v1`.
    pub path: String,
    /// `added`, `removed`, `changed` (other contents) or `metadata` (all else).
    pub change: String,
    /// As it was; absent when it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EntryFacts>,
    /// As it became; absent when it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EntryFacts>,
}

/// `find --json` where a file was seen: one line for each.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EntryFoundDocument {
    /// `backupctl.entry_found.v1`.
    #[schemars(extend("const" = "backupctl.entry_found.v1"))]
    pub schema: String,
    /// The source's name.
    pub source: String,
    /// How many snapshots have it.
    pub snapshots: u64,
    /// Id of the first that has it.
    pub oldest: String,
    /// When that one was finished.
    pub oldest_at: Timestamp,
    /// Id of the last that has it.
    pub newest: String,
    /// When that one was finished.
    pub newest_at: Timestamp,
    /// Whether the source's newest snapshot of files has it.
    pub current: bool,
    /// The entry, as the last has it.
    #[serde(flatten)]
    pub entry: EntryFacts,
}

/// What is known of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryFacts {
    /// Its path below the root, `.` for the root; bytes that are no text are written `\\xNN`.
    pub path: String,
    /// `file`, `directory`, `link`, `pipe`, `character device` or `block device`.
    pub kind: String,
    /// Bytes of a file.
    pub bytes: u64,
    /// Permission bits, octal.
    pub mode: String,
    /// The owner's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
    /// When its contents last changed; absent where that is no time of the calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// What a link says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// XXH3-64 of a file's contents, hexadecimal, holes of whole pieces left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Whether it changed each time it was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub torn: bool,
}
