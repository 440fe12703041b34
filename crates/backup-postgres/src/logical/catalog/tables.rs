//! The tables of a database, and what may be read of them.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Result};

use super::database::Database;
use super::{flag, list, number, optional, text};
use crate::logical::ranges::Extent;
use crate::{Client, quote_ident};

/// Tables named in an error before it says "and so many more".
const NAMED_IN_ERRORS: usize = 20;
/// The first server that scans ranges of row addresses.
const RANGE_SCANS: u32 = 140_000;

/// One table, partitioned table or foreign table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) unlogged: bool,
    /// A standby cannot read unlogged tables at all.
    pub(crate) out_of_reach: bool,
    /// The extension it belongs to.
    pub(crate) extension: Option<String>,
    /// For a configuration table of an extension: which rows are the user's.
    pub(crate) config: Option<String>,
    /// Columns that are written, in order.
    pub(crate) columns: Vec<String>,
    pub(crate) extent: Extent,
    pub(crate) readable: bool,
    /// Whether policies would hide rows from us.
    pub(crate) hides_rows: bool,
    /// Its file in our snapshot, and now; they differ when it was rewritten in between.
    pub(crate) file_seen: u32,
    pub(crate) file_now: u32,
    /// The root to load it through: hash partitions of enum keys move when oids change.
    pub(crate) load_through: Option<(String, String)>,
    /// Other tables its foreign keys point to (configuration tables only).
    pub(crate) references: Vec<u32>,
    /// Its rows are not wanted, only its structure.
    pub(crate) without_rows: bool,
}

/// What kind of relation holds the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Has rows of its own.
    Plain,
    /// Its partitions hold the rows.
    Partitioned,
    /// The rows are elsewhere.
    Foreign,
}

impl Table {
    /// Returns the name as SQL writes it.
    pub(crate) fn sql(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }

    /// Returns the name as people write it.
    pub(crate) fn label(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Returns whether its rows belong in a snapshot.
    pub(crate) fn has_rows(&self) -> bool {
        self.kind == Kind::Plain
            && !self.is_extensions_own()
            && !self.out_of_reach
            && !self.without_rows
    }

    /// Returns whether it must be locked (and so be readable).
    pub(crate) fn is_locked(&self) -> bool {
        self.kind != Kind::Foreign && !self.is_extensions_own() && !self.out_of_reach
    }

    /// The extension brings these rows itself.
    fn is_extensions_own(&self) -> bool {
        self.extension.is_some() && self.config.is_none()
    }
}

/// Lists all tables that a dump is about. Waits for no lock; sizes are not known yet.
pub(crate) async fn read(client: &mut Client, database: &Database) -> Result<Vec<Table>> {
    let by_range = client.server_version_num() >= RANGE_SCANS;
    let rows = client.query(TABLES).await?;
    rows.iter()
        .map(|row| {
            let config = optional(row, "config");
            let unlogged = row.by_name("relpersistence") == Some("u");
            let is_heap = row.by_name("access_method") == Some("heap");
            Ok(Table {
                oid: number(row, "oid")?,
                schema: text(row, "nspname")?,
                name: text(row, "relname")?,
                kind: match row.by_name("relkind") {
                    Some("p") => Kind::Partitioned,
                    Some("f") => Kind::Foreign,
                    _ => Kind::Plain,
                },
                unlogged,
                out_of_reach: unlogged && database.in_recovery,
                extension: optional(row, "extension"),
                columns: list(row, "columns")?,
                extent: Extent {
                    by_range: by_range && is_heap && config.is_none(),
                    ..Extent::default()
                },
                config,
                readable: flag(row, "readable"),
                hides_rows: flag(row, "hides_rows"),
                file_seen: number(row, "file_seen")?,
                file_now: number(row, "file_now")?,
                load_through: pair(list(row, "load_through")?),
                references: list(row, "refs")?.iter().filter_map(|oid| oid.parse().ok()).collect(),
                without_rows: false,
            })
        })
        .collect()
}

/// Measures tables that are locked already: asking for a size takes a lock.
pub(crate) async fn measure(
    client: &mut Client,
    database: &Database,
    tables: &mut [Table],
) -> Result<()> {
    let oids: Vec<String> =
        tables.iter().filter(|table| table.has_rows()).map(|table| table.oid.to_string()).collect();
    let sql = format!(
        "SELECT o AS oid, pg_catalog.pg_relation_size(o) AS heap, pg_catalog.pg_table_size(o) AS whole \
         FROM pg_catalog.unnest('{{{}}}'::pg_catalog.oid[]) o",
        oids.join(",")
    );
    let mut sizes = BTreeMap::new();
    for row in client.query(&sql).await? {
        let heap: u64 = number(&row, "heap")?;
        sizes.insert(number::<u32>(&row, "oid")?, (heap, number::<u64>(&row, "whole")?));
    }
    for table in tables {
        if let Some((heap, whole)) = sizes.get(&table.oid) {
            table.extent.blocks = heap / database.block_size.max(1);
            table.extent.bytes = *whole;
        }
    }
    Ok(())
}

fn pair(names: Vec<String>) -> Option<(String, String)> {
    let [schema, name]: [String; 2] = names.try_into().ok()?;
    Some((schema, name))
}

/// Fails, naming all of them at once, when tables cannot be read in full.
pub(crate) fn check_readable(tables: &[Table], user: &str) -> Result<()> {
    let locked = || tables.iter().filter(|table| table.is_locked());
    let denied: Vec<String> = locked().filter(|t| !t.readable).map(Table::label).collect();
    if !denied.is_empty() {
        return Err(Error::new(ErrorKind::SourceUnavailable, "read tables")
            .with("role", user)
            .with("not readable", shorten(&denied))
            .hint(format!(
                "Nothing was copied. Grant access, on PostgreSQL 14 and newer with: GRANT \
                 pg_read_all_data TO {};",
                quote_ident(user)
            )));
    }
    let read = || locked().filter(|table| !table.without_rows);
    let hidden: Vec<String> = read().filter(|t| t.hides_rows).map(Table::label).collect();
    if hidden.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::SourceUnavailable, "read tables")
        .with("role", user)
        .with("row security hides rows of", shorten(&hidden))
        .hint(format!(
            "Nothing was copied. A copy would lack rows. Use the tables' owner (without FORCE ROW \
             LEVEL SECURITY) or: ALTER ROLE {} BYPASSRLS;",
            quote_ident(user)
        )))
}

