//! Who an object acts as.

use super::create_table::quoted;

/// Returns the statement without it: whoever makes the object is then its definer.
pub(crate) fn without_definer(sql: &str) -> String {
    match clause(sql) {
        Some((from, to)) => format!("{}{}", &sql[..from], &sql[to..]),
        None => sql.to_owned(),
    }
}

/// Where the clause begins, and where what follows it does. It stands before anything that a
/// person wrote.
fn clause(sql: &str) -> Option<(usize, usize)> {
    let from = sql.find("DEFINER=`")?;
    if !sql.get(..from)?.starts_with("CREATE ") || sql.get(..from)?.contains('`') {
        return None;
    }
    let rest = sql.get(from + "DEFINER=".len()..)?;
    let user = crate::quote_name(&quoted(rest)?).len();
    let host = rest.get(user..)?.strip_prefix('@').map(quoted);
    let host = match host {
        Some(host) => 1 + crate::quote_name(&host?).len(),
        None => 0,
    };
    let end = from + "DEFINER=".len() + user + host;
    let spaces = sql.get(end..)?.len() - sql.get(end..)?.trim_start_matches(' ').len();
    Some((from, end + spaces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definers_are_found_and_left_out() {
        let view = "CREATE ALGORITHM=UNDEFINED DEFINER=`a``b`@`%` SQL SECURITY DEFINER VIEW `v` AS select 'DEFINER=`x`'";
        assert_eq!(
            without_definer(view),
            "CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS select 'DEFINER=`x`'"
        );
        let role = "CREATE DEFINER=`role` PROCEDURE `p`() x";
        assert_eq!(without_definer(role), "CREATE PROCEDURE `p`() x");
        let none = "CREATE PROCEDURE `p`() select 'DEFINER=`x`@`y`'";
        assert_eq!(without_definer(none), none);
    }
}
