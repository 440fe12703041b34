//! Names and texts inside SQL.

use postgres_protocol::escape;

/// Returns `name` as a quoted identifier: `a"b` becomes `"a""b"`.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    escape::escape_identifier(name)
}

/// Returns `text` as a string literal, right under either setting of
/// `standard_conforming_strings`: `it's` becomes `'it''s'`.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    escape::escape_literal(text).trim_start().to_owned()
}
