//! Rows of text.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

/// One row, every value in the server's text form (UTF-8).
#[derive(Clone, Debug)]
pub struct Row {
    columns: Arc<[String]>,
    bytes: Bytes,
    values: Vec<Option<Range<usize>>>,
}

impl Row {
    /// Returns the value of column `index` (from 0); `None` for NULL and beyond the last column.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let range = self.values.get(index)?.clone()?;
        std::str::from_utf8(self.bytes.get(range)?).ok()
    }

    /// Returns the value of the first column with this name; `None` for NULL and unknown names.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&str> {
        self.get(self.columns.iter().position(|column| column == name)?)
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the column names, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the bytes of column `index`, whatever their encoding.
    pub(crate) fn bytes(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.values.get(index)?.clone()?)
    }

    /// Reads a row of text; a value that is not UTF-8 is refused.
    pub(crate) fn read(columns: &Arc<[String]>, body: &DataRowBody) -> Result<Self, String> {
        let row = Self::read_bytes(columns, body)?;
        let mut values = (0..row.len()).filter_map(|index| row.bytes(index));
        if values.any(|value| std::str::from_utf8(value).is_err()) {
            return Err("a value is not UTF-8".to_owned());
        }
        Ok(row)
    }

    /// Reads a row whose values may hold any bytes.
    pub(crate) fn read_bytes(columns: &Arc<[String]>, body: &DataRowBody) -> Result<Self, String> {
        let mut values = Vec::with_capacity(columns.len());
        let mut ranges = body.ranges();
        while let Some(range) = ranges.next().map_err(|error| error.to_string())? {
            if let Some(range) = &range {
                body.buffer().get(range.clone()).ok_or("a value lies outside its row")?;
            }
            values.push(range);
        }
        if values.len() != columns.len() {
            return Err(format!("a row of {} columns has {} values", columns.len(), values.len()));
        }
        Ok(Self { columns: Arc::clone(columns), bytes: body.buffer_bytes().clone(), values })
    }
}

pub(crate) fn column_names(body: &RowDescriptionBody) -> Result<Arc<[String]>, String> {
    let mut names = Vec::new();
    let mut fields = body.fields();
    while let Some(field) = fields.next().map_err(|error| error.to_string())? {
        names.push(field.name().to_owned());
    }
    Ok(names.into())
}
