//! What of a hosted database is copied: decided before the instant, kept with the snapshot.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Error, ErrorKind, Finding, Result};
use serde::{Deserialize, Serialize};

use super::{Hosted, matches};
use crate::logical::catalog::sequences::Listed;
use crate::logical::catalog::tables::Table;
use crate::quote_ident;

/// The name of a snapshot's fact that holds it.
const FACT: &str = "scope";
/// The name of the fact that lists what a restore may lack.
const OPTIONAL: &str = "optional_relations";

/// What is left out, by name. The empty scope leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Scope {
    /// Who hosts; empty for a database that nobody furnished.
    pub(crate) host: String,
    /// Schemas that are not looked at.
    pub(crate) schemas: BTreeSet<String>,
    /// Schemas whose rows are not copied.
    pub(crate) without_rows: BTreeSet<String>,
    /// Tables that are not looked at, as schema and name.
    pub(crate) tables: BTreeSet<(String, String)>,
    /// Extensions that are not looked at, with everything that is theirs.
    pub(crate) extensions: BTreeSet<String>,
    /// Extensions that are copied and left out where a server lacks them.
    pub(crate) optional_extensions: BTreeSet<String>,
    /// Tables and sequences, as `schema.name`, that come with those; a fact of its own.
    #[serde(skip)]
    pub(crate) optional_relations: BTreeSet<String>,
    /// Tables of TimescaleDB, as schema and name, that no copy of rows covers.
    #[serde(skip)]
    pub(crate) hypertables: Vec<(String, String)>,
}

/// Whose the schemas are.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// Schemas with the roles that own them, or a table in them.
    pub(crate) roles: Vec<(String, String)>,
    /// Schemas with others that hold parents of their tables.
    pub(crate) children: Vec<(String, String)>,
}

impl Owned {
    /// Takes schemas out that are not left out although their names are on the host's list: what
    /// a customer or another role made there, and where rows of tables in scope are.
    fn keep(&self, hosted: &Hosted, left_out: &mut BTreeSet<String>) {
        for (schema, role) in &self.roles {
            if !hosted.is_host_role(role) {
                left_out.remove(schema);
            }
        }
        loop {
            let before = left_out.len();
            for (child, parent) in &self.children {
                if !left_out.contains(parent) {
                    left_out.remove(child);
                }
            }
            if left_out.len() == before {
                return;
            }
        }
    }
}

impl Scope {
    /// Decides for a database with these schemas, extensions and tables. A table that may not be
    /// read is left out only where its rows are nobody's; anywhere else it stays, and is refused
    /// later with all others.
    pub(crate) fn resolve(
        hosted: &Hosted,
        schemas: &[String],
        owned: &Owned,
        extensions: &[String],
        tables: &[Table],
    ) -> Self {
        let chosen = |names: &[String], patterns: &[&str]| -> BTreeSet<String> {
            names.iter().filter(|name| matches(patterns, name)).cloned().collect()
        };
        let mut scope = Self {
            host: hosted.name.to_owned(),
            schemas: chosen(schemas, hosted.ignored),
            without_rows: chosen(schemas, hosted.without_rows),
            extensions: chosen(extensions, hosted.own_extensions),
            optional_extensions: chosen(extensions, hosted.optional_extensions),
            ..Self::default()
        };
        owned.keep(hosted, &mut scope.schemas);
        for table in tables {
            let nobodys = scope.without_rows.contains(&table.schema)
                || hosted.is_version(&table.schema, &table.name);
            if nobodys && table.is_locked() && !table.readable && !scope.hides(table) {
                scope.tables.insert((table.schema.clone(), table.name.clone()));
            }
        }
        scope
    }

