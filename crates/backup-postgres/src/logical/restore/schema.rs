//! The schema archive on its way into the target: narrowed, renamed, and split in two lists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use backup_core::port::{PartSource, RestoreOptions};
use backup_core::{Error, ErrorKind, Finding, Result};

use super::TemporaryFolder;
use super::read_part;
use crate::logical::archive::{Archive, Entry, Section};
use crate::logical::names::SCHEMA;
use crate::logical::roles::RoleMap;
use crate::logical::subset::{self, Subset};

/// A schema ready to be restored.
pub(super) struct Schema {
    /// All entries that are restored, roles renamed.
    pub(super) archive: Archive,
    /// What was chosen; absent when everything is restored.
    pub(super) subset: Option<Subset>,
    pub(super) findings: Vec<Finding>,
}

/// Files for pg_restore.
pub(super) struct Files {
    pub(super) archive: PathBuf,
    pub(super) before_rows: PathBuf,
    pub(super) after_rows: PathBuf,
    /// Entries restored before the rows.
    pub(super) entries_before: usize,
}

impl Schema {
    /// Reads the archive and applies the options.
    pub(super) async fn read(parts: &dyn PartSource, options: &RestoreOptions) -> Result<Self> {
        let bytes = read_part(parts, SCHEMA).await?.ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "read schema").because("the snapshot has no schema")
        })?;
        let mut archive = Archive::parse(&bytes)?;
        let mut findings = Vec::new();
        let wants_all = options.tables.is_empty() && options.schemas.is_empty();
        let subset = if wants_all {
            None
        } else {
            let subset = subset::choose(&archive, &options.tables, &options.schemas)?;
            archive.entries.retain(|entry| subset.ids.contains(&entry.id));
            findings.extend(subset.left_out.iter().map(Finding::note));
            Some(subset)
        };
        RoleMap::new(&options.role_map).apply(&mut archive);
        Ok(Self { archive, subset, findings })
    }

    /// Returns whether this table's rows are restored.
    pub(super) fn wants_rows(&self, schema: &str, table: &str) -> bool {
        self.subset
            .as_ref()
            .is_none_or(|subset| subset.tables.contains(&(schema.to_owned(), table.to_owned())))
    }

    /// Returns the sequences that are restored, unless all are.
    pub(super) fn sequences(&self) -> Option<BTreeSet<(String, String)>> {
        self.subset.as_ref()?;
        let sequences = self.archive.entries.iter().filter(|entry| entry.kind() == "SEQUENCE");
        Some(sequences.map(|e| (e.schema().to_owned(), e.tag().to_owned())).collect())
    }

    /// Writes the archive and the two lists.
    pub(super) fn write(&self, folder: &TemporaryFolder) -> Result<Files> {
        let entries = || self.archive.entries.iter().filter(|entry| !entry.is_of_database());
        let before: Vec<&Entry> = entries().filter(|entry| is_before_rows(entry)).collect();
        let after = entries().filter(|entry| !is_before_rows(entry) || entry.is_setting());
        Ok(Files {
            archive: folder.write("schema.dump", &self.archive.to_bytes())?,
            entries_before: before.len(),
            before_rows: folder.write("before-rows.list", list(before.into_iter()).as_bytes())?,
            after_rows: folder.write("after-rows.list", list(after).as_bytes())?,
        })
    }
}

/// Privileges come after the rows: an owner who revoked his own right to insert must still be
/// restorable, and default privileges must not touch what is created before them. Comments and
/// labels stay with what they describe.
fn is_before_rows(entry: &Entry) -> bool {
    match entry.section {
        Section::PreData => !entry.is_privilege(),
        // On an index, a constraint, a trigger …: made after the rows.
        Section::None => entry.is_setting(),
        Section::Data | Section::PostData => false,
    }
}

/// A list as `pg_restore --use-list` reads it: it only looks at the numbers.
fn list<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    entries.fold(String::new(), |mut out, entry| {
        let _ = writeln!(out, "{};", entry.id);
        out
    })
}
