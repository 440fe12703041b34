//! A table's part: what its attributes say.

use std::collections::BTreeSet;

use backup_core::{Error, ErrorKind, Part, PartName, Result};

use crate::quote_ident;

/// A table part, understood.
#[derive(Clone, Debug)]
pub(crate) struct TablePart {
    pub(crate) part: PartName,
    pub(crate) bytes: u64,
    pub(crate) schema: String,
    pub(crate) table: String,
    columns: Vec<String>,
    encoding: String,
    /// Rows that were copied out.
    pub(crate) rows: u64,
    load_through: Option<(String, String)>,
    /// The extension that brings the table itself.
    pub(crate) brought_by: Option<String>,
    /// For an extension's table: its oid, and those to load before it.
    extension: Option<(u32, Vec<u32>)>,
}

impl TablePart {
    /// Reads a part's attributes; nothing when it is no table.
    pub(crate) fn read(part: &Part) -> Result<Option<Self>> {
        if !part.name.as_str().starts_with(crate::logical::names::TABLE_PREFIX) {
            return Ok(None);
        }
        let get = |name: &str| part.attributes.get(name);
        let need = |name: &'static str| {
            get(name).cloned().ok_or_else(|| {
                Error::new(ErrorKind::Integrity, "read table part")
                    .with("part", &part.name)
                    .with("attribute", name)
            })
        };
        let list = |name: &str| -> Option<Vec<String>> { serde_json::from_str(get(name)?).ok() };
        let load_through: Option<[String; 2]> =
            list("load_through").and_then(|names| names.try_into().ok());
        let after: Option<Vec<u32>> = get("after").and_then(|json| serde_json::from_str(json).ok());
        let oid: Option<u32> = get("oid").and_then(|text| text.parse().ok());
        let columns: Option<Vec<String>> = serde_json::from_str(&need("columns")?).ok();
        let invalid = |name: &'static str| {
            Error::new(ErrorKind::Integrity, "read table part")
                .with("part", &part.name)
                .with("attribute", name)
        };
        Ok(Some(Self {
            part: part.name.clone(),
            bytes: part.bytes,
            schema: need("schema")?,
            table: need("table")?,
            columns: columns.ok_or_else(|| invalid("columns"))?,
            encoding: need("encoding")?,
            rows: need("rows")?.parse().map_err(|_| invalid("rows"))?,
            load_through: load_through.map(|[schema, name]| (schema, name)),
            brought_by: get("extension").cloned(),
            extension: oid.zip(after),
        }))
    }

    #[cfg(test)]
    pub(super) fn for_test(part: PartName, bytes: u64, schema: &str, table: &str) -> Self {
        Self {
            part,
            bytes,
            schema: schema.into(),
            table: table.into(),
            columns: Vec::new(),
            encoding: "UTF8".into(),
            rows: 0,
            load_through: None,
            brought_by: None,
            extension: None,
        }
    }

    /// Returns whether an extension brings the table itself.
    pub(crate) fn is_of_extension(&self) -> bool {
        self.extension.is_some()
    }

    /// Returns its columns that are not among these.
    pub(crate) fn columns_without(&self, known: &BTreeSet<String>) -> Vec<String> {
        self.columns.iter().filter(|name| !known.contains(*name)).cloned().collect()
    }

    /// Returns the table's name as SQL writes it.
    pub(crate) fn sql_name(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.table))
    }

    /// Returns the table and columns that a COPY is about.
    pub(crate) fn copy_into(&self) -> String {
        let name = match &self.load_through {
            Some((schema, name)) => format!("{}.{}", quote_ident(schema), quote_ident(name)),
            None => self.sql_name(),
        };
        let columns: Vec<String> = self.columns.iter().map(|name| quote_ident(name)).collect();
        if columns.is_empty() { name } else { format!("{name} ({})", columns.join(", ")) }
    }

    /// Returns the encoding of its rows.
    pub(crate) fn encoding(&self) -> &str {
        &self.encoding
    }
}

/// Orders an extension's tables so that what they reference comes first; a cycle keeps its
/// order.
pub(super) fn in_reference_order(tables: Vec<TablePart>) -> Vec<TablePart> {
    let known: BTreeSet<u32> =
        tables.iter().filter_map(|table| Some(table.extension.as_ref()?.0)).collect();
    let mut waiting = tables;
    let mut ordered = Vec::new();
    let mut placed = BTreeSet::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|table| {
            table.extension.as_ref().is_none_or(|(_, after)| {
                after.iter().all(|oid| placed.contains(oid) || !known.contains(oid))
            })
        });
        let table = waiting.remove(ready.unwrap_or(0));
        placed.extend(table.extension.as_ref().map(|(oid, _)| *oid));
        ordered.push(table);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, oid: u32, after: &[u32]) -> TablePart {
        let table = TablePart::for_test(PartName::new(name), 0, "s", name);
        TablePart { extension: Some((oid, after.to_vec())), ..table }
    }

    #[test]
    fn referenced_tables_come_first_and_cycles_end() {
        let tables = vec![table("a", 1, &[2]), table("b", 2, &[3, 99]), table("c", 3, &[])];
        let names: Vec<String> =
            in_reference_order(tables).into_iter().map(|table| table.table).collect();
        assert_eq!(names, ["c", "b", "a"]);
        assert_eq!(in_reference_order(vec![table("a", 1, &[2]), table("b", 2, &[1])]).len(), 2);
    }
}
