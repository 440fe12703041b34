//! Which entries of an archive a restore of some tables or schemas needs: a pure planner.
//!
//! A table comes with what belongs to it (defaults, sequences, indexes, constraints, triggers,
//! policies, comments, privileges) and what those need (types, functions, extensions). What
//! would need a table that was not asked for is left out and named.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::Result;

use super::archive::{Archive, Entry};
use super::neighbours::unknown;

/// Kinds that come along with the relation they depend on.
const BELONGING: [&str; 18] = [
    "ACL",
    "CHECK CONSTRAINT",
    "COMMENT",
    "CONSTRAINT",
    "DEFAULT",
    "FK CONSTRAINT",
    "INDEX",
    "INDEX ATTACH",
    "MATERIALIZED VIEW DATA",
    "POLICY",
    "ROW SECURITY",
    "RULE",
    "SECURITY LABEL",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "STATISTICS",
    "TABLE ATTACH",
    "TRIGGER",
];
/// Kinds that are never pulled in by need alone.
const RELATIONS: [&str; 4] = ["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"];
/// Kinds that belong to the whole database.
const GLOBAL: [&str; 5] =
    ["DEFAULT ACL", "EVENT TRIGGER", "PUBLICATION", "PUBLICATION TABLE", "SUBSCRIPTION"];

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subset {
    /// Ids of the entries to restore.
    pub(crate) ids: BTreeSet<i64>,
    /// Tables whose rows are restored, as (schema, name).
    pub(crate) tables: BTreeSet<(String, String)>,
    /// What was left out, one sentence each.
    pub(crate) left_out: Vec<String>,
}

/// Chooses the entries for these tables (`schema.table` or `table`) and schemas.
///
/// Fails with `NotFound` when a name matches nothing; the hint lists near matches.
pub(crate) fn choose(archive: &Archive, tables: &[String], schemas: &[String]) -> Result<Subset> {
    let mut wanted = BTreeSet::new();
    for name in tables {
        wanted.extend(tables_named(archive, name)?);
    }
    for name in schemas {
        wanted.extend(entries_in_schema(archive, name)?);
    }
    let mut choice = Choice::new(archive);
    choice.add_partitions(&mut wanted);
    for id in &wanted {
        choice.require(*id);
    }
    choice.grow();
    Ok(choice.finish(&wanted))
}

struct Choice<'a> {
    archive: &'a Archive,
    by_id: BTreeMap<i64, &'a Entry>,
    ids: BTreeSet<i64>,
}

impl<'a> Choice<'a> {
    fn new(archive: &'a Archive) -> Self {
        let by_id = archive.entries.iter().map(|entry| (entry.id, entry)).collect();
        Self { archive, by_id, ids: BTreeSet::new() }
    }

    /// A partitioned table without its partitions would be empty.
    fn add_partitions(&self, wanted: &mut BTreeSet<i64>) {
        let attaches = || self.archive.entries.iter().filter(|e| e.kind() == "TABLE ATTACH");
        loop {
            let before = wanted.len();
            for attach in attaches() {
                let child = self.table(attach.schema(), attach.tag());
                let parents = attach.depends_on.iter().filter(|id| Some(**id) != child);
                if let Some(child) =
                    child.filter(|_| parents.into_iter().any(|id| wanted.contains(id)))
                {
                    wanted.insert(child);
                }
            }
            if wanted.len() == before {
                return;
            }
        }
    }

    fn table(&self, schema: &str, name: &str) -> Option<i64> {
        let found = self.archive.entries.iter().find(|entry| {
            entry.kind() == "TABLE" && entry.schema() == schema && entry.tag() == name
        });
        found.map(|entry| entry.id)
    }

    /// Adds an entry and everything it cannot exist without.
    fn require(&mut self, id: i64) {
        let mut waiting = vec![id];
        while let Some(id) = waiting.pop() {
            let Some(entry) = self.by_id.get(&id) else { continue };
            if self.ids.insert(id) {
                waiting.extend(&entry.depends_on);
            }
        }
    }

    /// Adds what belongs to what is there, until nothing more does.
    fn grow(&mut self) {
        loop {
            let before = self.ids.len();
            for entry in &self.archive.entries {
                if self.belongs(entry) && self.lacks(entry).is_empty() {
                    self.require(entry.id);
                }
            }
            if self.ids.len() == before {
                return;
            }
        }
    }

    fn belongs(&self, entry: &Entry) -> bool {
        BELONGING.contains(&entry.kind())
            && !self.ids.contains(&entry.id)
            && entry.depends_on.iter().any(|id| self.ids.contains(id) && self.carries(*id, entry))
    }

    /// Whether having `id` is a reason to have `entry`: a trigger comes with its table, not
    /// with its function.
    fn carries(&self, id: i64, entry: &Entry) -> bool {
        let Some(parent) = self.by_id.get(&id) else { return false };
        matches!(entry.kind(), "COMMENT" | "ACL" | "SECURITY LABEL")
            || RELATIONS.contains(&parent.kind())
            || matches!(parent.kind(), "INDEX" | "CONSTRAINT" | "SEQUENCE")
    }

