//! The database that is restored into.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Result, Snapshot};

use crate::catalog::database::Database;
use crate::wire::code;
use crate::{Client, ConnectOptions, error_code, quote_name, quote_text};

/// The table by which an unfinished restore is known again; it holds the snapshot's id.
const MARK: &str = "backup_unfinished_restore";
/// How many objects are named of a database that is not empty.
const NAMED: usize = 5;

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Missing,
    Empty(Database),
    /// What a killed restore of the same snapshot left.
    Leftover,
}

/// Looks at it; `Conflict` when it holds anything but what a killed restore of the same snapshot
/// left.
pub(super) async fn look(
    client: &mut Client,
    connect: &ConnectOptions,
    snapshot: &Snapshot,
) -> Result<Place> {
    let name = connect.database();
    let Some(database) = Database::read(client, name).await? else { return Ok(Place::Missing) };
    let objects = objects(client, name).await?;
    if objects.is_empty() {
        return Ok(Place::Empty(database));
    }
    if objects.iter().any(|one| one == MARK) {
        let sql = format!("SELECT snapshot FROM {}.{MARK}", quote_name(name));
        let found = client.first(&sql).await?.map(|row| row.text(0));
        if found.as_deref() == Some(&snapshot.id.to_string()) {
            return Ok(Place::Leftover);
        }
    }
    let more = objects.len().saturating_sub(NAMED);
    let mut shown = objects.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        shown.push_str(&format!(" and {more} more"));
    }
    Err(Error::new(ErrorKind::Conflict, "restore into database")
        .with("target", connect.location())
        .with("it holds", shown)
        .hint("Name a new database, or drop this one first: nothing is ever overwritten."))
}

/// Returns the names of everything in it.
async fn objects(client: &mut Client, database: &str) -> Result<Vec<String>> {
    let name = quote_text(database);
    let sql = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} \
         UNION ALL SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name} \
         UNION ALL SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name}"
    );
    Ok(client.query(&sql).await?.iter().map(|row| row.text(0)).collect())
}

/// Makes the place ready: a database with the source's character set and collation, marked as
/// unfinished. Returns whether the database was created here.
pub(super) async fn prepare(
    client: &mut Client,
    connect: &ConnectOptions,
    place: &Place,
    snapshot: &Snapshot,
) -> Result<bool> {
    let name = quote_name(connect.database());
    let facts = &snapshot.evidence.facts;
    let verb = match place {
        Place::Missing => "CREATE",
        Place::Leftover => {
            client.execute(&format!("DROP DATABASE {name}")).await?;
            "CREATE"
        }
        Place::Empty(_) => "ALTER",
    };
    let set = character_set(facts);
    let made = client.execute(&format!("{verb} DATABASE {name}{set}")).await;
    made.map_err(|error| refused(error, connect, &set))?;
    let created = verb == "CREATE";
    let mark = format!(
        "CREATE TABLE {name}.{MARK} (snapshot varchar(64) NOT NULL) \
         SELECT {} AS snapshot",
        quote_text(&snapshot.id.to_string())
    );
    client.execute(&mark).await?;
    Ok(created)
}

fn character_set(facts: &BTreeMap<String, String>) -> String {
    let word = |name: &str| {
        let value = facts.get(name).map_or("", String::as_str);
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && !value.is_empty()).then(|| value.to_owned())
    };
    let mut set = String::new();
    if let Some(charset) = word("encoding") {
        set.push_str(&format!(" CHARACTER SET {charset}"));
    }
    if let Some(collation) = word("collate") {
        set.push_str(&format!(" COLLATE {collation}"));
    }
    set
}

fn refused(error: Error, connect: &ConnectOptions, set: &str) -> Error {
    let outer = |hint: &str| {
        Error::new(ErrorKind::Unsupported, "create database")
            .with("target", connect.location())
            .with("with", set.trim())
            .hint(hint)
    };
    match error_code(&error) {
        Some(1115 | 1273) => {
            outer("The server lacks the source's collation: restore on the source's series.")
                .because(error)
        }
        Some(code::ACCESS_DENIED_DATABASE | code::TABLE_ACCESS_DENIED) => outer(&format!(
            "Grant the user what a restore needs: GRANT ALL PRIVILEGES ON {}.* TO it.",
            quote_name(connect.database())
        ))
        .into_kind(ErrorKind::SourceUnavailable)
        .because(error),
        _ => error,
    }
}

/// Removes the mark: the restore is complete.
pub(crate) async fn finish_unfinished(client: &mut Client, connect: &ConnectOptions) -> Result<()> {
    client.execute(&format!("DROP TABLE {}.{MARK}", quote_name(connect.database()))).await
}

/// Drops a database with everything in it.
pub(crate) async fn drop_database(connect: &ConnectOptions) -> Result<()> {
    let mut client = Client::connect_to_server(connect).await?;
    client.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(connect.database()))).await?;
    client.close().await;
    Ok(())
}

/// Drops what a restore made in a database that was there before.
pub(super) async fn empty(connect: &ConnectOptions) -> Result<()> {
    let mut client = Client::connect_to_server(connect).await?;
    let name = quote_name(connect.database());
    let database = Database::read(&mut client, connect.database()).await?;
    let Some(database) = database else { return Ok(()) };
    client.execute(&format!("DROP DATABASE {name}")).await?;
    let create = format!(
        "CREATE DATABASE {name} CHARACTER SET {} COLLATE {}",
        database.charset, database.collation
    );
    client.execute(&create).await?;
    client.close().await;
    Ok(())
}
