//! Names of parts.

use std::fmt::Write as _;

use backup_core::PartName;

/// The statements of the schema, one JSON object per line.
pub(crate) const SCHEMA: &str = "schema";
/// The server's accounts, one JSON object per line.
pub(crate) const ACCOUNTS: &str = "accounts";
/// What every table part's name starts with.
pub(crate) const TABLE_PREFIX: &str = "table/";
/// What the name of every part of borders starts with.
const BORDERS_PREFIX: &str = "borders/";

/// The table by which an unfinished restore is known again; it holds the snapshot's id.
pub(crate) const MARK: &str = "backup_unfinished_restore";
/// The table that holds the accounts which an unfinished restore makes.
pub(crate) const MADE_ACCOUNTS: &str = "backup_unfinished_accounts";

/// Returns whether a table is one of those by which an unfinished restore is known; some servers
/// tell names apart by their case, others do not.
pub(crate) fn is_mark(table: &str) -> bool {
    [MARK, MADE_ACCOUNTS].iter().any(|mark| mark.eq_ignore_ascii_case(table))
}

/// Returns the name of a table's part: `table/<name>`, where `%`, `/` and control characters are
/// written as `%` and two hexadecimal digits.
pub(crate) fn table_part(name: &str) -> PartName {
    PartName::new(format!("{TABLE_PREFIX}{}", escape(name)))
}

/// Returns the name of the part that holds where a table's segments begin.
pub(crate) fn borders_part(name: &str) -> PartName {
    PartName::new(format!("{BORDERS_PREFIX}{}", escape(name)))
}

fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '%' | '/') || c.is_control() {
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
        assert_eq!(table_part("orders").as_str(), "table/orders");
        assert_eq!(table_part("a/b\n").as_str(), "table/a%2Fb%0A");
        assert_ne!(table_part("50%"), table_part("50%25"));
        assert_ne!(table_part("x"), borders_part("x"));
    }
}
