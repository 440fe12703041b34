//! A look at a database before anything is backed up.

use backup_core::port::{Discovery, SourceFacts};
use backup_core::{ByteSize, Finding, Result, SourceIdentity};

use super::catalog::database::Database;
use super::catalog::tables::{self, Kind, Table};
use super::hosted::{Hosted, Scope, look};
use super::pooling::refuse_transaction_pooling;
use crate::physical::{archiving, readiness};
use crate::tools::ToolPaths;
use crate::{Client, ConnectOptions};

/// Looks at a database without changing anything: what it is, whether a logical backup would
/// work, and what it would not cover.
pub async fn discover(connect: &ConnectOptions, tools: &ToolPaths) -> Result<Discovery> {
    look_at(connect, tools, None).await
}

/// As [`discover`], at a database that a host has furnished.
pub async fn discover_hosted(
    connect: &ConnectOptions,
    tools: &ToolPaths,
    hosted: &Hosted,
) -> Result<Discovery> {
    look_at(connect, tools, Some(hosted)).await
}

async fn look_at(
    connect: &ConnectOptions,
    tools: &ToolPaths,
    hosted: Option<&Hosted>,
) -> Result<Discovery> {
    let mut client = Client::connect(connect).await?;
    let database = Database::read(&mut client, connect).await?;
    if database.is_pooled {
        refuse_transaction_pooling(&mut client, connect).await?;
    }
    let mut tables = tables::read(&mut client, &database).await?;
    let scope = match hosted {
        Some(hosted) => look(connect, &database, hosted).await?,
        None => Scope::default(),
    };
    scope.narrow(&mut tables);
    let mut findings = vec![Finding::note(format!(
        "PostgreSQL {}, database {} of {}, {} tables, encoding {}",
        database.server_version,
        database.name,
        ByteSize(database.bytes),
        tables.iter().filter(|table| table.kind == Kind::Plain).count(),
        database.locale.encoding
    ))];
    findings.push(match tools.choose("pg_dump", database.major()).await {
        Ok(tool) => Finding::note(format!("{} at {}", tool.version, tool.path.display())),
        Err(error) => Finding::warning(format!(
            "no backup is possible yet: {error}. {}",
            error.remedy().unwrap_or_default()
        )),
    });
    findings.extend(coverage(&database, &tables));
    findings.extend(privileges(&mut client, &database, &tables).await?);
    if hosted.is_some() {
        // Nobody but the host copies its servers.
        findings.extend(scope.findings());
    } else {
        findings.extend(beneath(connect, &mut client).await?);
    }
    findings.extend(surroundings(&mut client, &database).await?);
    client.close().await;
    Ok(Discovery {
        facts: SourceFacts {
            identity: identity(&database),
            database: database.name.clone(),
            server_version: database.server_version.clone(),
            estimated_bytes: database.bytes,
            location: connect.location(),
        },
        findings,
    })
}

/// Returns what can be said about copying the server itself.
async fn beneath(connect: &ConnectOptions, client: &mut Client) -> Result<Vec<Finding>> {
    let mut findings = vec![readiness(connect, client).await?];
    match archiving(client).await {
        Ok(more) => findings.extend(more),
        // Some hosts hide these views; backups do not need them.
        Err(error) => findings.push(Finding::note(format!(
            "how the server keeps its WAL could not be asked: {error}"
        ))),
    }
    Ok(findings)
}

/// Returns which database this is.
pub(super) fn identity(database: &Database) -> SourceIdentity {
    SourceIdentity {
        engine: "postgres".to_owned(),
        system: database.system.clone(),
        database: database.oid.clone(),
    }
}

/// Returns what a logical backup of these tables does not cover, or covers with a "but".
pub(super) fn coverage(database: &Database, tables: &[Table]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if database.is_pooled {
        findings.push(Finding::warning(
            "a connection pooler is in between; it keeps sessions, but use the direct endpoint where there is one",
        ));
    }
    if database.system_is_stand_in {
        findings.push(Finding::note(
            "the server does not tell its system identifier; its location stands in for it",
        ));
    }
    for table in tables {
        if table.kind == Kind::Foreign {
            findings.push(Finding::note(format!(
                "{} is a foreign table; its rows are elsewhere and not in the snapshot",
                table.label()
            )));
        } else if table.out_of_reach {
            findings.push(Finding::warning(format!(
                "{} is unlogged and cannot be read on a standby; its rows are not covered",
                table.label()
            )));
        } else if table.unlogged && table.has_rows() {
            findings.push(Finding::note(format!(
                "{} is unlogged; a crash of the server may have emptied it",
                table.label()
            )));
        }
    }
    findings
}

async fn privileges(
    client: &mut Client,
    database: &Database,
    tables: &[Table],
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Err(error) = tables::check_readable(tables, &database.user) {
        findings.push(Finding::warning(format!(
            "no backup is possible yet: {error}. {}",
            error.remedy().unwrap_or_default()
        )));
    }
    let sql = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS hashes";
    let rows = client.query(sql).await?;
    let Some(row) = rows.first() else { return Ok(findings) };
    if row.by_name("hashes") != Some("t") {
        findings.push(Finding::note(format!(
            "role {} may not read password hashes; roles are backed up without them",
            database.user
        )));
    }
    Ok(findings)
}

async fn surroundings(client: &mut Client, database: &Database) -> Result<Vec<Finding>> {
    let sql = "SELECT (SELECT pg_catalog.string_agg(datname, ', ' ORDER BY datname) \
         FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate \
         AND datname NOT IN (pg_catalog.current_database(), 'postgres')) AS others, \
         (SELECT count(*) FROM pg_catalog.pg_prepared_xacts \
         WHERE database = pg_catalog.current_database()) AS prepared";
    let rows = client.query(sql).await?;
    let mut findings = Vec::new();
    let Some(row) = rows.first() else { return Ok(findings) };
    if let Some(others) = row.by_name("others") {
        findings.push(Finding::note(format!(
            "other databases on this server are not part of this source: {others}"
        )));
    }
    if row.by_name("prepared").is_some_and(|count| count != "0") {
        findings.push(Finding::warning(
            "prepared transactions are pending; what they changed is in no logical backup until \
             they commit",
        ));
    }
    if database.in_recovery {
        findings
            .push(Finding::note("the server is a standby; long reads may conflict with replay"));
    }
    Ok(findings)
}
