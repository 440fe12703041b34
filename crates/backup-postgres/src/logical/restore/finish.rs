//! The last steps: statistics, and what belongs to the database itself.

use std::borrow::Cow;

use backup_core::{Finding, Result};
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::logical::archive::Archive;
use crate::logical::roles::RoleMap;
use crate::logical::session::prepare_writing;
use crate::logical::statement::{Named, replace_names};
use crate::{Client, ConnectOptions, quote_ident};

/// Analyzes these tables (as SQL names), so that the planner knows them; a failure is a finding.
pub(super) async fn analyze(
    connect: &ConnectOptions,
    tables: Vec<String>,
    jobs: usize,
) -> Result<Vec<Finding>> {
    let queue = Mutex::new(tables);
    let findings = Mutex::new(Vec::new());
    try_join_all((0..jobs).map(|_| async {
        let mut client = Client::connect(connect).await?;
        prepare_writing(&mut client).await?;
        loop {
            let Some(table) = queue.lock().await.pop() else { break };
            if let Err(error) = client.execute(&format!("ANALYZE {table}")).await {
                let message = format!("statistics of {table} could not be gathered: {error}");
                findings.lock().await.push(Finding::warning(message));
            }
        }
        client.close().await;
        Ok::<(), backup_core::Error>(())
    }))
    .await?;
    Ok(findings.into_inner())
}

/// Gives a database that we created the source database's settings, privileges, comment and
/// owner, and removes the mark of an unfinished restore, all at one instant: a database without
/// the mark is finished. Roles in `archive` are renamed already, but for those that have
/// settings of their own in the database.
pub(super) async fn database_properties(
    client: &mut Client,
    archive: &Archive,
    database: &str,
    map: &RoleMap,
    with_owner: bool,
    with_privileges: bool,
) -> Result<Vec<Finding>> {
    let unmark = format!("COMMENT ON DATABASE {} IS NULL", quote_ident(database));
    client.execute("BEGIN").await?;
    client.execute(&unmark).await?;
    let mut findings = Vec::new();
    for entry in archive.entries.iter().filter(|entry| entry.is_of_database()) {
        let sql = match entry.kind() {
            "DATABASE" => {
                let owner = entry.owner().filter(|_| with_owner);
                owner.map(|owner| {
                    let (database, owner) = (quote_ident(database), quote_ident(owner));
                    format!("ALTER DATABASE {database} OWNER TO {owner}")
                })
            }
            "DATABASE PROPERTIES" => Some(rename(&map.in_statement(entry.definition()), database)),
            "ACL" if !with_privileges => None,
            _ => Some(rename(entry.definition(), database)),
        };
        let Some(sql) = sql.filter(|sql| !sql.trim().is_empty()) else { continue };
        client.execute("SAVEPOINT one").await?;
        if let Err(error) = client.execute(&sql).await {
            client.execute("ROLLBACK TO SAVEPOINT one").await?;
            findings.push(Finding::warning(format!(
                "{} of the database could not be restored: {error}",
                entry.kind().to_lowercase()
            )));
        }
    }
    client.execute("COMMIT").await?;
    Ok(findings)
}

fn rename(sql: &str, database: &str) -> String {
    replace_names(sql, |named, _| (named == Named::Database).then_some(Cow::Borrowed(database)))
}
