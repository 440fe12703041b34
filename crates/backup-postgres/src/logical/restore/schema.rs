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
pub(crate) struct Schema {
    /// All entries that are restored, roles renamed.
    pub(crate) archive: Archive,
    /// What was chosen; absent when everything is restored.
    pub(crate) subset: Option<Subset>,
    pub(crate) findings: Vec<Finding>,
}

/// Files for pg_restore.
pub(crate) struct Files {
    pub(crate) archive: PathBuf,
    pub(crate) before_rows: PathBuf,
    pub(crate) after_rows: PathBuf,
    /// Entries restored before the rows.
    pub(crate) entries_before: usize,
    /// Whether anything is left to create after the rows.
    pub(crate) any_after: bool,
}

impl Schema {
    /// Reads the archive and applies the options.
    pub(crate) async fn read(parts: &dyn PartSource, options: &RestoreOptions) -> Result<Self> {
        let mut schema = Self::read_some(parts, &options.tables, &options.schemas).await?;
        RoleMap::new(&options.role_map).apply(&mut schema.archive);
        for name in &options.without_extensions {
            schema.archive.leave_out_extension(name);
        }
        // A partitioned index is valid once all below it are attached and valid. Two sessions
        // that attach at two levels at once do not see each other's, and both leave it invalid.
        schema.archive.one_after_another("INDEX ATTACH");
        Ok(schema)
    }

    /// Reads the archive as it is, or what these tables and schemas need of it.
    pub(crate) async fn read_some(
        parts: &dyn PartSource,
        tables: &[String],
        schemas: &[String],
    ) -> Result<Self> {
        let mut archive = Archive::parse(&archive_bytes(parts).await?)?;
        if tables.is_empty() && schemas.is_empty() {
            return Ok(Self { archive, subset: None, findings: Vec::new() });
        }
        let subset = subset::choose(&archive, tables, schemas)?;
        archive.entries.retain(|entry| subset.ids.contains(&entry.id));
        let findings = subset.left_out.iter().map(Finding::note).collect();
        Ok(Self { archive, subset: Some(subset), findings })
    }

    /// Returns whether this table's rows are restored.
    pub(crate) fn wants_rows(&self, schema: &str, table: &str) -> bool {
        self.subset
            .as_ref()
            .is_none_or(|subset| subset.tables.contains(&(schema.to_owned(), table.to_owned())))
    }

    /// Returns the sequences that are restored, unless all are.
    pub(crate) fn sequences(&self) -> Option<BTreeSet<(String, String)>> {
        self.subset.as_ref()?;
        let sequences = self.archive.entries.iter().filter(|entry| entry.kind() == "SEQUENCE");
        Some(sequences.map(|e| (e.schema().to_owned(), e.tag().to_owned())).collect())
    }

    /// Writes the archive and the two lists, the entries in `elsewhere` in neither of them.
    pub(crate) fn write(
        &self,
        folder: &TemporaryFolder,
        elsewhere: &BTreeSet<i64>,
    ) -> Result<Files> {
        let entries = || self.archive.entries.iter().filter(|entry| !entry.is_of_database());
        let before: Vec<&Entry> = entries().filter(|entry| is_before_rows(entry)).collect();
        let rest = || entries().filter(|entry| !elsewhere.contains(&entry.id));
        let after = rest().filter(|entry| !is_before_rows(entry) || entry.is_setting());
        Ok(Files {
            any_after: rest().any(|entry| !is_before_rows(entry)),
            archive: folder.write("schema.dump", &self.archive.to_bytes())?,
            entries_before: before.len(),
            before_rows: folder.write("before-rows.list", list(before.into_iter()).as_bytes())?,
            after_rows: folder.write("after-rows.list", list(after).as_bytes())?,
        })
    }
}

async fn archive_bytes(parts: &dyn PartSource) -> Result<Vec<u8>> {
    read_part(parts, SCHEMA).await?.ok_or_else(|| {
        Error::new(ErrorKind::Integrity, "read schema").because("the snapshot has no schema")
    })
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
