//! Databases that a view names.
//!
//! The server prints the names of a view's tables with their database as soon as one of them is
//! of another database, and the names of functions always. A copy of the view under another
//! database's name must not read from the database that it was copied from.

use std::collections::BTreeSet;

use super::create_table::quoted;
use crate::quote_name;

/// A name in backticks, and what stands beside it.
struct Name {
    from: usize,
    to: usize,
    name: String,
    after_dot: bool,
    before_dot: bool,
}

impl Name {
    /// It is the first of several: a database, a table, or another name of a table.
    fn leads(&self) -> bool {
        !self.after_dot && self.before_dot
    }
}

/// Returns a view's statement for a database of another name: `to`, or the one that is selected.
/// Nothing where the name may also mean something else than the database.
pub(crate) fn moved(sql: &str, from: &str, to: Option<&str>) -> Option<String> {
    let names = names(sql);
    if !names.iter().any(|one| one.name == from && one.leads()) {
        return Some(sql.to_owned());
    }
    // Standing alone it names a table, or gives something another name.
    if names.iter().any(|one| one.name == from && !one.after_dot && !one.before_dot) {
        return None;
    }
    let with = to.map(|to| format!("{}.", quote_name(to))).unwrap_or_default();
    let (mut out, mut at) = (String::with_capacity(sql.len()), 0);
    for one in names.iter().filter(|one| one.name == from && one.leads()) {
        out.push_str(sql.get(at..one.from)?);
        out.push_str(&with);
        at = one.to + 1;
    }
    out.push_str(sql.get(at..)?);
    Some(out)
}

/// Returns the databases other than `own` that a view names, of those that `known` holds to be
/// one; names of three parts begin with one in any case.
pub(crate) fn others(sql: &str, own: &str, known: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let names = names(sql);
    let mut found = BTreeSet::new();
    for (at, one) in names.iter().enumerate().filter(|(_, one)| one.leads() && one.name != own) {
        let three = names.get(at + 1).is_some_and(|next| next.after_dot && next.before_dot);
        if three || known(&one.name) {
            found.insert(one.name.clone());
        }
    }
    found
}

/// Finds the names in what the view selects.
fn names(sql: &str) -> Vec<Name> {
    let mut names = Vec::new();
    let bytes = sql.as_bytes();
    let mut at = body(sql);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' => at = after_text(bytes, at),
            b'`' => {
                let Some(name) = sql.get(at..).and_then(quoted) else { break };
                let to = at + quote_name(&name).len();
                let after_dot = at.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'.');
                let before_dot = bytes.get(to) == Some(&b'.');
                names.push(Name { from: at, to, name, after_dot, before_dot });
                at = to;
            }
            _ => at += 1,
        }
    }
    names
}

/// Where the statement goes on after the view's own name.
fn body(sql: &str) -> usize {
    let Some(view) = sql.find(" VIEW `").map(|at| at + " VIEW ".len()) else { return 0 };
    let name = sql.get(view..).and_then(quoted);
    view + name.map_or(0, |name| quote_name(&name).len())
}

fn after_text(bytes: &[u8], from: usize) -> usize {
    let Some(quote) = bytes.get(from) else { return from + 1 };
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            // A doubled quote closes and opens again, which comes to the same.
            _ if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: &str = "CREATE DEFINER=`shop`@`%` SQL SECURITY DEFINER VIEW `v` AS select \
        `shop`.`t`.`a` AS `a`,`shop`.`f`('`shop`.\\'x') AS `b`,`x`.`c` AS `c` from (`shop`.`t` \
        join `other`.`u` `x`)";

    #[test]
    fn views_are_moved_to_another_database() {
        let moved_to = moved(VIEW, "shop", Some("co`py")).unwrap();
        assert_eq!(
            moved_to,
            VIEW.replace("`shop`.`t`", "`co``py`.`t`").replace("`shop`.`f`", "`co``py`.`f`")
        );
        let bare = VIEW.replace("`shop`.`t`", "`t`").replace("`shop`.`f`", "`f`");
        assert_eq!(moved(VIEW, "shop", None).unwrap(), bare);
        assert_eq!(moved(VIEW, "x2", None).unwrap(), VIEW);
    }

    #[test]
    fn a_name_that_may_be_a_tables_is_left_alone() {
        let other = "CREATE VIEW `v` AS select `shop`.`a` AS `a` from `t` `shop`";
        assert!(moved(other, "shop", Some("copy")).is_none());
    }

    #[test]
    fn other_databases_are_found() {
        let known = |name: &str| name == "other";
        assert_eq!(others(VIEW, "shop", known), BTreeSet::from(["other".to_owned()]));
        assert!(others(VIEW, "shop", |_| false).is_empty());
        let three = "CREATE VIEW `v` AS select `o`.`t`.`a` AS `a` from `o`.`t`";
        assert_eq!(others(three, "shop", |_| false), BTreeSet::from(["o".to_owned()]));
    }
}
