//! The values of sequences.

use backup_core::{Error, ErrorKind, Result, SequenceEvidence};
use serde::{Deserialize, Serialize};

use super::{flag, number, optional, text};
use crate::{Client, quote_ident, quote_literal};

/// Sequences read by one statement.
const BATCH: usize = 200;

/// Where a sequence stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The last value, or the next one when `is_called` is false.
    pub(crate) last_value: i64,
    pub(crate) is_called: bool,
}

impl Sequence {
    /// Returns what is recorded of it.
    pub(crate) fn into_evidence(self) -> SequenceEvidence {
        SequenceEvidence {
            schema: self.schema,
            name: self.name,
            last_value: self.last_value,
            is_called: self.is_called,
        }
    }

    /// Returns its name as people write it.
    pub(crate) fn label(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Returns its name as SQL writes it.
    pub(crate) fn sql_name(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }

    /// Returns the statement that puts it there.
    pub(crate) fn setval(&self) -> String {
        format!(
            "SELECT pg_catalog.setval({}, {}, {})",
            quote_literal(&self.sql_name()),
            self.last_value,
            self.is_called
        )
    }
}

/// A sequence that a dump is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) readable: bool,
    /// The extension it belongs to, as its configuration.
    pub(crate) extension: Option<String>,
}

/// Lists all sequences that a dump is about.
pub(crate) async fn list(client: &mut Client) -> Result<Vec<Listed>> {
    let rows = client.query(SEQUENCES).await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                schema: text(row, "nspname")?,
                name: text(row, "relname")?,
                readable: flag(row, "readable"),
                extension: optional(row, "extension"),
            })
        })
        .collect()
}

/// Reads the values of these sequences. They are outside transactions: read after the snapshot
/// was taken, they are never behind the rows in it.
pub(crate) async fn read(
    client: &mut Client,
    user: &str,
    listed: &[Listed],
) -> Result<Vec<Sequence>> {
    let denied: Vec<String> = listed
        .iter()
        .filter(|one| !one.readable)
        .map(|one| format!("{}.{}", one.schema, one.name))
        .collect();
    if !denied.is_empty() {
        return Err(Error::new(ErrorKind::SourceUnavailable, "read sequences")
            .with("role", user)
            .with("not readable", denied.join(", "))
            .hint("Grant SELECT on these sequences (or pg_read_all_data) to the backup role."));
    }
    let names: Vec<(String, String)> =
        listed.iter().map(|one| (one.schema.clone(), one.name.clone())).collect();
    let mut sequences = Vec::with_capacity(names.len());
    for batch in names.chunks(BATCH) {
        for row in client.query(&values_query(batch)).await? {
            let position: usize = number(&row, "position")?;
            let Some((schema, name)) = batch.get(position) else { continue };
            sequences.push(Sequence {
                schema: schema.clone(),
                name: name.clone(),
                last_value: number(&row, "last_value")?,
                is_called: flag(&row, "is_called"),
            });
        }
    }
    Ok(sequences)
}

fn values_query(names: &[(String, String)]) -> String {
    let selects: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(position, (schema, name))| {
            format!(
                "SELECT {position} AS position, last_value, is_called FROM {}.{}",
                quote_ident(schema),
                quote_ident(name)
            )
        })
        .collect();
    selects.join(" UNION ALL ")
}

const SEQUENCES: &str = "\
SELECT n.nspname, c.relname, e.extname AS extension, \
  pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
    AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AS readable \
FROM pg_catalog.pg_class c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
  AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e' \
  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
WHERE c.relkind = 'S' AND c.relpersistence <> 't' \
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
  AND (e.oid IS NULL OR c.oid = ANY (e.extconfig)) \
ORDER BY n.nspname, c.relname";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_put_back_by_quoted_name() {
        let sequence = Sequence {
            schema: "a'b".into(),
            name: "c\"d".into(),
            last_value: -5,
            is_called: false,
        };
        let sql = sequence.setval();
        assert_eq!(sql, "SELECT pg_catalog.setval('\"a''b\".\"c\"\"d\"', -5, false)");
        let json = serde_json::to_string(&sequence).unwrap();
        assert_eq!(serde_json::from_str::<Sequence>(&json).unwrap(), sequence);
    }
}
