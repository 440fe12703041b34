//! Rows as INSERT statements, for servers that take no files from clients and for programs that
//! read SQL.

use backup_core::{Error, ErrorKind, Result};

use super::part::TablePart;
use crate::logical::text::parse_row;

/// Begins the statement that inserts into a table.
///
/// A strict server refuses a value of an enumeration that is no member, unless errors are warnings:
/// then it stores what the source held. Warnings are looked at.
fn insert_statement(name: &str, table: &TablePart, ignore: bool) -> String {
    let ignore = if ignore && table.enum_names().next().is_some() { "IGNORE " } else { "" };
    format!("INSERT {ignore}INTO {name} ({}) VALUES ", table.column_list())
}

/// Collects rows into statements of a bounded length.
pub(crate) struct Inserts {
    head: String,
    longest: usize,
    /// The most rows of a statement, and those of the one that is not full.
    most_rows: usize,
    rows: usize,
    statement: Vec<u8>,
}

impl Inserts {
    /// Begins; with `ignore` errors of enumerations are warnings, for whoever looks at them.
    pub(crate) fn new(name: &str, table: &TablePart, longest: usize, ignore: bool) -> Self {
        let head = insert_statement(name, table, ignore);
        Self { head, longest, most_rows: usize::MAX, rows: 0, statement: Vec::new() }
    }

    /// Puts no more rows than these into a statement.
    pub(super) fn with_rows(self, most_rows: usize) -> Self {
        Self { most_rows, ..self }
    }

    /// Adds a row; returns a statement that is full.
    pub(crate) fn add(&mut self, line: &[u8], table: &TablePart) -> Result<Option<Vec<u8>>> {
        let mut values = Vec::with_capacity(line.len() * 2 + 16);
        push_values(&mut values, line, table)?;
        let long = !self.statement.is_empty() && self.statement.len() + values.len() > self.longest;
        let full = long || self.rows >= self.most_rows;
        let done = if full { self.take() } else { None };
        if self.statement.is_empty() {
            self.statement.extend_from_slice(self.head.as_bytes());
        } else {
            self.statement.push(b',');
        }
        self.statement.extend_from_slice(&values);
        self.rows += 1;
        Ok(done)
    }

    /// Returns the statement that is not full.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.rows = 0;
        Some(std::mem::take(&mut self.statement)).filter(|statement| !statement.is_empty())
    }
}

/// Writes one row's values in parentheses. Everything is a string of bytes, which the server
/// reads as the column's type, exactly.
fn push_values(out: &mut Vec<u8>, line: &[u8], table: &TablePart) -> Result<()> {
    // A row without columns is an empty line, which reads as one empty value.
    let row = if table.column_list().is_empty() { Some(Vec::new()) } else { parse_row(line) };
    let row = row.ok_or_else(|| {
        Error::new(ErrorKind::Integrity, "read stored row").with("table", &table.table)
    })?;
    out.push(b'(');
    for (position, value) in row.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        match value {
            None => out.extend_from_slice(b"NULL"),
            Some(bytes) if table.takes_text(position) => push_string(out, b"'", bytes),
            Some(bytes) => push_string(out, b"_binary'", bytes),
        }
    }
    out.push(b')');
    Ok(())
}

/// Writes a value that is UTF-8 as a string, and any other in hexadecimal digits: so a statement
/// is text in UTF-8 whatever it holds.
fn push_string(out: &mut Vec<u8>, open: &[u8], bytes: &[u8]) {
    if std::str::from_utf8(bytes).is_err() {
        out.extend_from_slice(b"x'");
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                out.push(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 });
            }
        }
        out.push(b'\'');
        return;
    }
    out.extend_from_slice(open);
    for byte in bytes {
        match byte {
            b'\'' => out.extend_from_slice(b"\\'"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0 => out.extend_from_slice(b"\\0"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x1a => out.extend_from_slice(b"\\Z"),
            other => out.push(*other),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use backup_core::{Layout, Part, PartName};

    use super::*;

    fn table() -> TablePart {
        let attributes = [
            ("table", "t"),
            ("rows", "1"),
            ("columns", r#"["a","j","b"]"#),
            ("types", r#"["text","json","blob"]"#),
        ];
        let part = Part {
            name: PartName::new("table/t"),
            layout: Layout::Stream,
            bytes: 0,
            segments: 1,
            map: Vec::new(),
            attributes: attributes
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        };
        TablePart::read(&part).unwrap().unwrap()
    }

    #[test]
    fn values_are_bytes_in_text() {
        let mut out = Vec::new();
        push_values(&mut out, b"it's\\n\\\\\t{\"a\": 1}\t\xff\\0", &table()).unwrap();
        let wanted = r#"(_binary'it\'s\n\\','{"a": 1}',x'FF00')"#;
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        assert!(push_values(&mut Vec::new(), b"\\x", &table()).is_err());
    }

    #[test]
    fn statements_end_before_they_are_too_long() {
        let table = table();
        let mut inserts = Inserts::new("`t`", &table, 120, true);
        let mut statements = Vec::new();
        for _ in 0..10 {
            statements.extend(inserts.add(b"one\t\\N\tthree", &table).unwrap());
        }
        statements.extend(inserts.take());
        assert!(statements.len() > 2 && statements.iter().all(|s| s.len() <= 120));
        let rows: usize =
            statements.iter().map(|s| s.iter().filter(|b| **b == b'(').count() - 1).sum();
        assert_eq!(rows, 10);
        let mut inserts = Inserts::new("`t`", &table, usize::MAX, false).with_rows(4);
        let full: Vec<Vec<u8>> =
            (0..9).filter_map(|_| inserts.add(b"one\t\\N\tthree", &table).unwrap()).collect();
        let rows = |s: &Vec<u8>| s.iter().filter(|b| **b == b'(').count() - 1;
        assert_eq!(full.iter().map(rows).collect::<Vec<_>>(), [4, 4]);
        assert_eq!(rows(&inserts.take().unwrap()), 1);
    }
}
