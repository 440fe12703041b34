//! One object of the schema, with all that making it again needs.

use backup_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::create_table::CreateTable;

/// What an object is, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Sequence,
    Table,
    Function,
    Procedure,
    Package,
    PackageBody,
    View,
    Trigger,
    Event,
}

impl Kind {
    /// Returns the words of SQL.
    pub(crate) fn as_sql(self) -> &'static str {
        match self {
            Self::Sequence => "SEQUENCE",
            Self::Table => "TABLE",
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::Package => "PACKAGE",
            Self::PackageBody => "PACKAGE BODY",
            Self::View => "VIEW",
            Self::Trigger => "TRIGGER",
            Self::Event => "EVENT",
        }
    }

    /// Returns the word for people.
    pub(crate) fn word(self) -> String {
        self.as_sql().to_lowercase()
    }
}

/// An object, and the settings its statement was given under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The statement, as the server prints it.
    pub(crate) sql: String,
    /// The table that a trigger stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sql_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) charset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_zone: Option<String>,
    /// Where a sequence stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_value: Option<i64>,
    /// What the server said of a view that it could not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) broken: Option<String>,
    /// Other databases that a view reads from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<String>,
}

impl Item {
    /// Makes one with nothing but its statement.
    pub(crate) fn new(kind: Kind, name: impl Into<String>, sql: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            sql: sql.into(),
            table: None,
            sql_mode: None,
            charset: None,
            collation: None,
            time_zone: None,
            next_value: None,
            broken: None,
            others: Vec::new(),
        }
    }
}

impl Item {
    /// Whether a restored database may lack it: what was broken at the source, or points to what
    /// the target may not have.
    pub(crate) fn may_be_missing(&self) -> bool {
        self.why_missing().is_some() || self.points_elsewhere()
    }

    /// Returns why a view need not be possible at the target, where that is so.
    pub(crate) fn why_missing(&self) -> Option<String> {
        match &self.broken {
            Some(_) => Some("it was broken at the source".to_owned()),
            None if self.others.is_empty() => None,
            None => Some(format!("it reads from other databases ({})", self.others.join(", "))),
        }
    }

    /// Whether it is a table that only shows rows which are kept somewhere else.
    pub(crate) fn points_elsewhere(&self) -> bool {
        self.kind == Kind::Table
            && CreateTable::parse(&self.sql).is_some_and(|table| table.points_elsewhere())
    }
}

/// Writes items for storage: one JSON object per line.
pub(crate) fn write(items: &[Item]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for item in items {
        serde_json::to_writer(&mut out, item).map_err(|error| {
            Error::new(ErrorKind::Failed, "describe schema")
                .with("object", &item.name)
                .because(error)
        })?;
        out.push(b'\n');
    }
    Ok(out)
}

/// Reads what [`write`] wrote; `Integrity` where it is something else.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Item>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| {
                Error::new(ErrorKind::Integrity, "read stored schema").because(error)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_back() {
        let mut view = Item::new(Kind::View, "v", "CREATE VIEW `v` AS select 1\n");
        view.charset = Some("utf8mb4".into());
        let items = [Item::new(Kind::PackageBody, "p", "x"), view];
        assert_eq!(parse(&write(&items).unwrap()).unwrap(), items);
        assert_eq!(parse(b"{}\n").unwrap_err().kind(), ErrorKind::Integrity);
    }
}
