//! How many objects of each kind there are, and how many of them are in order.

use std::collections::BTreeMap;

use backup_core::Result;

use super::{number, text};
use crate::logical::hosted::Scope;
use crate::{Client, quote_literal};

/// Counts the objects of a database that are in scope and not an extension's: what an extension
/// brings depends on its version.
pub(crate) async fn count(client: &mut Client, scope: &Scope) -> Result<BTreeMap<String, u64>> {
    let rows = client.query(&counts(scope)).await?;
    rows.iter().map(|row| Ok((text(row, "kind")?, number(row, "count")?))).collect()
}

/// The statement, with names that are out of scope as literals.
fn counts(scope: &Scope) -> String {
    let literals = |names: Vec<String>| match names.is_empty() {
        true => "NULL".to_owned(),
        false => names.join(", "),
    };
    let schemas = scope.schemas.iter().map(|name| quote_literal(name)).collect();
    let tables = scope
        .tables
        .iter()
        .map(|(schema, name)| format!("({}, {})", quote_literal(schema), quote_literal(name)));
    let tables: Vec<String> = tables.collect();
    let tables = if tables.is_empty() { "(NULL, NULL)".to_owned() } else { tables.join(", ") };
    COUNTS.replace("{schemas}", &literals(schemas)).replace("{tables}", &tables)
}

const COUNTS: &str = "\
WITH own AS ( \
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n \
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
  AND (n.nspname IN ({schemas})) IS NOT TRUE), \
left_out AS ( \
  SELECT c.oid FROM pg_catalog.pg_class c JOIN own ON own.oid = c.relnamespace \
  WHERE (own.nspname, c.relname) IN ({tables})), \
ext AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'), \
rel AS (SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN own ON own.oid = c.relnamespace \
  WHERE c.relpersistence <> 't' AND c.oid NOT IN (SELECT oid FROM left_out) \
  AND NOT EXISTS (SELECT FROM ext \
    WHERE ext.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND ext.objid = c.oid) \
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.objid = c.oid \
    AND o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.relkind = 'S' \
    AND o.deptype IN ('a', 'i') AND o.refobjid IN (SELECT oid FROM left_out))) \
SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' \
    WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' \
    WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' \
    ELSE 'other relation' END AS kind, count(*) AS count \
  FROM rel WHERE relkind NOT IN ('i', 'I', 't') GROUP BY 1 \
UNION ALL SELECT CASE WHEN i.indisvalid THEN 'index' ELSE 'index, invalid' END, count(*) \
  FROM pg_catalog.pg_index i JOIN rel ON rel.oid = i.indrelid GROUP BY 1 \
UNION ALL SELECT CASE WHEN k.convalidated THEN 'constraint' ELSE 'constraint, not valid' END, \
    count(*) FROM pg_catalog.pg_constraint k JOIN own ON own.oid = k.connamespace \
  WHERE k.conrelid NOT IN (SELECT oid FROM left_out) AND NOT EXISTS (SELECT FROM ext \
    WHERE ext.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND ext.objid = k.conrelid) \
  AND NOT EXISTS (SELECT FROM ext WHERE ext.objid = k.contypid \
    AND ext.classid = 'pg_catalog.pg_type'::pg_catalog.regclass) GROUP BY 1 \
UNION ALL SELECT CASE WHEN t.tgenabled = 'D' THEN 'trigger, disabled' ELSE 'trigger' END, count(*) \
  FROM pg_catalog.pg_trigger t JOIN rel ON rel.oid = t.tgrelid WHERE NOT t.tgisinternal GROUP BY 1 \
UNION ALL SELECT 'policy', count(*) FROM pg_catalog.pg_policy p \
  JOIN rel ON rel.oid = p.polrelid HAVING count(*) > 0 \
UNION ALL SELECT 'function', count(*) FROM pg_catalog.pg_proc f JOIN own ON own.oid = f.pronamespace \
  WHERE NOT EXISTS (SELECT FROM ext WHERE ext.objid = f.oid \
    AND ext.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass) HAVING count(*) > 0";
