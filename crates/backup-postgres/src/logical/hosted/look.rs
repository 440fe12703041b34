//! Looking at a hosted database to decide what of it is copied.

use backup_core::Result;

use super::{Hosted, Scope};
use crate::logical::catalog::database::Database;
use crate::logical::catalog::{sequences, tables};
use crate::{Client, ConnectOptions};

/// Looks, in a session of its own: nothing is locked yet.
pub(crate) async fn look(
    connect: &ConnectOptions,
    database: &Database,
    hosted: &Hosted,
) -> Result<Scope> {
    let mut client = Client::connect(connect).await?;
    let schemas = names(&mut client, "SELECT nspname FROM pg_catalog.pg_namespace").await?;
    let extensions = names(&mut client, "SELECT extname FROM pg_catalog.pg_extension").await?;
    let tables = tables::read(&mut client, database).await?;
    let sequences = sequences::list(&mut client).await?;
    client.close().await;
    let mut scope = Scope::resolve(hosted, &schemas, &extensions, &tables);
    scope.note_optional(&tables, &sequences);
    Ok(scope)
}

async fn names(client: &mut Client, sql: &str) -> Result<Vec<String>> {
    let rows = client.query(sql).await?;
    Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
}
