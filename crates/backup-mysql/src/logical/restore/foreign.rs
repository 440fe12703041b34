//! Foreign keys: made without a check, and asked about afterwards.

use backup_core::{Error, ErrorKind, Finding, Result};

use crate::{Client, error_code, quote_name, quote_text};

/// One foreign key as the dictionary knows it.
struct Reference {
    name: String,
    child: String,
    parent_schema: String,
    parent: String,
    /// Pairs of a column and what it references.
    columns: Vec<(String, String)>,
}

/// Asks of every foreign key of the database whether each row finds what it references. Rows that
/// do not are told: the source held them so, or its rows changed behind the server's back. So are
/// keys that reference another database whose table is not here.
pub(super) async fn check(client: &mut Client, database: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for reference in read(client, database).await? {
        let row = match client.first(&reference.question(database)).await {
            Ok(row) => row,
            Err(error) if reference.parent_schema != database && error_code(&error).is_some() => {
                findings.push(Finding::warning(format!(
                    "rows of {} reference {}.{}, of another database, which cannot be asked \
                     (foreign key {}): {error}",
                    reference.child, reference.parent_schema, reference.parent, reference.name
                )));
                continue;
            }
            Err(error) => {
                return Err(Error::new(ErrorKind::Failed, "check foreign key")
                    .with("foreign key", &reference.name)
                    .because(error));
            }
        };
        let orphans = row.and_then(|row| row.number::<u64>(0)).unwrap_or(0);
        if orphans > 0 {
            findings.push(Finding::warning(format!(
                "{orphans} rows of {} reference rows of {} that do not exist (foreign key {}); the \
                 snapshot holds them so",
                reference.child, reference.parent, reference.name
            )));
        }
    }
    Ok(findings)
}

impl Reference {
    /// Counts rows whose columns are all set and find nothing.
    fn question(&self, database: &str) -> String {
        let joined: Vec<String> = self
            .columns
            .iter()
            .map(|(from, to)| format!("p.{} = c.{}", quote_name(to), quote_name(from)))
            .collect();
        let set: Vec<String> = self
            .columns
            .iter()
            .map(|(from, _)| format!("c.{} IS NOT NULL", quote_name(from)))
            .collect();
        format!(
            "SELECT COUNT(*) FROM {}.{} c WHERE {} AND NOT EXISTS \
             (SELECT 1 FROM {}.{} p WHERE {})",
            quote_name(database),
            quote_name(&self.child),
            set.join(" AND "),
            quote_name(&self.parent_schema),
            quote_name(&self.parent),
            joined.join(" AND ")
        )
    }
}

async fn read(client: &mut Client, database: &str) -> Result<Vec<Reference>> {
    let sql = format!(
        "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, \
         COLUMN_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE \
         WHERE TABLE_SCHEMA = {} AND REFERENCED_TABLE_NAME IS NOT NULL \
         ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
        quote_text(database)
    );
    let mut references: Vec<Reference> = Vec::new();
    for row in client.query(&sql).await? {
        let pair = (row.text(4), row.text(5));
        match references.last_mut() {
            Some(last) if last.name == row.text(0) && last.child == row.text(1) => {
                last.columns.push(pair);
            }
            _ => references.push(Reference {
                name: row.text(0),
                child: row.text(1),
                parent_schema: row.text(2),
                parent: row.text(3),
                columns: vec![pair],
            }),
        }
    }
    Ok(references)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_a_null_reference_nothing() {
        let reference = Reference {
            name: "fk".into(),
            child: "c".into(),
            parent_schema: "d".into(),
            parent: "p".into(),
            columns: vec![("a".into(), "x".into()), ("b".into(), "y".into())],
        };
        assert_eq!(
            reference.question("d"),
            "SELECT COUNT(*) FROM `d`.`c` c WHERE c.`a` IS NOT NULL AND c.`b` IS NOT NULL AND NOT \
             EXISTS (SELECT 1 FROM `d`.`p` p WHERE p.`x` = c.`a` AND p.`y` = c.`b`)"
        );
    }
}
