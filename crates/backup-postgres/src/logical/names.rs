//! Names of parts.

use std::fmt::Write as _;

use backup_core::PartName;

/// The schema archive.
pub(crate) const SCHEMA: &str = "schema";
/// Roles and tablespaces of the whole server, as SQL.
pub(crate) const GLOBALS: &str = "globals";
/// The values of sequences, one JSON object per line.
pub(crate) const SEQUENCES: &str = "sequences";
/// The pages of large objects.
pub(crate) const LARGE_OBJECTS: &str = "large-objects";
/// Owner, privileges, comment and labels of large objects, one JSON object per line.
pub(crate) const LARGE_OBJECT_METADATA: &str = "large-object-metadata";
/// What every table part's name starts with.
pub(crate) const TABLE_PREFIX: &str = "table/";

/// Returns the name of a table's part: `table/<schema>.<name>`, where `%`, `.`, `/` and
/// control characters of either name are written as `%` and two hexadecimal digits, so that
/// two tables never share a name.
pub(crate) fn table_part(schema: &str, name: &str) -> PartName {
    PartName::new(format!("{TABLE_PREFIX}{}.{}", escape(schema), escape(name)))
}

fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '%' | '.' | '/') || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_tables_have_different_parts() {
        assert_eq!(table_part("public", "orders").as_str(), "table/public.orders");
        assert_eq!(table_part("a.b", "c").as_str(), "table/a%2Eb.c");
        assert_eq!(table_part("a", "b.c").as_str(), "table/a.b%2Ec");
        assert_eq!(table_part("a", "new\nline").as_str(), "table/a.new%0Aline");
        assert_ne!(table_part("a", "x\u{85}"), table_part("a", "x_"));
        assert_ne!(table_part("a", "50%"), table_part("a", "50%25"));
    }
}
