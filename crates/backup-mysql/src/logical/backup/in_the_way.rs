//! Which tables others hold, when a lock was waited for in vain.

use std::time::{Duration, Instant};

use backup_core::Result;

use crate::catalog::tables::Table;
use crate::wire::code;
use crate::{Client, ConnectOptions, error_code, quote_name, quote_text};

/// How many tables are named.
const NAMED: usize = 3;
/// How long is looked at most: each table that is held takes a second.
const LONGEST: Duration = Duration::from_secs(10);

/// Returns the names of some tables that cannot be read now, or that a statement changes, with
/// that statement's verb and session; nothing where that cannot be told.
pub(super) async fn in_the_way(connect: &ConnectOptions, tables: &[Table]) -> Vec<String> {
    let looking = tokio::time::timeout(LONGEST, look(connect, tables));
    // It only helps a person: what it fails with is not told.
    looking.await.ok().and_then(Result::ok).unwrap_or_default()
}

async fn look(connect: &ConnectOptions, tables: &[Table]) -> Result<Vec<String>> {
    let mut client = Client::connect(connect).await?;
    let mut found = changing(&mut client, connect.database(), tables).await?;
    // Nothing less than a second is understood everywhere.
    client.try_set("lock_wait_timeout", "1").await?;
    let begun = Instant::now();
    for table in tables.iter().filter(|table| table.holds_rows()) {
        if found.len() >= NAMED || begun.elapsed() > LONGEST / 2 {
            break;
        }
        let named = |one: &String| one.split(' ').next() == Some(table.name.as_str());
        if found.iter().any(named) {
            continue;
        }
        let sql = format!("SELECT 1 FROM {} LIMIT 0", quote_name(&table.name));
        match client.execute(&sql).await {
            Err(error) if error_code(&error) == Some(code::LOCK_WAIT) => {
                found.push(table.name.clone());
            }
            _ => {}
        }
    }
    client.close().await;
    Ok(found)
}

/// Statements that change a table's definition, as far as this user sees other sessions. Their text
/// is not told: it may hold values.
async fn changing(client: &mut Client, database: &str, tables: &[Table]) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT ID, INFO FROM information_schema.PROCESSLIST WHERE DB = {} AND INFO IS NOT NULL \
         AND ID <> CONNECTION_ID() ORDER BY TIME DESC",
        quote_text(database)
    );
    let mut found = Vec::new();
    for row in client.query(&sql).await? {
        if let Some((verb, table)) = change_of(&row.text(1), tables) {
            found.push(format!("{table} ({verb} of session {})", row.text(0)));
        }
    }
    found.truncate(NAMED);
    Ok(found)
}

/// Reads which table a statement changes the definition of.
fn change_of<'a>(statement: &str, tables: &'a [Table]) -> Option<(String, &'a str)> {
    const VERBS: [&str; 6] = ["ALTER", "CREATE", "DROP", "TRUNCATE", "RENAME", "OPTIMIZE"];
    let mut words = statement.split(|c: char| c.is_whitespace() || "`().,;".contains(c));
    let verb = words.next()?.to_ascii_uppercase();
    if !VERBS.contains(&verb.as_str()) {
        return None;
    }
    // The name stands near the beginning: `CREATE UNIQUE INDEX i ON t`, `DROP TABLE IF EXISTS t`.
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).take(8).collect();
    let table = tables.iter().find(|table| words.contains(&table.name.as_str()))?;
    Some((verb, &table.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tables::Kind;

    #[test]
    fn tables_are_found_in_statements_that_change_them() {
        let table = |name: &str| Table {
            name: name.into(),
            kind: Kind::Plain,
            engine: "InnoDB".into(),
            rows: 0,
            row_bytes: 0,
            bytes: 0,
            versioned: false,
            trouble: None,
            columns: Vec::new(),
            key: Vec::new(),
            key_index: String::new(),
        };
        let tables = [table("orders"), table("t")];
        for (statement, found) in [
            ("alter table `shop`.`orders` add x int", Some("orders")),
            ("CREATE UNIQUE INDEX i ON t(a)", Some("t")),
            ("DROP TABLE IF EXISTS\n\tt", Some("t")),
            ("INSERT INTO t VALUES ('secret')", None),
            ("CREATE USER u IDENTIFIED BY 'x'", None),
        ] {
            let seen = change_of(statement, &tables).map(|(_, table)| table);
            assert_eq!(seen, found, "{statement}");
        }
    }
}
