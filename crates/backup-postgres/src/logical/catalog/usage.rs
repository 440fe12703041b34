//! What a database uses of its server: extensions, roles, tablespaces.

use std::collections::BTreeMap;

use backup_core::Result;

use super::text;
use crate::Client;

/// Reads what the database uses into facts, each a JSON array (or object) of names:
/// `extensions` (name to version), `roles`, `tablespaces`.
pub(crate) async fn read(client: &mut Client, facts: &mut BTreeMap<String, String>) -> Result<()> {
    for (name, sql) in [("extensions", EXTENSIONS), ("roles", ROLES), ("tablespaces", TABLESPACES)]
    {
        let rows = client.query(sql).await?;
        let value = rows.first().map(|row| text(row, "value")).transpose()?;
        facts.insert(name.to_owned(), value.unwrap_or_else(|| "[]".to_owned()));
    }
    Ok(())
}

const EXTENSIONS: &str = "\
SELECT coalesce(pg_catalog.json_object_agg(extname, extversion ORDER BY extname), '{}') AS value \
FROM pg_catalog.pg_extension";

const ROLES: &str = "\
SELECT coalesce(pg_catalog.json_agg(r.rolname ORDER BY r.rolname), '[]') AS value \
FROM pg_catalog.pg_roles r WHERE r.oid IN ( \
  SELECT d.refobjid FROM pg_catalog.pg_shdepend d \
  JOIN pg_catalog.pg_database b ON b.datname = pg_catalog.current_database() \
  WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
  AND (d.dbid = b.oid OR (d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass \
    AND d.objid = b.oid)))";

const TABLESPACES: &str = "\
SELECT coalesce(pg_catalog.json_agg(t.spcname ORDER BY t.spcname), '[]') AS value \
FROM pg_catalog.pg_tablespace t WHERE t.oid IN ( \
  SELECT reltablespace FROM pg_catalog.pg_class WHERE reltablespace <> 0) \
AND t.spcname <> 'pg_global'";
