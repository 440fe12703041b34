//! What the server stated at backup time, kept to question a restore with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Facts recorded with a snapshot, all read inside its one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The server's version, as it prints it.
    pub server_version: String,
    /// Version of the tool that wrote the schema.
    pub schema_tool_version: String,
    /// Every table copied.
    pub tables: Vec<TableEvidence>,
    /// What was noticed on the way.
    pub findings: Vec<Finding>,
    /// Further facts by name (encoding, locale, extensions, roles used, WAL position).
    pub facts: BTreeMap<String, String>,
}

impl Evidence {
    /// Returns the rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// One table's facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEvidence {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// Rows copied.
    pub rows: u64,
    /// Bytes of the copied stream.
    pub bytes: u64,
}

/// Something a person should know about a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What sort.
    pub kind: FindingKind,
    /// One sentence: what, where, and what it means.
    pub message: String,
}

/// How a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// Worth knowing; the snapshot is complete.
    Note,
    /// Something is not covered by design (foreign data, another database).
    Warning,
    /// The snapshot cannot be trusted; it is committed as *suspect*.
    Suspect,
}

impl Finding {
    /// Creates a note.
    #[must_use]
    pub fn note(message: impl Into<String>) -> Self {
        Self { kind: FindingKind::Note, message: message.into() }
    }

    /// Creates a warning.
    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self { kind: FindingKind::Warning, message: message.into() }
    }

    /// Creates a reason for distrust.
    #[must_use]
    pub fn suspect(message: impl Into<String>) -> Self {
        Self { kind: FindingKind::Suspect, message: message.into() }
    }
}
