//! Who an object acts as.

use super::create_table::quoted;
use crate::accounts::{Account, RoleMap};

/// Returns the statement without it: whoever makes the object is then its definer.
pub(crate) fn without_definer(sql: &str) -> String {
    match clause(sql) {
        Some((from, to)) => format!("{}{}", &sql[..from], &sql[to..]),
        None => sql.to_owned(),
    }
}

/// Returns who the object acts as, where its statement says so.
pub(crate) fn definer(sql: &str) -> Option<Account> {
    let (from, _) = clause(sql)?;
    Account::take(sql.get(from + "DEFINER=".len()..)?).map(|(account, _)| account)
}

/// Returns the statement with the definer under its new name.
pub(crate) fn renamed(sql: &str, map: &RoleMap) -> String {
    match (definer(sql), clause(sql)) {
        (Some(account), Some((from, to))) if !map.is_empty() => {
            format!("{}DEFINER={} {}", &sql[..from], map.apply(&account).as_sql(), &sql[to..])
        }
        _ => sql.to_owned(),
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
        let map = RoleMap::new(&[("a`b".into(), "new@10.%".into()), ("role".into(), "r2".into())]);
        assert!(renamed(view, &map).starts_with(
            "CREATE ALGORITHM=UNDEFINED DEFINER=`new`@`10.%` SQL SECURITY DEFINER VIEW `v` AS "
        ));
        assert_eq!(renamed(role, &map), "CREATE DEFINER=`r2` PROCEDURE `p`() x");
        let none = "CREATE PROCEDURE `p`() select 'DEFINER=`x`@`y`'";
        assert_eq!(without_definer(none), none);
        assert_eq!(renamed(none, &map), none);
        assert_eq!(definer(none), None);
    }
}
