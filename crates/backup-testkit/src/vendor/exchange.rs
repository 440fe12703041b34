//! A request, and its answer.

use std::collections::BTreeMap;

use serde_json::Value;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `GET`, `POST` …
    pub method: String,
    /// The path, without the query; its segments are unescaped by [`Ask::segments`].
    pub path: String,
    /// The query, unescaped, in order.
    pub query: Vec<(String, String)>,
    /// Headers, by lowercase name.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; absent when there was none.
    pub body: Option<Value>,
}

impl Ask {
    /// Returns the segments of the path, unescaped.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty());
        parts
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// Returns a parameter of the query.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns a value of the body by JSON pointer (`/branch/name`); null where it is absent.
    #[must_use]
    pub fn field(&self, pointer: &str) -> &Value {
        self.body.as_ref().and_then(|body| body.pointer(pointer)).unwrap_or(&Value::Null)
    }

    /// Returns a text of the body by JSON pointer.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.field(pointer).as_str()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The JSON body; absent for none.
    pub body: Option<Value>,
}

impl Reply {
    /// An answer of 200.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    /// An answer with a body.
    #[must_use]
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    /// The same answer with one more header.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "numbers and texts read better as they are")]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}