    /// Returns the relations an entry needs that are not there.
    fn lacks(&self, entry: &Entry) -> Vec<&'a Entry> {
        let mut lacking = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = entry.depends_on.clone();
        while let Some(id) = waiting.pop() {
            if self.ids.contains(&id) || !seen.insert(id) {
                continue;
            }
            let Some(needed) = self.by_id.get(&id).copied() else { continue };
            if RELATIONS.contains(&needed.kind()) {
                lacking.push(needed);
            } else {
                waiting.extend(&needed.depends_on);
            }
        }
        lacking
    }

    fn finish(mut self, wanted: &BTreeSet<i64>) -> Subset {
        let left_out = self
            .archive
            .entries
            .iter()
            .filter(|entry| self.belongs(entry))
            .map(|entry| describe_left_out(entry, &self.lacks(entry)))
            .collect();
        let tables: BTreeSet<_> = wanted
            .iter()
            .filter_map(|id| self.by_id.get(id))
            .filter(|entry| entry.kind() == "TABLE")
            .map(|entry| (entry.schema().to_owned(), entry.tag().to_owned()))
            .collect();
        let settings = self.archive.entries.iter().filter(|entry| entry.is_setting());
        self.ids.extend(settings.map(|entry| entry.id));
        Subset { ids: self.ids, tables, left_out }
    }
}

fn describe_left_out(entry: &Entry, lacking: &[&Entry]) -> String {
    let names: Vec<String> =
        lacking.iter().map(|entry| format!("{}.{}", entry.schema(), entry.tag())).collect();
    format!(
        "{} {} ({}) is left out: it needs {}, which is not part of this restore",
        entry.kind().to_lowercase(),
        entry.tag(),
        entry.schema(),
        names.join(", ")
    )
}

fn tables_named(archive: &Archive, wanted: &str) -> Result<Vec<i64>> {
    let tables = || archive.entries.iter().filter(|entry| entry.kind() == "TABLE");
    let found: Vec<i64> = tables()
        .filter(|entry| entry.tag() == wanted || full_name(entry) == wanted)
        .map(|entry| entry.id)
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: BTreeSet<String> = tables().map(full_name).collect();
    Err(unknown("table", wanted, names))
}

fn full_name(entry: &Entry) -> String {
    format!("{}.{}", entry.schema(), entry.tag())
}

fn entries_in_schema(archive: &Archive, wanted: &str) -> Result<Vec<i64>> {
    let objects = || {
        archive.entries.iter().filter(|e| {
            !e.schema().is_empty() && !BELONGING.contains(&e.kind()) && !GLOBAL.contains(&e.kind())
        })
    };
    let of_schema = |entry: &&Entry| {
        entry.schema() == wanted || (entry.kind() == "SCHEMA" && entry.tag() == wanted)
    };
    let found: Vec<i64> = archive
        .entries
        .iter()
        .filter(|entry| entry.kind() == "SCHEMA" || entry.kind() == "SEQUENCE")
        .chain(objects())
        .filter(of_schema)
        .map(|entry| entry.id)
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: BTreeSet<String> = objects().map(|entry| entry.schema().to_owned()).collect();
    Err(unknown("schema", wanted, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, kind: &str, schema: &str, tag: &str, depends_on: &[i64]) -> Entry {
        Entry::for_test(id, kind, schema, tag, "", depends_on)
    }

    /// orders (with type, sequence, index, key to customers, trigger), customers, and a
    /// partitioned table.
    fn archive() -> Archive {
        Archive::for_test(vec![
            entry(1, "SCHEMA", "", "app", &[]),
            entry(2, "TYPE", "app", "state", &[1]),
            entry(3, "FUNCTION", "app", "f()", &[1]),
            entry(4, "TABLE", "app", "orders", &[1, 2]),
            entry(5, "SEQUENCE", "app", "orders_id_seq", &[1, 4]),
            entry(6, "DEFAULT", "app", "orders id", &[4, 5]),
            entry(7, "TABLE", "app", "customers", &[1]),
            entry(8, "CONSTRAINT", "app", "customers customers_pkey", &[7]),
            entry(9, "FK CONSTRAINT", "app", "orders fk", &[4, 7, 8]),
            entry(10, "TRIGGER", "app", "orders t", &[4, 3]),
            entry(11, "TRIGGER", "app", "customers t", &[7, 3]),
            entry(12, "COMMENT", "app", "COLUMN orders.id", &[4]),
            entry(13, "TABLE", "app", "events", &[1]),
            entry(14, "TABLE", "app", "events_1", &[1]),
            entry(15, "TABLE ATTACH", "app", "events_1", &[13, 14]),
            entry(16, "VIEW", "app", "v", &[4]),
            entry(17, "STDSTRINGS", "", "STDSTRINGS", &[]),
        ])
    }

    fn tables(names: &[&str]) -> Subset {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        choose(&archive(), &names, &[]).unwrap()
    }

    #[test]
    fn a_table_brings_what_belongs_to_it_and_what_that_needs() {
        let subset = tables(&["app.orders"]);
        assert_eq!(subset.ids, [1, 2, 3, 4, 5, 6, 10, 12, 17].into());
        assert_eq!(subset.tables, [("app".to_owned(), "orders".to_owned())].into());
        assert_eq!(subset.left_out.len(), 1, "{:?}", subset.left_out);
        assert!(
            subset.left_out[0].contains("orders fk")
                && subset.left_out[0].contains("app.customers")
        );
    }

    #[test]
    fn both_ends_bring_their_key() {
        let subset = tables(&["orders", "customers"]);
        assert!(subset.ids.contains(&9) && subset.left_out.is_empty(), "{subset:?}");
    }

    #[test]
    fn partitions_follow_their_parent_and_may_stand_alone() {
        assert_eq!(tables(&["events"]).ids, [1, 13, 14, 15, 17].into());
        let alone = tables(&["events_1"]);
        assert_eq!(alone.ids, [1, 14, 17].into());
        assert!(alone.left_out[0].contains("app.events"), "{:?}", alone.left_out);
    }

    #[test]
    fn a_schema_brings_its_views_and_functions() {
        let subset = choose(&archive(), &[], &["app".to_owned()]).unwrap();
        assert_eq!(subset.ids.len(), 17);
        assert_eq!(subset.tables.len(), 4);
        assert!(choose(&archive(), &[], &["ap".to_owned()]).is_err());
    }
}
