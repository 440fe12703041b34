//! One row of a small result.

use mysql_async::Value;

/// A row whose values are read by position.
#[derive(Clone, Debug, Default)]
pub struct Row(pub(super) Vec<Option<Vec<u8>>>);

impl Row {
    /// Returns a value as text; nothing for NULL, for a position that is not there, and for what
    /// is no UTF-8.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(position)?).ok()
    }

    /// Returns a value as it came.
    #[must_use]
    pub fn bytes(&self, position: usize) -> Option<&[u8]> {
        self.0.get(position)?.as_deref()
    }

    /// Returns a value as text, empty for NULL.
    #[must_use]
    pub fn text(&self, position: usize) -> String {
        self.bytes(position)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns a value as a number; nothing for NULL and for what is none.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self, position: usize) -> Option<T> {
        self.get(position)?.parse().ok()
    }

    /// Whether there are values, and each of them is true.
    pub(crate) fn all_true(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|value| value.as_deref() == Some(b"1"))
    }

    pub(super) fn of(row: mysql_async::Row) -> Self {
        Self(row.unwrap().into_iter().map(bytes_of).collect())
    }
}

/// Returns a value of the text protocol, where every value is bytes or NULL.
pub(super) fn bytes_of(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        other => Some(other.as_sql(true).into_bytes()),
    }
}
