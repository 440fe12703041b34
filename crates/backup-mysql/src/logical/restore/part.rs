//! Parts of a snapshot, read.

use backup_core::port::PartSource;
use backup_core::{Error, ErrorKind, Part, PartName, Result};
use futures::TryStreamExt;

use crate::logical::names::TABLE_PREFIX;
use crate::quote_name;

/// A table's part, understood.
#[derive(Clone, Debug)]
pub(crate) struct TablePart {
    pub(crate) part: PartName,
    pub(crate) table: String,
    pub(crate) bytes: u64,
    /// Rows that were copied out.
    pub(crate) rows: u64,
    columns: Vec<String>,
    types: Vec<String>,
}

impl TablePart {
    /// Reads a part's attributes; nothing when it is no table.
    pub(crate) fn read(part: &Part) -> Result<Option<Self>> {
        if !part.name.as_str().starts_with(TABLE_PREFIX) {
            return Ok(None);
        }
        let damaged = |name: &'static str| {
            Error::new(ErrorKind::Integrity, "read table part")
                .with("part", &part.name)
                .with("attribute", name)
        };
        let need = |name: &'static str| part.attributes.get(name).ok_or_else(|| damaged(name));
        let list = |name: &'static str| -> Result<Vec<String>> {
            serde_json::from_str(need(name)?).map_err(|_| damaged(name))
        };
        let (columns, types) = (list("columns")?, list("types")?);
        if columns.len() != types.len() {
            return Err(damaged("types"));
        }
        Ok(Some(Self {
            part: part.name.clone(),
            table: need("table")?.clone(),
            bytes: part.bytes,
            rows: need("rows")?.parse().map_err(|_| damaged("rows"))?,
            columns,
            types,
        }))
    }

    /// Returns the columns of a `LOAD DATA` statement, and what it sets: values are handed over
    /// as bytes, and a few types only take text.
    pub(crate) fn load_columns(&self) -> String {
        let mut sets = Vec::new();
        let each: Vec<String> = self
            .columns
            .iter()
            .zip(&self.types)
            .enumerate()
            .map(|(position, (name, kind))| {
                let name = quote_name(name);
                if !is_text_only(kind) {
                    return name;
                }
                sets.push(format!("{name} = CONVERT(@v{position} USING utf8mb4)"));
                format!("@v{position}")
            })
            .collect();
        // A table whose columns are all computed is loaded by empty lines.
        let columns = if each.is_empty() { "@nothing".to_owned() } else { each.join(", ") };
        let set = if sets.is_empty() { String::new() } else { format!(" SET {}", sets.join(", ")) };
        format!("({columns}){set}")
    }

    /// Returns the columns of an `INSERT`.
    pub(crate) fn column_list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|name| quote_name(name)).collect();
        names.join(", ")
    }

    /// Returns which columns are enumerations.
    pub(super) fn enums(&self) -> Vec<bool> {
        self.types.iter().map(|kind| kind == "enum").collect()
    }

    /// Returns the names of enumerations.
    pub(super) fn enum_names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().zip(&self.types).filter(|(_, kind)| *kind == "enum").map(|(n, _)| n)
    }

    /// Returns whether a column takes only text.
    pub(crate) fn takes_text(&self, position: usize) -> bool {
        self.types.get(position).is_some_and(|kind| is_text_only(kind))
    }
}

/// MySQL's JSON refuses bytes; MariaDB's addresses and identifiers take them for their own
/// binary form. (MariaDB calls its JSON longtext, to which this does not apply.)
fn is_text_only(kind: &str) -> bool {
    matches!(kind, "json" | "uuid" | "inet4" | "inet6" | "xmltype" | "vector")
}

/// Reads a small part whole; nothing where there is none.
pub(crate) async fn read_part(parts: &dyn PartSource, name: &str) -> Result<Option<Vec<u8>>> {
    let name = PartName::new(name);
    if !parts.parts().iter().any(|part| part.name == name) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    for position in 0..parts.segments(&name).await?.len() {
        let mut stream = parts.read(&name, position).await?;
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use backup_core::Layout;

    use super::*;

    fn part(attributes: &[(&str, &str)]) -> Part {
        let pairs = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Part {
            name: PartName::new("table/t"),
            layout: Layout::Stream,
            bytes: 0,
            segments: 1,
            map: Vec::new(),
            attributes: pairs.collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn types_that_refuse_bytes_are_given_text() {
        let table = part(&[
            ("table", "t"),
            ("rows", "3"),
            ("columns", r#"["a","j`","u"]"#),
            ("types", r#"["int","json","uuid"]"#),
        ]);
        let table = TablePart::read(&table).unwrap().unwrap();
        assert_eq!(
            table.load_columns(),
            "(`a`, @v1, @v2) SET `j``` = CONVERT(@v1 USING utf8mb4), `u` = CONVERT(@v2 USING utf8mb4)"
        );
    }

    #[test]
    fn attributes_that_are_missing_or_do_not_fit_are_damage() {
        for attributes in [
            &[("table", "t"), ("rows", "x"), ("columns", "[]"), ("types", "[]")][..],
            &[("table", "t"), ("rows", "1"), ("columns", r#"["a"]"#), ("types", "[]")],
            &[("rows", "1"), ("columns", "[]"), ("types", "[]")],
        ] {
            let error = TablePart::read(&part(attributes)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
        }
    }
}
