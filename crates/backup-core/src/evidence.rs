//! What the server stated at backup time, kept to question a restore with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Fingerprint;

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
    /// Every sequence copied. Snapshots of before they were recorded have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<SequenceEvidence>,
    /// How many there are of each kind of object ("index", "index, invalid" …). Snapshots of
    /// before they were counted have none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<String, u64>,
    /// Fingerprint of the schema's statements, owners and privileges included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Fingerprint>,
    /// Fingerprint of the pages of large objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<Fingerprint>,
    /// What a tree of files held; nothing for databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeEvidence>,
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

    /// Returns rows and fingerprint by table, as `schema.name`, the way they can be compared
    /// with another database's: partitions whose rows may move in a restore count as one.
    #[must_use]
    pub fn row_sets(&self) -> BTreeMap<String, RowSet> {
        let mut sets: BTreeMap<String, RowSet> = BTreeMap::new();
        for table in &self.tables {
            let own = format!("{}.{}", table.schema, table.name);
            let set = sets.entry(table.root.clone().unwrap_or(own)).or_insert(RowSet::EMPTY);
            set.rows += table.rows;
            set.fingerprint = set.fingerprint.zip(table.fingerprint).map(|(a, b)| a + b);
        }
        sets
    }
}

/// The rows of a table, or of partitions taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSet {
    /// How many.
    pub rows: u64,
    /// Which; nothing when one of them has no fingerprint.
    pub fingerprint: Option<Fingerprint>,
}

impl RowSet {
    const EMPTY: Self = Self { rows: 0, fingerprint: Some(Fingerprint(0)) };
}

/// One table's facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEvidence {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// Rows copied.
    pub rows: u64,
    /// Bytes of the copied stream.
    pub bytes: u64,
    /// Fingerprint of its rows as they were copied, whatever their order. Snapshots of before
    /// it was taken have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The partitioned table it is loaded through, as `schema.name`, where a restore may put
    /// its rows into other partitions: then only the whole can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

/// Where a sequence stood.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SequenceEvidence {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// The last value, or the next one when `is_called` is false.
    pub last_value: i64,
    /// Whether `last_value` was handed out.
    pub is_called: bool,
}

/// What a tree of files, or a bucket, held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEvidence {
    /// Where it was: a directory's path, or a bucket's address without secrets.
    pub root: String,
    /// Files, each name of one counted.
    pub files: u64,
    /// Directories, the root among them.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Pipes and devices.
    pub others: u64,
    /// Bytes of the files, each name of one counted, holes included.
    pub bytes: u64,
    /// Fingerprint of all that a restore brings back: names, contents, metadata.
    pub fingerprint: Fingerprint,
}

impl TreeEvidence {
    /// Returns how many things there are, the root among them.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.links + self.others
    }
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

    /// Creates a note on what a drill that did not end had left behind.
    #[must_use]
    pub fn swept(name: &str) -> Self {
        Self::note(format!("an earlier drill had left {name} behind; it was removed"))
    }

    /// Creates a reason for distrust.
    #[must_use]
    pub fn suspect(message: impl Into<String>) -> Self {
        Self { kind: FindingKind::Suspect, message: message.into() }
    }

    /// Creates the reason for distrust that nobody can lift: what was read is no instant.
    #[must_use]
    pub fn fuzzy(message: &str) -> Self {
        Self::suspect(format!("{FUZZY}{message}"))
    }

    /// Returns whether it says that what was read is no instant.
    #[must_use]
    pub fn is_fuzzy(&self) -> bool {
        self.kind == FindingKind::Suspect && self.message.starts_with(FUZZY)
    }
}

/// What the finding begins with that says so.
const FUZZY: &str = "fuzzy: ";
