//! What a table is beneath its name: a number that stays with its rows when the table is renamed.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::{Client, error_code};

/// InnoDB's tables on the server by number, as it writes their names: `database/table`. Empty
/// where the user may not see them, which takes PROCESS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(BTreeMap<u64, String>);

impl Numbers {
    /// Reads them as they are now, whatever a transaction sees.
    pub(crate) async fn read(client: &mut Client) -> Result<Self> {
        // MariaDB and older MySQL have the first, MySQL 8 has the second.
        for view in ["INNODB_SYS_TABLES", "INNODB_TABLES"] {
            let sql = format!("SELECT TABLE_ID, NAME FROM information_schema.{view}");
            match client.query(&sql).await {
                Ok(rows) => {
                    let each = rows.iter().filter_map(|row| Some((row.number(0)?, row.text(1))));
                    // What the server makes for the time of a change is no table.
                    return Ok(Self(each.filter(|(_, name)| !name.contains("#sql")).collect()));
                }
                Err(error) if error_code(&error).is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::default())
    }

    /// Returns a table of the database that had another name before, or gave its name away: both
    /// names. A table that was emptied or rebuilt has a new number, and is none.
    pub(crate) fn renamed<'a>(
        &'a self,
        later: &'a Self,
        database: &str,
    ) -> Option<(&'a str, &'a str)> {
        let prefix = format!("{}/", encoded(database)?).to_lowercase();
        let is_ours = |name: &str| name.to_lowercase().starts_with(&prefix);
        self.0.iter().find_map(|(number, was)| {
            let is = later.0.get(number)?;
            (was != is && (is_ours(was) || is_ours(is))).then_some((was.as_str(), is.as_str()))
        })
    }
}

/// A name as the server writes it in names of files; nothing for letters outside ASCII, which it
/// writes by tables of its own.
fn encoded(name: &str) -> Option<String> {
    let one = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '_' => Some(c.to_string()),
        c if c.is_ascii() => Some(format!("@{:04x}", u32::from(c))),
        _ => None,
    };
    name.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(pairs: &[(u64, &str)]) -> Numbers {
        Numbers(pairs.iter().map(|(number, name)| (*number, (*name).to_owned())).collect())
    }

    #[test]
    fn renamed_tables_of_the_database_are_found() {
        let before = numbers(&[(1, "sh@002dop/a"), (2, "sh@002dop/b"), (3, "x/c")]);
        for (after, found) in [
            // Swapped; moved in from another database; another database's own; emptied.
            (&[(1, "sh@002dop/b"), (2, "sh@002dop/a")][..], true),
            (&[(1, "sh@002dop/a"), (3, "sh@002dop/b")], true),
            (&[(1, "sh@002dop/a"), (2, "sh@002dop/b"), (3, "x/d")], false),
            (&[(9, "sh@002dop/a"), (2, "sh@002dop/b")], false),
        ] {
            let after = numbers(after);
            assert_eq!(before.renamed(&after, "sh-op").is_some(), found, "{after:?}");
        }
    }
}