    /// Adds the relations that come with optional extensions.
    pub(crate) fn note_optional(&mut self, tables: &[Table], sequences: &[Listed]) {
        let tables = tables.iter().map(|t| (&t.extension, t.label()));
        let sequences =
            sequences.iter().map(|s| (&s.extension, format!("{}.{}", s.schema, s.name)));
        for (extension, name) in tables.chain(sequences) {
            if extension.as_ref().is_some_and(|name| self.optional_extensions.contains(name)) {
                self.optional_relations.insert(name);
            }
        }
    }

    /// Returns whether a schema is the host's in this database: one that is only called like one
    /// of the host's is not.
    pub(crate) fn is_host_schema(&self, hosted: &Hosted, schema: &str) -> bool {
        hosted.is_host_schema(schema)
            && (self.schemas.contains(schema) || !matches(hosted.ignored, schema))
    }

    /// Fails with `Unsupported` where hypertables of TimescaleDB are among `tables`: their rows
    /// are in tables that only that extension can put together again.
    pub(crate) fn check_hypertables(&self, tables: &[Table]) -> Result<()> {
        let is_wanted = |(schema, name): &&(String, String)| {
            tables.iter().any(|table| table.schema == *schema && table.name == *name)
        };
        let names: Vec<String> = self
            .hypertables
            .iter()
            .filter(is_wanted)
            .map(|(schema, name)| format!("{schema}.{name}"))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "copy hypertables of TimescaleDB")
            .with("host", &self.host)
            .with("hypertables", names.join(", "))
            .hint(
                "Nothing was copied. Turn them into plain or partitioned tables (copy the rows \
                 over, drop the hypertable, rename), then DROP EXTENSION timescaledb; or copy this \
                 database by TimescaleDB's own procedure.",
            ))
    }

    /// Leaves what is not looked at out of a list of tables, and marks those without rows.
    pub(crate) fn narrow(&self, tables: &mut Vec<Table>) {
        tables.retain(|table| !self.hides(table));
        for table in tables {
            table.without_rows =
                table.extension.is_none() && self.without_rows.contains(&table.schema);
        }
    }

    /// What an extension owns is the extension's affair, whatever schema it is in.
    fn hides(&self, table: &Table) -> bool {
        match &table.extension {
            Some(extension) => self.extensions.contains(extension),
            None => {
                self.schemas.contains(&table.schema)
                    || self.tables.contains(&(table.schema.clone(), table.name.clone()))
            }
        }
    }

    /// Returns whether a sequence's value is copied.
    pub(crate) fn has_sequence(&self, sequence: &Listed) -> bool {
        match &sequence.extension {
            Some(extension) => !self.extensions.contains(extension),
            None => {
                !self.schemas.contains(&sequence.schema)
                    && !self.without_rows.contains(&sequence.schema)
            }
        }
    }

    /// Returns pg_dump's arguments that leave the same out; `major` is the program's.
    pub(crate) fn dump_arguments(&self, major: u32) -> Vec<String> {
        let schemas = self.schemas.iter();
        let mut arguments: Vec<String> =
            schemas.map(|name| format!("--exclude-schema={}", quote_ident(name))).collect();
        // Without data, it does not ask for the values of their sequences either.
        let without = self.without_rows.iter();
        arguments
            .extend(without.map(|name| format!("--exclude-table-data={}.*", quote_ident(name))));
        arguments.extend(self.tables.iter().map(|(schema, name)| {
            format!("--exclude-table={}.{}", quote_ident(schema), quote_ident(name))
        }));
        if major >= 17 {
            let extensions = self.extensions.iter();
            arguments.extend(
                extensions.map(|name| format!("--exclude-extension={}", quote_ident(name))),
            );
        }
        arguments
    }

    /// Returns what a person should know.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.hypertables.is_empty() {
            let names: Vec<String> =
                self.hypertables.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
            findings.push(Finding::warning(format!(
                "no backup is possible while there are hypertables of TimescaleDB: {}",
                names.join(", ")
            )));
        }
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        if !self.schemas.is_empty() {
            findings.push(Finding::note(format!(
                "schemas that {} keeps for itself are not in the snapshot: {}",
                self.host,
                list(&self.schemas)
            )));
        }
        if !self.without_rows.is_empty() {
            findings.push(Finding::note(format!(
                "schemas whose rows {} makes anew are in the snapshot without rows: {}",
                self.host,
                list(&self.without_rows)
            )));
        }
        if !self.tables.is_empty() {
            let names: BTreeSet<String> =
                self.tables.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
            findings.push(Finding::note(format!(
                "tables of {} that this role may not read are not in the snapshot: {}",
                self.host,
                list(&names)
            )));
        }
        findings
    }

    /// Writes itself into a snapshot's facts; the empty scope leaves no trace.
    pub(crate) fn to_facts(&self, facts: &mut BTreeMap<String, String>) -> Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let json = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Failed, "describe scope of snapshot").because(error)
        })?;
        facts.insert(FACT.to_owned(), json);
        if !self.optional_relations.is_empty() {
            let names = serde_json::json!(self.optional_relations);
            facts.insert(OPTIONAL.to_owned(), names.to_string());
        }
        self.split_extensions(facts);
        Ok(())
    }

    /// The fact `extensions` names what a restore cannot do without.
    fn split_extensions(&self, facts: &mut BTreeMap<String, String>) {
        let Some(text) = facts.get_mut("extensions") else { return };
        let Ok(mut all) = serde_json::from_str::<BTreeMap<String, String>>(text) else { return };
        all.retain(|name, _| {
            !self.extensions.contains(name) && !self.optional_extensions.contains(name)
        });
        *text = serde_json::json!(all).to_string();
    }

    /// Returns the relations, as `schema.name`, that a restore of this snapshot may lack.
    pub(crate) fn optional_relations(facts: &BTreeMap<String, String>) -> BTreeSet<String> {
        let names = facts.get(OPTIONAL).map_or("[]", String::as_str);
        serde_json::from_str(names).unwrap_or_default()
    }

    /// Reads it back from a snapshot's facts.
    pub(crate) fn from_facts(facts: &BTreeMap<String, String>) -> Result<Self> {
        let Some(text) = facts.get(FACT) else { return Ok(Self::default()) };
        serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::Integrity, "read scope of snapshot").because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::HOST;
    use super::*;
    use crate::logical::catalog::tables::tests::table;

    fn of(schema: &str, name: &str, readable: bool) -> Table {
        Table { schema: schema.into(), ..table(name, readable, false) }
    }

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn resolve(tables: &[Table]) -> Scope {
        let schemas = names("public auth realtime _inner net timescaledb_x");
        Scope::resolve(
            &HOST,
            &schemas,
            &Owned::default(),
            &names("host_vault host_net pgcrypto"),
            tables,
        )
    }

    #[test]
    fn only_what_is_nobodys_is_left_out_for_want_of_access() {
        let mut tables = vec![
            of("auth", "users", false),
            of("auth", "schema_migrations", false),
            of("realtime", "messages_1", false),
            of("realtime", "messages", true),
            of("_inner", "tenants", false),
            of("public", "notes", false),
        ];
        let scope = resolve(&tables);
        let left: Vec<String> = scope.tables.iter().map(|(s, n)| format!("{s}.{n}")).collect();
        assert_eq!(left, ["auth.schema_migrations", "realtime.messages_1"]);
        assert_eq!(scope.schemas, names("_inner net timescaledb_x").into_iter().collect());
        scope.narrow(&mut tables);
        let kept: Vec<(String, bool)> = tables.iter().map(|t| (t.label(), t.has_rows())).collect();
        assert_eq!(
            kept,
            [
                ("auth.users".to_owned(), true),
                ("realtime.messages".to_owned(), false),
                ("public.notes".to_owned(), true)
            ]
        );
    }

    #[test]
    fn a_schema_of_a_hosts_name_that_is_the_customers_is_copied() {
        let pairs = |text: &str| -> Vec<(String, String)> {
            let pair = |word: &str| word.split_once(':').map(|(a, b)| (a.into(), b.into()));
            text.split(' ').filter_map(pair).collect()
        };
        let left_out = |roles: &str, children: &str| {
            let owned = Owned { roles: pairs(roles), children: pairs(children) };
            let scope = Scope::resolve(
                &HOST,
                &names("public _inner net timescaledb_x vault"),
                &owned,
                &[],
                &[],
            );
            assert!(scope.is_host_schema(&HOST, "auth") && !scope.is_host_schema(&HOST, "public"));
            assert_eq!(scope.is_host_schema(&HOST, "net"), scope.schemas.contains("net"));
            scope.schemas.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left_out("net:host_a vault:anon", ""), "_inner net timescaledb_x vault");
        assert_eq!(left_out("net:host_a net:postgres vault:me", ""), "_inner timescaledb_x");
        // Rows of a table in scope, and the children of those.
        assert_eq!(left_out("", "_inner:net net:public"), "timescaledb_x vault");
        assert_eq!(left_out("", "net:vault"), "_inner net timescaledb_x vault");
    }

    #[test]
    fn hypertables_are_refused_by_name_where_they_are_wanted() {
        let name = |name: &str| ("public".to_owned(), name.to_owned());
        let scope = Scope { hypertables: vec![name("metrics"), name("logs")], ..Scope::default() };
        let error = scope.check_hypertables(&[of("public", "metrics", true)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("public.metrics"), "{error}");
        assert!(!error.to_string().contains("logs"), "{error}");
        assert!(error.remedy().is_some_and(|hint| hint.contains("Nothing was copied")));
        assert!(scope.check_hypertables(&[of("public", "notes", true)]).is_ok());
        assert!(scope.findings()[0].message.contains("public.logs"));
    }

    #[test]
    fn an_extensions_tables_follow_the_extension_not_the_schema() {
        let of_extension = |name: &str, extension: &str| Table {
            extension: Some(extension.into()),
            config: Some(String::new()),
            ..of("net", name, true)
        };
        let mut tables =
            vec![of_extension("queue", "host_net"), of_extension("keys", "host_vault")];
        let mut scope = resolve(&tables);
        scope.note_optional(&tables, &[]);
        assert_eq!(scope.optional_relations, names("net.queue").into_iter().collect());
        scope.narrow(&mut tables);
        assert_eq!(tables.len(), 1);
        assert!(tables[0].has_rows(), "what a customer told an extension is the customer's");
    }

    #[test]
    fn it_is_kept_with_the_snapshot_and_names_what_a_restore_needs() {
        let scope = resolve(&[]);
        let mut facts = BTreeMap::new();
        let all = r#"{"host_vault" : "1", "host_net" : "2", "pgcrypto" : "3"}"#;
        facts.insert("extensions".to_owned(), all.to_owned());
        scope.to_facts(&mut facts).unwrap();
        assert_eq!(facts["extensions"], r#"{"pgcrypto":"3"}"#);
        assert_eq!(Scope::from_facts(&facts).unwrap(), scope);
        let mut nothing = BTreeMap::new();
        Scope::default().to_facts(&mut nothing).unwrap();
        assert!(nothing.is_empty());
        facts.insert(FACT.to_owned(), "[".to_owned());
        assert_eq!(Scope::from_facts(&facts).unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[test]
    fn the_program_leaves_the_same_out() {
        let mut scope = resolve(&[]);
        scope.tables.insert(("auth".into(), "a\"b".into()));
        let arguments = scope.dump_arguments(17);
        assert!(arguments.contains(&"--exclude-schema=\"_inner\"".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"--exclude-table=\"auth\".\"a\"\"b\"".to_owned()));
        assert!(arguments.contains(&"--exclude-table-data=\"realtime\".*".to_owned()));
        assert!(arguments.contains(&"--exclude-extension=\"host_vault\"".to_owned()));
        assert_eq!(scope.dump_arguments(16).len(), arguments.len() - 1);
    }
}
