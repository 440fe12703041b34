//! Restoring into a database that its host has furnished: the host's schemas, roles and objects
//! are there already and stay as they are, the customer's come in beside them.

mod adapt;
mod differ;
mod privileges;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Error, ErrorKind, Finding, Result};

use super::table::TablePart;
use crate::logical::archive::{Archive, Entry};
use crate::logical::catalog::sequences::Sequence;
use crate::logical::hosted::{Hosted, Scope};
use crate::logical::statement::function_called;

pub(super) use adapt::adapt;

/// What was found in a furnished database.
pub(crate) struct Furnished {
    hosted: Hosted,
    /// What of it is not looked at.
    scope: Scope,
    /// Its schema, without what is the host's alone.
    present: Archive,
    /// Columns that can be written, by schema and table.
    columns: BTreeMap<(String, String), BTreeSet<String>>,
    /// Tables of the host that hold rows of a customer.
    filled: Vec<String>,
    encoding: String,
}

/// Where the rows of a snapshot go.
pub(super) struct Loads {
    /// Into tables of the host, whose triggers must not fire.
    pub(super) quietly: Vec<TablePart>,
    /// Into tables that the restore creates.
    pub(super) plainly: Vec<TablePart>,
    pub(super) findings: Vec<Finding>,
}

impl Furnished {
    pub(super) fn encoding(&self) -> &str {
        &self.encoding
    }

    /// Returns a few of the things that a customer made, or put in; none where there are only
    /// the host's.
    pub(crate) fn holds(&self) -> Vec<String> {
        let objects = self.present.entries.iter().filter(|entry| self.is_customers(entry));
        let objects = objects.map(|entry| {
            let dot = if entry.schema().is_empty() { "" } else { "." };
            let kind = entry.kind().to_lowercase();
            format!("{kind} {}{dot}{}", entry.schema(), entry.tag())
        });
        let rows = self.filled.iter().map(|table| format!("rows of {table}"));
        objects.chain(rows).take(5).collect()
    }

    /// Whether somebody other than the host must have made this.
    fn is_customers(&self, entry: &Entry) -> bool {
        if entry.is_setting() || entry.is_of_database() || entry.is_privilege() {
            return false;
        }
        match entry.kind() {
            "COMMENT" | "SECURITY LABEL" | "EXTENSION" | "ROW SECURITY" => false,
            "SCHEMA" => entry.tag() != "public" && !self.is_host_schema(entry.tag()),
            "PUBLICATION" => !self.hosted.publications.contains(&entry.tag()),
            "POLICY" => true,
            "TRIGGER" if self.is_host_schema(entry.schema()) => !self.is_hosts_trigger(entry),
            _ => !self.is_host_schema(entry.schema()),
        }
    }

    /// Whether a schema is the host's in this database.
    fn is_host_schema(&self, schema: &str) -> bool {
        self.scope.is_host_schema(&self.hosted, schema)
    }

    /// A trigger of the host calls a function beside its table.
    fn is_hosts_trigger(&self, entry: &Entry) -> bool {
        function_called(entry.definition()).is_some_and(|(schema, _)| schema == entry.schema())
    }

    /// Returns the statement of what is there under the same kind, schema and name.
    fn find(&self, kind: &str, schema: &str, tag: &str) -> Option<&Entry> {
        self.present
            .entries
            .iter()
            .find(|entry| entry.kind() == kind && entry.schema() == schema && entry.tag() == tag)
    }

    fn has_function(&self, schema: &str, name: &str) -> bool {
        self.present.entries.iter().any(|entry| {
            entry.kind() == "FUNCTION"
                && entry.schema() == schema
                && entry.tag().split('(').next().is_some_and(|tag| tag.trim_matches('"') == name)
        })
    }

    /// Decides where rows go. `Conflict` where a table of the host lacks what the snapshot has
    /// rows for: its version of the structure is older.
    pub(super) fn loads(&self, archive: &Archive, tables: Vec<TablePart>) -> Result<Loads> {
        let created: BTreeSet<(&str, &str)> = archive
            .entries
            .iter()
            .filter(|entry| entry.kind() == "TABLE")
            .map(|entry| (entry.schema(), entry.tag()))
            .collect();
        let mut loads = Loads { quietly: Vec::new(), plainly: Vec::new(), findings: Vec::new() };
        let mut problems = Vec::new();
        for table in tables {
            let name = (table.schema.clone(), table.table.clone());
            let is_hosts = self.is_host_schema(&table.schema)
                && table.brought_by.is_none()
                && !created.contains(&(table.schema.as_str(), table.table.as_str()));
            if !is_hosts {
                loads.plainly.push(table);
                continue;
            }
            if self.hosted.is_version(&table.schema, &table.table) {
                continue;
            }
            let label = format!("{}.{}", table.schema, table.table);
            match self.columns.get(&name) {
                None if table.rows == 0 => loads.findings.push(Finding::note(format!(
                    "{label} does not exist in the target; it had no rows"
                ))),
                None => problems.push(format!("{label} ({} rows) does not exist", table.rows)),
                Some(columns) => {
                    let lacking = table.columns_without(columns);
                    if lacking.is_empty() {
                        loads.quietly.push(table);
                    } else if table.rows > 0 {
                        problems.push(format!("{label} has no column {}", lacking.join(", ")));
                    }
                }
            }
        }
        if problems.is_empty() {
            return Ok(loads);
        }
        Err(Error::new(ErrorKind::Conflict, "check restore target")
            .with("host", self.hosted.name)
            .hint(format!(
                "Nothing was written. The target's own structure is older than the snapshot's: \
                 upgrade that project at {}, or restore into a new one.",
                self.hosted.name
            ))
            .because(problems.join("; ")))
    }

    /// Leaves only the sequences that exist after the schema was restored.
    pub(super) fn keep_sequences(&self, archive: &Archive, values: &mut Vec<Sequence>) {
        values.retain(|one| {
            let created = || {
                archive.entries.iter().any(|entry| {
                    entry.kind() == "SEQUENCE"
                        && entry.schema() == one.schema
                        && entry.tag() == one.name
                })
            };
            !self.is_host_schema(&one.schema)
                || self.find("SEQUENCE", &one.schema, &one.name).is_some()
                || created()
        });
    }
}