fn shorten(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED_IN_ERRORS).map(String::as_str).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

const TABLES: &str = "\
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, am.amname AS access_method, \
  c.relfilenode AS file_seen, coalesce(pg_catalog.pg_relation_filenode(c.oid), 0) AS file_now, \
  pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
    AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable, \
  pg_catalog.row_security_active(c.oid) AS hides_rows, \
  e.extname AS extension, \
  CASE WHEN c.oid = ANY (e.extconfig) \
    THEN e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)] END AS config, \
  (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') \
    AS columns, \
  CASE WHEN c.relispartition AND EXISTS ( \
      SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) up \
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = up.relid AND p.partstrat = 'h' \
      JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass) WHERE o.opcname = 'enum_ops') \
    THEN (SELECT pg_catalog.json_build_array(rn.nspname, r.relname) FROM pg_catalog.pg_class r \
      JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace \
      WHERE r.oid = pg_catalog.pg_partition_root(c.oid)) END AS load_through, \
  CASE WHEN c.oid = ANY (e.extconfig) THEN (SELECT pg_catalog.json_agg(f.confrelid::pg_catalog.text) \
    FROM pg_catalog.pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' \
    AND f.confrelid <> c.oid) END AS refs \
FROM pg_catalog.pg_class c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam \
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
  AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e' \
  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' \
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
ORDER BY c.oid";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn table(name: &str, readable: bool, hides_rows: bool) -> Table {
        Table {
            oid: 1,
            schema: "public".into(),
            name: name.into(),
            kind: Kind::Plain,
            unlogged: false,
            out_of_reach: false,
            extension: None,
            config: None,
            columns: vec!["a".into()],
            extent: Extent::default(),
            readable,
            hides_rows,
            file_seen: 1,
            file_now: 1,
            load_through: None,
            references: Vec::new(),
            without_rows: false,
        }
    }

    #[test]
    fn all_tables_without_access_are_named_at_once() {
        let tables = [table("a", false, false), table("b", true, false), table("c", false, false)];
        let error = check_readable(&tables, "backup").unwrap_err();
        assert!(error.to_string().contains("public.a, public.c"), "{error}");
        assert!(error.remedy().unwrap().contains("pg_read_all_data"));
    }

    #[test]
    fn hidden_rows_are_an_error() {
        let error = check_readable(&[table("a", true, true)], "backup").unwrap_err();
        assert!(error.to_string().contains("row security hides rows of: public.a"), "{error}");
        assert!(check_readable(&[table("a", true, false)], "backup").is_ok());
    }
}
