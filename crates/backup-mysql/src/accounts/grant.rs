//! One thing that an account may do, as the server prints it.

use super::account::Account;
use super::text::{split_at_word, take_quoted};
use crate::quote_name;

/// What an account was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// Privileges; `revoked` are exceptions of MySQL from what was granted more widely.
    Privileges { revoked: bool, privileges: String, on: On, grantable: bool },
    /// To act as another account.
    Proxy { of: Account, grantable: bool },
    /// Roles.
    Roles { roles: Vec<Account>, grantable: bool },
    /// Roles that are in force from the beginning of a session.
    DefaultRoles { roles: Vec<Account> },
}

/// Where privileges hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum On {
    Server,
    /// Databases whose names are like this.
    Databases(String),
    /// A table or view (no word), or a routine.
    Object {
        word: String,
        database: String,
        name: String,
    },
}

impl Grant {
    /// Reads a line of `SHOW GRANTS`; returns whom it is about as well. Nothing where it is in no
    /// form that is known. What says how the account proves itself is left out.
    pub(super) fn parse(line: &str) -> Option<(Account, Self)> {
        if let Some(rest) = line.strip_prefix("SET DEFAULT ROLE ") {
            // MariaDB says FOR, MySQL says TO.
            let (roles, whom) =
                split_at_word(rest, " FOR ").or_else(|| split_at_word(rest, " TO "))?;
            let (account, _) = Account::take(whom)?;
            let roles = Account::take_all(roles)?;
            return Some((account, Self::DefaultRoles { roles }));
        }
        let (rest, revoked) = match line.strip_prefix("GRANT ") {
            Some(rest) => (rest, false),
            None => (line.strip_prefix("REVOKE ")?, true),
        };
        let (what, whom) = split_at_word(rest, if revoked { " FROM " } else { " TO " })?;
        let (account, tail) = Account::take(whom)?;
        let option = |word: &str| split_at_word(tail, word).is_some();
        let grantable = option("GRANT OPTION") || option("ADMIN OPTION");
        let Some((privileges, on)) = split_at_word(what, " ON ") else {
            let roles = Account::take_all(what)?;
            return Some((account, Self::Roles { roles, grantable }));
        };
        if privileges == "PROXY" {
            let (of, _) = Account::take(on)?;
            return Some((account, Self::Proxy { of, grantable }));
        }
        let privileges = privileges.to_owned();
        let on = On::parse(on)?;
        Some((account, Self::Privileges { revoked, privileges, on, grantable }))
    }

    /// Returns the statement that gives it.
    pub(super) fn as_sql(&self, account: &Account) -> String {
        let list =
            |roles: &[Account]| roles.iter().map(Account::as_sql).collect::<Vec<_>>().join(", ");
        let whom = account.as_sql();
        let option =
            |on: bool, word: &str| if on { format!(" WITH {word} OPTION") } else { String::new() };
        match self {
            Self::Privileges { revoked: true, privileges, on, .. } => {
                format!("REVOKE {privileges} ON {} FROM {whom}", on.as_sql())
            }
            Self::Privileges { privileges, on, grantable, .. } => {
                let option = option(*grantable, "GRANT");
                format!("GRANT {privileges} ON {} TO {whom}{option}", on.as_sql())
            }
            Self::Proxy { of, grantable } => {
                let option = option(*grantable, "GRANT");
                format!("GRANT PROXY ON {} TO {whom}{option}", of.as_sql())
            }
            Self::Roles { roles, grantable } => {
                format!("GRANT {} TO {whom}{}", list(roles), option(*grantable, "ADMIN"))
            }
            Self::DefaultRoles { roles } => {
                // Only MySQL's roles have hosts.
                let word = if roles.iter().any(|role| role.host.is_some()) { "TO" } else { "FOR" };
                format!("SET DEFAULT ROLE {} {word} {whom}", list(roles))
            }
        }
    }

    /// Whether it gives nothing.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(
            self,
            Self::Privileges { privileges, grantable: false, .. } if privileges == "USAGE"
        )
    }
}

impl On {
    fn parse(text: &str) -> Option<Self> {
        if text == "*.*" {
            return Some(Self::Server);
        }
        let at = text.find('`')?;
        let word = text.get(..at)?.trim().to_owned();
        let (database, rest) = take_quoted(text.get(at..)?)?;
        let rest = rest.strip_prefix('.')?;
        if rest == "*" {
            return Some(Self::Databases(database));
        }
        let (name, rest) = take_quoted(rest)?;
        rest.is_empty().then_some(Self::Object { word, database, name })
    }

    fn as_sql(&self) -> String {
        match self {
            Self::Server => "*.*".to_owned(),
            Self::Databases(pattern) => format!("{}.*", quote_name(pattern)),
            Self::Object { word, database, name } => {
                let space = if word.is_empty() { "" } else { " " };
                format!("{word}{space}{}.{}", quote_name(database), quote_name(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_print_is_read_and_said_again_without_passwords() {
        // As MariaDB 10.11, MySQL 8.0 and MySQL 5.7 print them.
        for (line, said) in [
            (
                "GRANT RELOAD, PROCESS ON *.* TO `app`@`localhost` IDENTIFIED BY PASSWORD '*14E6' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 100",
                "GRANT RELOAD, PROCESS ON *.* TO `app`@`localhost`",
            ),
            (
                "GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`localhost` WITH GRANT OPTION",
                "GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`localhost` WITH GRANT OPTION",
            ),
            (
                "GRANT SELECT (`a`), UPDATE (`b ON c`) ON `shop`.`t` TO `app`@`%`",
                "GRANT SELECT (`a`), UPDATE (`b ON c`) ON `shop`.`t` TO `app`@`%`",
            ),
            (
                "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO 'app'@'%'",
                "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `app`@`%`",
            ),
            (
                "GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION",
                "GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION",
            ),
            (
                "GRANT `boss` TO `reader` WITH ADMIN OPTION",
                "GRANT `boss` TO `reader` WITH ADMIN OPTION",
            ),
            ("GRANT `r`@`%`,`s`@`%` TO `app`@`%`", "GRANT `r`@`%`, `s`@`%` TO `app`@`%`"),
            (
                "SET DEFAULT ROLE `reader` FOR `app`@`localhost`",
                "SET DEFAULT ROLE `reader` FOR `app`@`localhost`",
            ),
            ("SET DEFAULT ROLE `r`@`%` TO `app`@`%`", "SET DEFAULT ROLE `r`@`%` TO `app`@`%`"),
            (
                "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
                "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
            ),
            (
                "GRANT BACKUP_ADMIN,ROLE_ADMIN ON *.* TO `app`@`%`",
                "GRANT BACKUP_ADMIN,ROLE_ADMIN ON *.* TO `app`@`%`",
            ),
        ] {
            let (account, grant) = Grant::parse(line).unwrap();
            assert_eq!(grant.as_sql(&account), said);
            assert!(!grant.is_nothing());
        }
        let (_, usage) =
            Grant::parse("GRANT USAGE ON *.* TO `a` IDENTIFIED BY PASSWORD '*A'").unwrap();
        assert!(usage.is_nothing());
        assert_eq!(Grant::parse("GRANT SOMETHING NEW"), None);
        assert_eq!(Grant::parse("CREATE USER `a`"), None);
    }
}
