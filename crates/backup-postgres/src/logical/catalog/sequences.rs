//! The values of sequences.

use backup_core::{Error, ErrorKind, Result, SequenceEvidence};
use serde::{Deserialize, Serialize};

use super::{flag, number, text};
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

    /// Returns the statement that puts it there.
    pub(crate) fn setval(&self) -> String {
        let name = format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name));
        format!(
            "SELECT pg_catalog.setval({}, {}, {})",
            quote_literal(&name),
            self.last_value,
            self.is_called
        )
    }
}

/// Reads all sequences that a dump is about. Sequences are outside transactions: read after the
/// snapshot was taken, they are never behind the rows in it.
pub(crate) async fn read(client: &mut Client, user: &str) -> Result<Vec<Sequence>> {
    let rows = client.query(SEQUENCES).await?;
    let mut denied = Vec::new();
    let mut names = Vec::new();
    for row in &rows {
        let (schema, name) = (text(row, "nspname")?, text(row, "relname")?);
        if !flag(row, "readable") {
            denied.push(format!("{schema}.{name}"));
        }
        names.push((schema, name));
    }
    if !denied.is_empty() {
        return Err(Error::new(ErrorKind::SourceUnavailable, "read sequences")
            .with("role", user)
            .with("not readable", denied.join(", "))
            .hint("Grant SELECT on these sequences (or pg_read_all_data) to the backup role."));
    }
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
SELECT n.nspname, c.relname, pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
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
