//! Whether a database is empty.

use backup_core::Result;

use super::text;
use crate::Client;

/// Objects named before "and more".
const SHOWN: usize = 5;

/// Returns a few of the objects that somebody made in the connected database, none if it is
/// empty. What extensions brought, and the schema `public`, do not count.
pub(crate) async fn objects(client: &mut Client) -> Result<Vec<String>> {
    let sql = format!("{OBJECTS} LIMIT {SHOWN}");
    client.query(&sql).await?.iter().map(|row| text(row, "name")).collect()
}

/// Oids below 16384 belong to the server's own set-up.
const OBJECTS: &str = "\
SELECT pg_catalog.format('%s %s', o.kind, o.name) AS name FROM ( \
  SELECT 'relation' AS kind, c.oid::pg_catalog.regclass::pg_catalog.text AS name, c.oid, \
    'pg_catalog.pg_class'::pg_catalog.regclass AS class \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_(toast|temp)' AND c.relkind <> 'i' \
  UNION ALL SELECT 'function', proname::pg_catalog.text, oid, 'pg_catalog.pg_proc' FROM pg_catalog.pg_proc \
  UNION ALL SELECT 'type', typname::pg_catalog.text, oid, 'pg_catalog.pg_type' FROM pg_catalog.pg_type \
    WHERE typtype NOT IN ('c', 'b') \
  UNION ALL SELECT 'schema', nspname::pg_catalog.text, oid, 'pg_catalog.pg_namespace' \
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'public' \
  UNION ALL SELECT 'publication', pubname::pg_catalog.text, oid, 'pg_catalog.pg_publication' \
    FROM pg_catalog.pg_publication \
  UNION ALL SELECT 'event trigger', evtname::pg_catalog.text, oid, 'pg_catalog.pg_event_trigger' \
    FROM pg_catalog.pg_event_trigger \
  UNION ALL SELECT 'foreign server', srvname::pg_catalog.text, oid, 'pg_catalog.pg_foreign_server' \
    FROM pg_catalog.pg_foreign_server \
  UNION ALL SELECT 'large object', oid::pg_catalog.text, 16384, 'pg_catalog.pg_largeobject' \
    FROM pg_catalog.pg_largeobject_metadata \
) o WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
  WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i'))";
