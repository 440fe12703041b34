//! Rows as INSERT statements, for servers that take no files from clients and for programs that
//! read SQL.

use backup_core::{Error, ErrorKind, Result};

use super::part::TablePart;
use crate::logical::text::parse_row;

/// Begins the statement that inserts into a table.
pub(crate) fn insert_statement(name: &str, table: &TablePart) -> String {
    format!("INSERT INTO {name} ({}) VALUES ", table.column_list())
}

/// Collects rows into statements of a bounded length.
pub(super) struct Inserts {
    head: String,
    longest: usize,
    statement: Vec<u8>,
}

impl Inserts {
    pub(super) fn new(name: &str, table: &TablePart, longest: usize) -> Self {
        let head = insert_statement(name, table);
        Self { head, longest, statement: Vec::new() }
    }

    /// Adds a row; returns a statement that is full.
    pub(super) fn add(&mut self, line: &[u8], table: &TablePart) -> Result<Option<Vec<u8>>> {
        let mut values = Vec::with_capacity(line.len() * 2 + 16);
        push_values(&mut values, line, table)?;
        let full = !self.statement.is_empty() && self.statement.len() + values.len() > self.longest;
        let done = if full { self.take() } else { None };
        if self.statement.is_empty() {
            self.statement.extend_from_slice(self.head.as_bytes());
        } else {
            self.statement.push(b',');
        }
        self.statement.extend_from_slice(&values);
        Ok(done)
    }

    /// Returns the statement that is not full.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.statement)).filter(|statement| !statement.is_empty())
    }
}

/// Writes one row's values in parentheses. Everything is a string of bytes, which the server
/// reads as the column's type, exactly.
pub(crate) fn push_values(out: &mut Vec<u8>, line: &[u8], table: &TablePart) -> Result<()> {
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

fn push_string(out: &mut Vec<u8>, open: &[u8], bytes: &[u8]) {
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
