//! A look at a database and its server, to tell whether something can move from or to it.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::port::{DatabaseContent, Survey};
use backup_core::{Error, Result};

use super::catalog::database::Database;
use super::catalog::{emptiness, server};
use super::discover::identity;
use super::hosted::Hosted;
use super::restore::{Furnished, maintenance};
use crate::tools::ToolPaths;
use crate::{Client, ConnectOptions, sqlstate};

/// Looks; changes nothing. A database that is not there has no content; fails as connecting does
/// where the server cannot be reached.
pub async fn survey(connect: &ConnectOptions) -> Result<Survey> {
    let (mut client, is_there) = match Client::connect(connect).await {
        Ok(client) => (client, true),
        Err(error) if sqlstate(&error) == Some("3D000") => (maintenance(connect).await?, false),
        Err(error) => return Err(error),
    };
    let offer = server::read(&mut client).await?;
    let sql = "SELECT name, default_version FROM pg_catalog.pg_available_extensions";
    let available = pairs(&mut client, sql).await?;
    let content = if is_there { Some(content(&mut client, connect).await?) } else { None };
    client.close().await;
    Ok(Survey {
        engine: "postgres".to_owned(),
        product: "PostgreSQL".to_owned(),
        location: connect.location(),
        database: connect.database().to_owned(),
        major: offer.major(),
        server_version: offer.server_version,
        content,
        roles: offer.roles,
        available,
        tablespaces: offer.tablespaces,
        may_create_roles: offer.can_create_roles,
        may_create_databases: offer.can_create_databases,
        ..Survey::default()
    })
}

/// As [`survey`], of a database that a host has furnished: what is the host's does not count.
pub async fn survey_hosted(
    connect: &ConnectOptions,
    tools: &ToolPaths,
    hosted: Hosted,
) -> Result<Survey> {
    let mut found = survey(connect).await?;
    if let Some(content) = &mut found.content
        && let Some(furnished) = Furnished::read(connect, tools, hosted).await?
    {
        content.objects = furnished.holds();
        content.extensions.retain(|name, _| {
            let name = name.as_str();
            !hosted.own_extensions.contains(&name) && !hosted.optional_extensions.contains(&name)
        });
    }
    Ok(found)
}

async fn content(client: &mut Client, connect: &ConnectOptions) -> Result<DatabaseContent> {
    let database = Database::read(client, connect).await?;
    let mut locale = BTreeMap::new();
    database.locale.to_facts(&mut locale);
    let mut extension_columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in client.query(EXTENSION_COLUMNS).await? {
        if let (Some(extension), Some(column)) = (row.get(0), row.get(1)) {
            extension_columns.entry(extension.to_owned()).or_default().push(column.to_owned());
        }
    }
    Ok(DatabaseContent {
        identity: Some(identity(&database)),
        objects: emptiness::objects(client).await?,
        bytes: database.bytes,
        locale,
        extensions: pairs(client, EXTENSIONS).await?,
        extension_columns,
        owners: names(client, OWNERS).await?.into_iter().collect(),
        grantees: names(client, GRANTEES).await?.into_iter().collect(),
        tablespaces: names(client, TABLESPACES).await?.into_iter().collect::<BTreeSet<_>>(),
        large_objects: count(client, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata")
            .await?,
        publications: names(client, "SELECT pubname FROM pg_catalog.pg_publication").await?,
        subscriptions: optional(names(client, SUBSCRIPTIONS).await)?,
        slots: names(client, SLOTS).await?,
        foreign_servers: names(client, "SELECT srvname FROM pg_catalog.pg_foreign_server").await?,
        prepared: count(client, PREPARED).await?,
        ..DatabaseContent::default()
    })
}

/// What only some roles may read is left out.
fn optional(found: Result<Vec<String>>) -> Result<Vec<String>, Error> {
    match found {
        Err(error) if sqlstate(&error) == Some("42501") => Ok(Vec::new()),
        found => found,
    }
}

async fn names(client: &mut Client, sql: &str) -> Result<Vec<String>> {
    let rows = client.query(sql).await?;
    Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
}

async fn pairs(client: &mut Client, sql: &str) -> Result<BTreeMap<String, String>> {
    let rows = client.query(sql).await?;
    let pair = |row: &crate::Row| Some((row.get(0)?.to_owned(), row.get(1)?.to_owned()));
    Ok(rows.iter().filter_map(pair).collect())
}

async fn count(client: &mut Client, sql: &str) -> Result<u64> {
    let rows = client.query(sql).await?;
    Ok(rows.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or(0))
}

/// plpgsql is in every database.
const EXTENSIONS: &str =
    "SELECT extname, extversion FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'";

const EXTENSION_COLUMNS: &str = "\
SELECT e.extname, pg_catalog.format('%s.%I', a.attrelid::pg_catalog.regclass, a.attname) \
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass \
  AND d.objid IN (t.oid, t.typelem) AND d.deptype = 'e' \
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
WHERE c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.objid = c.oid AND m.deptype = 'e' \
  AND m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass) ORDER BY 1, 2";

/// Of everything that somebody made.
const OWNERS: &str = "\
SELECT DISTINCT pg_catalog.pg_get_userbyid(o.owner) FROM ( \
  SELECT relowner AS owner FROM pg_catalog.pg_class WHERE oid >= 16384 AND relpersistence <> 't' \
  UNION SELECT proowner FROM pg_catalog.pg_proc WHERE oid >= 16384 \
  UNION SELECT typowner FROM pg_catalog.pg_type WHERE oid >= 16384 \
  UNION SELECT nspowner FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_' \
) AS o";

const GRANTEES: &str = "\
SELECT DISTINCT pg_catalog.pg_get_userbyid(g.grantee) FROM ( \
  SELECT (pg_catalog.aclexplode(relacl)).grantee FROM pg_catalog.pg_class WHERE oid >= 16384 \
  UNION SELECT (pg_catalog.aclexplode(proacl)).grantee FROM pg_catalog.pg_proc WHERE oid >= 16384 \
  UNION SELECT (pg_catalog.aclexplode(nspacl)).grantee FROM pg_catalog.pg_namespace \
    WHERE oid >= 16384 \
) AS g WHERE g.grantee <> 0";

const TABLESPACES: &str = "\
SELECT DISTINCT t.spcname FROM pg_catalog.pg_class c \
JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace WHERE t.spcname <> 'pg_global'";

const SUBSCRIPTIONS: &str = "\
SELECT s.subname FROM pg_catalog.pg_subscription s \
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()";

const SLOTS: &str = "\
SELECT slot_name FROM pg_catalog.pg_replication_slots \
WHERE database = pg_catalog.current_database() AND NOT temporary";

const PREPARED: &str = "\
SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";
