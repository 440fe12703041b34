//! Reading the schema from the server.

use backup_core::{Error, ErrorKind, Result};

use super::item::{Item, Kind};
use crate::catalog::tables::{self, Table};
use crate::{Client, Row, error_code, quote_name, quote_text};

/// What this server does not know, or this user may not see.
const ABSENT: [u16; 4] = [1109, 1146, 1235, 1305];

/// Reads every object of the database, in the order in which they can be made.
///
/// An object that was there a moment ago and is not now is a temporary failure.
pub(crate) async fn read(
    client: &mut Client,
    database: &str,
    tables: &[Table],
) -> Result<Vec<Item>> {
    // Statements in UTF-8, whatever they were given in; rows are read as they are stored.
    client.execute("SET character_set_results = utf8mb4").await?;
    let mut items = Vec::new();
    for table in tables {
        let kind = match table.kind {
            tables::Kind::Plain => Kind::Table,
            tables::Kind::View => Kind::View,
            tables::Kind::Sequence => Kind::Sequence,
        };
        let Some(row) = show(client, database, kind, &table.name).await? else {
            return Err(vanished(kind, &table.name));
        };
        let mut item = Item::new(kind, &table.name, statement(kind, &table.name, row.get(1))?);
        match kind {
            Kind::View => {
                item.charset = row.get(2).map(str::to_owned);
                item.collation = row.get(3).map(str::to_owned);
                item.broken.clone_from(&table.trouble);
            }
            Kind::Sequence => item.next_value = next_value(client, database, &table.name).await?,
            _ => {}
        }
        items.push(item);
    }
    items.extend(routines(client, database).await?);
    items.extend(triggers(client, database).await?);
    items.extend(events(client, database).await?);
    client.execute("SET character_set_results = NULL").await?;
    items.sort_by_key(|item| item.kind);
    Ok(items)
}

async fn show(client: &mut Client, database: &str, kind: Kind, name: &str) -> Result<Option<Row>> {
    let sql =
        format!("SHOW CREATE {} {}.{}", kind.as_sql(), quote_name(database), quote_name(name));
    client.first(&sql).await.map_err(|error| error.with("object", name))
}

fn vanished(kind: Kind, name: &str) -> Error {
    Error::new(ErrorKind::Failed, "read schema")
        .with("object", format!("{} {name}", kind.word()))
        .because("it disappeared while the schema was read")
        .temporary()
}

fn statement<'a>(kind: Kind, name: &str, shown: Option<&'a str>) -> Result<&'a str> {
    shown.filter(|sql| !sql.is_empty()).ok_or_else(|| {
        Error::new(ErrorKind::Failed, "read schema")
            .with("object", format!("{} {name}", kind.word()))
            .because("the server does not print its statement as text in UTF-8")
            .hint("Look at it with SHOW CREATE; a default or a comment that is no text must go.")
    })
}

/// The account may see that there is a body, and not the body.
fn hidden(kind: Kind, name: &str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, "read schema")
        .with("object", format!("{} {name}", kind.word()))
        .because("the server does not show its body to this user")
        .hint("Grant SELECT ON *.* (MariaDB: SELECT ON mysql.proc; MySQL: SHOW_ROUTINE).")
}

async fn next_value(client: &mut Client, database: &str, name: &str) -> Result<Option<i64>> {
    let sql =
        format!("SELECT next_not_cached_value FROM {}.{}", quote_name(database), quote_name(name));
    Ok(client.first(&sql).await?.and_then(|row| row.number(0)))
}

async fn routines(client: &mut Client, database: &str) -> Result<Vec<Item>> {
    let sql = format!(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES \
         WHERE ROUTINE_SCHEMA = {} ORDER BY 1, 2",
        quote_text(database)
    );
    let mut items = Vec::new();
    for row in client.query(&sql).await? {
        let kind = match row.text(0).as_str() {
            "FUNCTION" => Kind::Function,
            "PROCEDURE" => Kind::Procedure,
            "PACKAGE" => Kind::Package,
            "PACKAGE BODY" => Kind::PackageBody,
            other => {
                return Err(Error::new(ErrorKind::Unsupported, "read schema")
                    .with("object", format!("{} {}", other.to_lowercase(), row.text(1)))
                    .hint(
                        "This version does not know this kind of routine: drop it, or report it.",
                    ));
            }
        };
        let name = row.text(1);
        let shown = show(client, database, kind, &name).await?;
        let shown = shown.ok_or_else(|| vanished(kind, &name))?;
        let body = shown.get(2).ok_or_else(|| hidden(kind, &name))?;
        items.push(settings(Item::new(kind, &name, body), &shown, 1, 3));
    }
    Ok(items)
}

async fn triggers(client: &mut Client, database: &str) -> Result<Vec<Item>> {
    let sql = format!(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS \
         WHERE TRIGGER_SCHEMA = {} \
         ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        quote_text(database)
    );
    let mut items = Vec::new();
    for row in client.query(&sql).await? {
        let name = row.text(0);
        let shown = show(client, database, Kind::Trigger, &name).await?;
        let shown = shown.ok_or_else(|| vanished(Kind::Trigger, &name))?;
        let sql = statement(Kind::Trigger, &name, shown.get(2))?;
        let mut item = Item::new(Kind::Trigger, &name, sql);
        item.table = Some(row.text(1));
        items.push(settings(item, &shown, 1, 3));
    }
    Ok(items)
}

async fn events(client: &mut Client, database: &str) -> Result<Vec<Item>> {
    let sql = format!(
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {} ORDER BY 1",
        quote_text(database)
    );
    let rows = match client.query(&sql).await {
        Ok(rows) => rows,
        Err(error) if error_code(&error).is_some_and(|code| ABSENT.contains(&code)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut items = Vec::new();
    for row in rows {
        let name = row.text(0);
        let shown = show(client, database, Kind::Event, &name).await?;
        let shown = shown.ok_or_else(|| vanished(Kind::Event, &name))?;
        let sql = statement(Kind::Event, &name, shown.get(3))?;
        let mut item = Item::new(Kind::Event, &name, sql);
        item.time_zone = shown.get(2).map(str::to_owned);
        items.push(settings(item, &shown, 1, 4));
    }
    Ok(items)
}

/// Takes over the settings that a statement was given under, by their columns.
fn settings(mut item: Item, shown: &Row, mode: usize, charset: usize) -> Item {
    item.sql_mode = Some(shown.text(mode));
    item.charset = shown.get(charset).map(str::to_owned);
    item.collation = shown.get(charset + 1).map(str::to_owned);
    item
}
