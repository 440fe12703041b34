//! Looking at a furnished database.

use std::collections::BTreeMap;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};

use super::Furnished;
use crate::logical::backup::schema;
use crate::logical::catalog::database::Database;
use crate::logical::catalog::tables::{self, Table};
use crate::logical::hosted::{Hosted, Scope, look};
use crate::tools::ToolPaths;
use crate::{Client, ConnectOptions};

/// How long a lock is waited for: nobody works on a database that is to be restored into.
const LOCK_WAIT: Duration = Duration::from_secs(60);

impl Furnished {
    /// Looks at a database; nothing where the host has not furnished it (another database of
    /// the same server). Changes nothing.
    pub(crate) async fn read(
        connect: &ConnectOptions,
        tools: &ToolPaths,
        hosted: Hosted,
    ) -> Result<Option<Self>> {
        let mut client = Client::connect(connect).await?;
        let database = Database::read(&mut client, connect).await?;
        let scope = look(connect, &database, &hosted).await?;
        let mut tables = tables::read(&mut client, &database).await?;
        scope.narrow(&mut tables);
        if !tables.iter().any(|table| scope.is_host_schema(&hosted, &table.schema)) {
            client.close().await;
            return Ok(None);
        }
        tables::check_readable(&tables, &database.user)?;
        let filled = filled(&mut client, &hosted, &scope, &tables).await?;
        client.close().await;
        let tool = tools.choose("pg_dump", database.major()).await?;
        let encoding = &database.locale.encoding;
        let mut schema = schema::dump(&tool, connect, None, encoding, LOCK_WAIT, &scope).await?;
        schema.trim(&hosted, &scope);
        let columns = tables
            .into_iter()
            .map(|table| ((table.schema, table.name), table.columns.into_iter().collect()));
        Ok(Some(Self {
            hosted,
            scope,
            present: schema.archive,
            columns: columns.collect::<BTreeMap<_, _>>(),
            filled,
            encoding: encoding.clone(),
        }))
    }
}

/// Returns the host's tables that hold rows of a customer.
async fn filled(
    client: &mut Client,
    hosted: &Hosted,
    scope: &Scope,
    tables: &[Table],
) -> Result<Vec<String>> {
    let candidates: Vec<&Table> = tables
        .iter()
        .filter(|table| {
            table.has_rows()
                && table.extension.is_none()
                && scope.is_host_schema(hosted, &table.schema)
                && !hosted.is_version(&table.schema, &table.name)
        })
        .collect();
    let asked: Vec<String> = candidates
        .iter()
        .enumerate()
        .map(|(at, table)| {
            format!("SELECT {at} AS at WHERE EXISTS (SELECT FROM ONLY {})", table.sql())
        })
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let rows = client.query(&asked.join(" UNION ALL ")).await?;
    let found = rows.iter().filter_map(|row| {
        let at: usize = row.by_name("at")?.parse().ok()?;
        candidates.get(at).map(|table| table.label())
    });
    Ok(found.collect())
}

impl Furnished {
    /// Fails with `Conflict` where rows of the host's tables cannot be loaded as they were,
    /// without what their triggers would do to them a second time.
    pub(in crate::logical::restore) async fn check_quiet(&self, client: &mut Client) -> Result<()> {
        let hosted = &self.hosted;
        let probe = "BEGIN; SET LOCAL session_replication_role = replica; ROLLBACK";
        let Err(error) = client.execute(probe).await else { return Ok(()) };
        client.execute("ROLLBACK").await?;
        Err(Error::new(ErrorKind::Conflict, "check restore target")
            .hint(format!(
                "Connect as the role {} of that project: loading rows into the tables of {} needs \
             session_replication_role.",
                hosted.customer, hosted.name
            ))
            .because(error))
    }

    /// Returns whether event triggers can be made here, by making one and taking it back.
    pub(in crate::logical::restore) async fn takes_event_triggers(
        client: &mut Client,
    ) -> Result<bool> {
        let probe = "BEGIN; \
             CREATE FUNCTION pg_temp.backup_probe() RETURNS event_trigger LANGUAGE plpgsql AS \
             'BEGIN END'; \
             CREATE EVENT TRIGGER backup_probe ON sql_drop EXECUTE FUNCTION pg_temp.backup_probe()";
        let made = client.execute(probe).await.is_ok();
        client.execute("ROLLBACK").await?;
        Ok(made)
    }
}
