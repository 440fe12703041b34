//! Accounts under other names.

use super::account::Account;
use super::grant::Grant;

/// A user, and a host where one is meant.
type Name = (String, Option<String>);

/// Which accounts become which: `app=shop` means every host's, `app@%=shop@10.%` one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoleMap(Vec<(Name, Name)>);

impl RoleMap {
    /// Takes pairs of old and new names.
    pub(crate) fn new(pairs: &[(String, String)]) -> Self {
        let name = |text: &str| -> Name {
            match text.rsplit_once('@') {
                Some((user, host)) => (user.to_owned(), Some(host.to_owned())),
                None => (text.to_owned(), None),
            }
        };
        // What names a host says more, wherever it stands.
        let mut pairs: Vec<_> = pairs.iter().map(|(old, new)| (name(old), name(new))).collect();
        pairs.sort_by_key(|((_, host), _)| host.is_none());
        Self(pairs)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the account under its new name, or as it is. Roles without a host stay without.
    pub(crate) fn apply(&self, account: &Account) -> Account {
        let found = self.0.iter().find(|((user, host), _)| {
            *user == account.user && (host.is_none() || *host == account.host)
        });
        let Some((_, (user, host))) = found else { return account.clone() };
        let own = account.host.as_ref();
        Account::new(user.clone(), own.map(|own| host.clone().unwrap_or_else(|| own.clone())))
    }

    /// Returns a grant in which every account is under its new name.
    pub(super) fn grant(&self, grant: Grant) -> Grant {
        let all = |roles: Vec<Account>| roles.iter().map(|role| self.apply(role)).collect();
        match grant {
            Grant::Proxy { of, grantable } => Grant::Proxy { of: self.apply(&of), grantable },
            Grant::Roles { roles, grantable } => Grant::Roles { roles: all(roles), grantable },
            Grant::DefaultRoles { roles } => Grant::DefaultRoles { roles: all(roles) },
            privileges @ Grant::Privileges { .. } => privileges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_host_mean_one_account_and_others_every_one() {
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        let map = RoleMap::new(&[
            pair("app", "shop"),
            pair("app@%", "shop@10.%"),
            pair("reader", "looker@x"),
        ]);
        let of = |user: &str, host: Option<&str>| Account::new(user, host.map(str::to_owned));
        for (old, new) in [
            (of("app", Some("localhost")), of("shop", Some("localhost"))),
            (of("app", Some("%")), of("shop", Some("10.%"))),
            (of("reader", None), of("looker", None)),
            (of("other", Some("%")), of("other", Some("%"))),
        ] {
            assert_eq!(map.apply(&old), new);
        }
    }
}
