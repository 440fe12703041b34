//! Sessions that read, and the statements they read with.

use std::time::Duration;

use backup_core::Result;

use crate::catalog::tables::{Column, Table};
use crate::logical::borders::{self, Key};
use crate::{Client, ConnectOptions, quote_name};

/// Opens a session for reading: repeatable, with a limit for waiting on locks, without one for
/// being idle.
pub(super) async fn reading(connect: &ConnectOptions, lock_wait: Duration) -> Result<Client> {
    let mut client = Client::connect(connect).await?;
    client.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    let seconds = lock_wait.as_secs().max(1).to_string();
    client.try_set("lock_wait_timeout", &seconds).await?;
    for limit in ["idle_transaction_timeout", "idle_readonly_transaction_timeout"] {
        client.try_set(limit, "0").await?;
    }
    // MariaDB writes savepoints to its binary log; a backup is nothing for a replica.
    client.try_set("sql_log_bin", "0").await?;
    // Rows that were deleted from an index must not slow a range down by being sorted.
    client.try_set("information_schema_stats_expiry", "0").await?;
    Ok(client)
}

/// Returns the statement that reads rows whose keys are from one border up to another.
pub(super) fn rows(table: &Table, from: Option<&Key>, to: Option<&Key>) -> String {
    rows_where(table, borders::condition(&table.key, from, to))
}

/// Returns the statement that reads rows whose keys are beyond one, up to a border.
pub(super) fn rows_beyond(table: &Table, last: &Key, to: Option<&Key>) -> String {
    rows_where(table, Some(borders::beyond(&table.key, last, to)))
}

fn rows_where(table: &Table, condition: Option<String>) -> String {
    let columns: Vec<String> = table.stored().map(expression).collect();
    // A table whose columns are all computed still has rows.
    let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
    let (name, select) = (quote_name(&table.name), verb(table));
    if table.key.is_empty() {
        return format!("{select} {columns} FROM {name}");
    }
    let condition = condition.map(|text| format!(" WHERE {text}")).unwrap_or_default();
    format!(
        "{select} {columns} FROM {name} FORCE INDEX ({}){condition} ORDER BY {}",
        quote_name(&table.key_index),
        key_columns(table)
    )
}

/// Returns the statement that finds the key `skip` rows after a border.
pub(super) fn step(table: &Table, from: Option<&Key>, to: Option<&Key>, skip: u64) -> String {
    let condition = borders::condition(&table.key, from, to);
    let condition = condition.map(|text| format!(" WHERE {text}")).unwrap_or_default();
    format!(
        "{select} {values} FROM {} FORCE INDEX ({}){condition} ORDER BY {keys} \
         LIMIT 1 OFFSET {skip}",
        quote_name(&table.name),
        quote_name(&table.key_index),
        select = verb(table),
        values = key_values(table),
        keys = key_columns(table),
    )
}

/// Returns the statement that asks for the smallest and the greatest value of the key's first
/// column.
pub(super) fn ends(table: &Table) -> Option<String> {
    let first = quote_name(&table.key.first()?.name);
    let name = quote_name(&table.name);
    Some(format!("{} MIN({first}), MAX({first}) FROM {name}", verb(table)))
}

/// Somebody who waits to write to a table without transactions, until we have read it, must not
/// stand before us.
fn verb(table: &Table) -> &'static str {
    if table.is_transactional() {
        "SELECT SQL_NO_CACHE"
    } else {
        "SELECT HIGH_PRIORITY SQL_NO_CACHE"
    }
}

fn key_columns(table: &Table) -> String {
    let names: Vec<String> = table.key.iter().map(|column| quote_name(&column.name)).collect();
    names.join(", ")
}

/// The values of a key, each as it is stored.
fn key_values(table: &Table) -> String {
    let converted = |name: &str| table.columns.iter().any(|c| c.name == name && c.converted);
    let each = table.key.iter().map(|column| {
        let name = quote_name(&column.name);
        if converted(&column.name) { format!("CAST({name} AS BINARY)") } else { name }
    });
    each.collect::<Vec<String>>().join(", ")
}

/// A float is printed with six digits unless it is made a double first; every float is a double,
/// and reading that back gives the float.
fn expression(column: &Column) -> String {
    let name = quote_name(&column.name);
    match column.data_type.as_str() {
        "float" => format!("{name} * 1e0"),
        _ if column.converted => format!("CAST({name} AS BINARY)"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tables::{KeyColumn, KeyKind, Kind};

    #[test]
    fn statements_name_columns_and_keys() {
        let column = |name: &str, data_type: &str, generated| Column {
            name: name.into(),
            data_type: data_type.into(),
            charset: None,
            generated,
            collation: None,
            full_type: data_type.into(),
            converted: false,
        };
        let mut table = Table {
            name: "a`b".into(),
            kind: Kind::Plain,
            engine: "InnoDB".into(),
            rows: 0,
            row_bytes: 0,
            bytes: 0,
            versioned: false,
            trouble: None,
            columns: vec![
                column("id", "int", false),
                column("f", "float", false),
                column("g", "int", true),
            ],
            key: vec![KeyColumn {
                name: "id".into(),
                kind: KeyKind::Number,
                full_type: "int".into(),
                collation: None,
            }],
            key_index: "PRIMARY".into(),
        };
        let key = vec![b"5".to_vec()];
        assert_eq!(
            rows(&table, Some(&key), None),
            "SELECT SQL_NO_CACHE `id`, `f` * 1e0 FROM `a``b` FORCE INDEX (`PRIMARY`) WHERE `id` >= 5 ORDER BY `id`"
        );
        assert_eq!(
            step(&table, None, Some(&key), 9),
            "SELECT SQL_NO_CACHE `id` FROM `a``b` FORCE INDEX (`PRIMARY`) WHERE `id` < 5 ORDER BY `id` LIMIT 1 OFFSET 9"
        );
        assert_eq!(
            rows_beyond(&table, &key, None),
            "SELECT SQL_NO_CACHE `id`, `f` * 1e0 FROM `a``b` FORCE INDEX (`PRIMARY`) WHERE `id` > 5 ORDER BY `id`"
        );
        table.columns[0].converted = true;
        assert!(rows(&table, None, None).starts_with("SELECT SQL_NO_CACHE CAST(`id` AS BINARY), "));
        assert!(step(&table, None, None, 9).contains("CAST(`id` AS BINARY) FROM"));
        table.columns[0].converted = false;
        table.key.clear();
        assert_eq!(rows(&table, None, None), "SELECT SQL_NO_CACHE `id`, `f` * 1e0 FROM `a``b`");
    }
}
