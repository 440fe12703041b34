//! One account: a user of a host, or a role.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::take_quoted;
use crate::quote_name;

/// Accounts that every server makes for itself.
const RESERVED: [&str; 5] =
    ["mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys", "PUBLIC"];

/// A user and the hosts it may come from; MariaDB's roles have no host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
}

impl Account {
    pub(crate) fn new(user: impl Into<String>, host: Option<String>) -> Self {
        Self { user: user.into(), host }
    }

    /// Reads one as statements write it (`` `app`@`%` ``); returns what follows it as well.
    pub(crate) fn take(text: &str) -> Option<(Self, &str)> {
        let (user, rest) = take_quoted(text)?;
        match rest.strip_prefix('@') {
            Some(rest) => {
                let (host, rest) = take_quoted(rest)?;
                Some((Self::new(user, Some(host)), rest))
            }
            None => Some((Self::new(user, None), rest)),
        }
    }

    /// Reads a list with commas, of which nothing may be left.
    pub(super) fn take_all(text: &str) -> Option<Vec<Self>> {
        let mut all = Vec::new();
        let mut rest = text.trim();
        loop {
            let (one, after) = Self::take(rest)?;
            all.push(one);
            match after.trim_start().strip_prefix(',') {
                Some(more) => rest = more.trim_start(),
                None => return after.trim().is_empty().then_some(all),
            }
        }
    }

    /// Returns it as statements write it.
    pub(crate) fn as_sql(&self) -> String {
        match &self.host {
            Some(host) => format!("{}@{}", quote_name(&self.user), quote_name(host)),
            None => quote_name(&self.user),
        }
    }

    /// Whether it belongs to the server itself.
    pub(super) fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.user.as_str())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{}@{host}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_as_servers_print_them() {
        let of = |user: &str, host: Option<&str>| Account::new(user, host.map(str::to_owned));
        for (text, account, rest) in [
            ("`app`@`%` X", of("app", Some("%")), " X"),
            ("'o''dd'@'10.%'", of("o'dd", Some("10.%")), ""),
            ("`a``@b`@`h`,", of("a`@b", Some("h")), ","),
            ("`reader` WITH", of("reader", None), " WITH"),
            ("``@`localhost`", of("", Some("localhost")), ""),
        ] {
            assert_eq!(Account::take(text), Some((account, rest)), "{text}");
        }
        assert_eq!(Account::take("app@`%`"), None);
        assert_eq!(of("a`b", Some("%")).as_sql(), "`a``b`@`%`");
        assert_eq!(Account::take_all("`r`@`%`, `s`").map(|all| all.len()), Some(2));
        assert_eq!(Account::take_all("`r` x"), None);
    }
}
