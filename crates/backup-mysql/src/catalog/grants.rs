//! What the connected user may do, read from what the server prints of its grants.

use std::collections::BTreeSet;

use backup_core::Result;

use crate::{Client, quote_name};

/// Privileges of the connected user that concern one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// The account as the server sees it: `app@%`.
    pub(crate) account: String,
    everywhere: BTreeSet<String>,
    here: BTreeSet<String>,
}

impl Grants {
    pub(crate) async fn read(client: &mut Client, database: &str) -> Result<Self> {
        let account = client.first("SELECT CURRENT_USER()").await?;
        let mut grants =
            Self { account: account.map(|row| row.text(0)).unwrap_or_default(), ..Self::default() };
        for row in client.query("SHOW GRANTS").await? {
            grants.take(&row.text(0), database);
        }
        Ok(grants)
    }

    /// Returns those of whoever may do all that is asked about here: what the server prints says
    /// nothing about this user.
    pub(crate) fn everything() -> Self {
        let everywhere = BTreeSet::from(["ALL PRIVILEGES".to_owned()]);
        Self { account: "this user@%".to_owned(), everywhere, ..Self::default() }
    }

    /// Reads `GRANT SELECT, RELOAD ON *.* TO …`; anything else says nothing about a database.
    fn take(&mut self, line: &str, database: &str) {
        let Some(rest) = line.strip_prefix("GRANT ") else { return };
        let Some((privileges, rest)) = rest.split_once(" ON ") else { return };
        let Some((on, _)) = rest.split_once(" TO ") else { return };
        let into = if on == "*.*" {
            &mut self.everywhere
        } else if on.strip_suffix(".*").is_some_and(|pattern| matches(pattern, database)) {
            &mut self.here
        } else {
            return;
        };
        // Column lists hold commas, but never at this level.
        into.extend(privileges.split(", ").map(|name| name.trim().to_ascii_uppercase()));
    }

    /// Returns whether the user may do this to every table of the database.
    pub(crate) fn may(&self, privilege: &str) -> bool {
        [&self.everywhere, &self.here].iter().any(|set| has(set, privilege))
    }

    /// Returns whether the user may do this to the server.
    pub(crate) fn may_everywhere(&self, privilege: &str) -> bool {
        has(&self.everywhere, privilege)
    }

    /// Returns the statement that grants something, as an administrator would type it.
    pub(crate) fn statement(&self, privileges: &str, database: Option<&str>) -> String {
        let on = database.map_or("*.*".to_owned(), |name| format!("{}.*", quote_name(name)));
        let (user, host) = self.account.rsplit_once('@').unwrap_or((&self.account, "%"));
        format!("GRANT {privileges} ON {on} TO '{user}'@'{host}';")
    }
}

fn has(set: &BTreeSet<String>, privilege: &str) -> bool {
    set.contains(privilege) || set.contains("ALL PRIVILEGES") || set.contains("ALL")
}

/// Whether a database's name, as grants write it (`%` and `_` stand for others unless escaped),
/// means this one.
pub(crate) fn matches(pattern: &str, database: &str) -> bool {
    let pattern = pattern.trim_matches('`').replace("``", "`");
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = database.chars().collect();
    like(&pattern, &name)
}

fn like(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['%', rest @ ..] => (0..=name.len()).any(|at| like(rest, name.get(at..).unwrap_or(&[]))),
        ['\\', wanted, rest @ ..] => name.first() == Some(wanted) && like(rest, &name[1..]),
        ['_', rest @ ..] => !name.is_empty() && like(rest, &name[1..]),
        [wanted, rest @ ..] => name.first() == Some(wanted) && like(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[&str]) -> Grants {
        let mut grants = Grants { account: "app@10.0.0.%".into(), ..Grants::default() };
        for line in lines {
            grants.take(line, "shop_eu");
        }
        grants
    }

    #[test]
    fn grants_count_where_they_reach_the_database() {
        let some = grants(&[
            "GRANT RELOAD, PROCESS ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*AB'",
            "GRANT SELECT, LOCK TABLES, SHOW VIEW ON `shop\\_eu`.* TO `app`@`%`",
            "GRANT TRIGGER ON `shop%`.* TO `app`@`%`",
            "GRANT EVENT ON `shop\\_`.* TO `app`@`%`",
            "GRANT INSERT ON `other`.* TO `app`@`%`",
            "GRANT UPDATE ON `shop_eu`.`t` TO `app`@`%`",
            "GRANT `reader`@`%` TO `app`@`%`",
        ]);
        for (privilege, may) in [
            ("SELECT", true),
            ("LOCK TABLES", true),
            ("TRIGGER", true),
            ("RELOAD", true),
            ("EVENT", false),
            ("INSERT", false),
            ("UPDATE", false),
        ] {
            assert_eq!(some.may(privilege), may, "{privilege}");
        }
        assert!(some.may_everywhere("RELOAD") && !some.may_everywhere("SELECT"));
        assert!(grants(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`"]).may("EVENT"));
        assert_eq!(
            some.statement("SELECT, EVENT", Some("shop_eu")),
            "GRANT SELECT, EVENT ON `shop_eu`.* TO 'app'@'10.0.0.%';"
        );
    }
}
