//! Which accounts a restore makes, and what they are given: pure.

use std::collections::BTreeSet;

use super::account::Account;
use super::grant::{Grant, On};
use super::record::Record;
use super::rename::RoleMap;
use crate::catalog::grants::matches;

/// How many names are told.
const NAMED: usize = 10;

/// Where a database is restored from and to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// Whether `_` and `%` in the names of databases stand for themselves at the target.
    pub(crate) literal: bool,
}

/// What is known of the target.
pub(crate) struct Here<'a> {
    /// Accounts that the server has.
    pub(crate) accounts: &'a [Account],
    /// Those that restored objects act as, under their new names.
    pub(crate) definers: &'a [Account],
    /// Whether a table or routine is restored.
    pub(crate) holds: &'a dyn Fn(&str, &str) -> bool,
    /// Whether accounts are given anything.
    pub(crate) grants: bool,
}

/// How far something that is given reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Beyond the restored database.
    Server,
    /// Accounts that are made here too.
    Accounts,
    Database,
    /// One object, which must be there before.
    Object,
}

/// What is made, in order. It holds hashes of passwords: nothing prints it.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    /// Accounts with the end of the statement that makes each: what follows its name.
    pub(crate) make: Vec<(Account, String)>,
    /// Statements that give them what they may do, when all are there.
    pub(crate) give: Vec<(Account, String, Reach)>,
    /// What a person has to know.
    pub(crate) warnings: Vec<String>,
    /// What a person may want to know.
    pub(crate) notes: Vec<String>,
}

/// Plans for the accounts that have to do with the database: those that may do something in it or
/// on the whole server, that its objects act as, their roles and whoever has these. What there is
/// on the server stays as it is.
pub(crate) fn plan(records: &[Record], place: Place<'_>, map: &RoleMap, here: &Here<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut known: Vec<Known> = Vec::new();
    for record in records {
        let account = map.apply(&record.account);
        if known.iter().any(|one| one.account == account) {
            plan.warnings.push(format!(
                "account {} is left out: another one becomes {account} too",
                record.account
            ));
            continue;
        }
        match Known::of(record, account, map) {
            Some(one) => known.push(one),
            None => plan.warnings.push(format!(
                "account {} is left out: its statements are in a form that is not known",
                record.account
            )),
        }
    }
    let wanted = concerned(&known, place.from, here.definers);
    let (mut there, mut elsewhere, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut others = Vec::new();
    let made: BTreeSet<&Account> =
        wanted.iter().filter(|one| !here.accounts.contains(one)).collect();
    for one in known.iter().filter(|one| wanted.contains(&one.account)) {
        if here.accounts.contains(&one.account) {
            there.push(one.account.to_string());
            continue;
        }
        plan.make.push((one.account.clone(), one.tail.clone()));
        let pattern = one.pattern(place.from);
        for grant in one.grants.iter().filter(|_| here.grants) {
            let (grant, left) = among(grant, &made);
            others.extend(left.iter().map(|other| format!("{other} to {}", one.account)));
            let Some(grant) = grant else { continue };
            match moved(&grant, pattern, place, here) {
                Moved::To(grant) => {
                    let reach = match &grant {
                        Grant::Privileges { on: On::Databases(_), .. } => Reach::Database,
                        Grant::Privileges { on: On::Object { .. }, .. } => Reach::Object,
                        Grant::Privileges { on: On::Server, .. } => Reach::Server,
                        Grant::Proxy { .. } | Grant::Roles { .. } | Grant::DefaultRoles { .. } => {
                            Reach::Accounts
                        }
                    };
                    plan.give.push((one.account.clone(), grant.as_sql(&one.account), reach));
                    elsewhere.extend(wider(pattern, reach, place).map(|pattern| {
                        format!("{} on {pattern} (but for {})", one.account, place.to)
                    }));
                }
                Moved::Elsewhere(database) => {
                    elsewhere.push(format!("{} on {database}", one.account));
                }
                Moved::Missing(name) => missing.push(format!("{} on {name}", one.account)),
            }
        }
    }
    if !there.is_empty() {
        plan.notes.push(format!(
            "accounts that the server has already are left as they are, with what they may do: {}",
            named(&there)
        ));
    }
    if !others.is_empty() {
        plan.warnings.push(format!(
            "roles, and accounts to act as, are given only where they are made here too; left out: {}",
            named(&others)
        ));
    }
    if !elsewhere.is_empty() {
        plan.warnings.push(format!(
            "what accounts may do in other databases is left out: {}",
            named(&elsewhere)
        ));
    }
    if !missing.is_empty() {
        plan.warnings.push(format!(
            "what accounts may do with objects that are not restored is left out: {}",
            named(&missing)
        ));
    }
    plan
}

/// An account, understood.
struct Known {
    account: Account,
    /// What follows its name in the statement that makes it.
    tail: String,
    grants: Vec<Grant>,
}

impl Known {
    fn of(record: &Record, account: Account, map: &RoleMap) -> Option<Self> {
        let head = if record.account.host.is_none() { "CREATE ROLE " } else { "CREATE USER " };
        let (_, tail) = Account::take(record.create.strip_prefix(head)?)?;
        let grants: Option<Vec<Grant>> = record
            .grants
            .iter()
            .map(|line| Grant::parse(line).map(|(_, grant)| map.grant(grant)))
            .collect();
        Some(Self { account, tail: tail.to_owned(), grants: grants? })
    }

    fn reaches(&self, database: &str) -> bool {
        self.grants.iter().any(|grant| match grant {
            Grant::Privileges { revoked: false, on, .. } => match on {
                On::Server => true,
                On::Databases(pattern) => matches(pattern, database),
                On::Object { database: other, .. } => other == database,
            },
            _ => false,
        })
    }

    /// Returns the pattern by which it has privileges in a database: of several that mean it, servers
    /// look at the most exact one alone.
    fn pattern(&self, database: &str) -> Option<&str> {
        let patterns = self.grants.iter().filter_map(|grant| match grant {
            Grant::Privileges { revoked: false, on: On::Databases(pattern), .. } => Some(pattern),
            _ => None,
        });
        let exact = |pattern: &&String| first_wildcard(pattern);
        patterns.filter(|pattern| matches(pattern, database)).max_by_key(exact).map(String::as_str)
    }

    fn roles(&self) -> impl Iterator<Item = &Account> {
        self.grants.iter().flat_map(|grant| match grant {
            Grant::Roles { roles, .. } => roles.as_slice(),
            _ => &[],
        })
    }
}

fn concerned(known: &[Known], database: &str, definers: &[Account]) -> BTreeSet<Account> {
    let of = |one: &Known| one.account.clone();
    let mut wanted: BTreeSet<Account> = known
        .iter()
        .filter(|one| one.reaches(database) || definers.contains(&one.account))
        .map(of)
        .collect();
    // Whoever has one of their roles, directly or through others.
    loop {
        let more: Vec<Account> = known
            .iter()
            .filter(|one| !wanted.contains(&one.account))
            .filter(|one| one.roles().any(|role| wanted.contains(role)))
            .map(of)
            .collect();
        if more.is_empty() {
            break;
        }
        wanted.extend(more);
    }
    // The roles of all these.
    loop {
        let more: Vec<Account> = known
            .iter()
            .filter(|one| wanted.contains(&one.account))
            .flat_map(Known::roles)
            .filter(|role| !wanted.contains(role))
            .cloned()
            .collect();
        if more.is_empty() {
            return wanted;
        }
        wanted.extend(more);
    }
}

enum Moved {
    To(Grant),
    Elsewhere(String),
    Missing(String),
}

/// Returns what is left of a grant when accounts that are not made here are left out of it, and
/// those: what an account of the server may do beyond the database is nobody's here to give.
fn among(grant: &Grant, made: &BTreeSet<&Account>) -> (Option<Grant>, Vec<Account>) {
    let split = |roles: &[Account]| -> (Vec<Account>, Vec<Account>) {
        roles.iter().cloned().partition(|role| made.contains(role))
    };
    match grant {
        Grant::Privileges { .. } => (Some(grant.clone()), Vec::new()),
        Grant::Proxy { of, .. } if made.contains(of) => (Some(grant.clone()), Vec::new()),
        Grant::Proxy { of, .. } => (None, vec![of.clone()]),
        Grant::Roles { roles, grantable } => {
            let (roles, left) = split(roles);
            let grantable = *grantable;
            ((!roles.is_empty()).then_some(Grant::Roles { roles, grantable }), left)
        }
        // What is left out is told once, with the role itself.
        Grant::DefaultRoles { roles } => {
            let (roles, _) = split(roles);
            ((!roles.is_empty()).then_some(Grant::DefaultRoles { roles }), Vec::new())
        }
    }
}

/// Returns a pattern by which a grant of the database held for others too.
fn wider<'a>(pattern: Option<&'a str>, reach: Reach, place: Place<'_>) -> Option<&'a str> {
    pattern.filter(|pattern| {
        reach == Reach::Database && **pattern != *place.from && **pattern != escaped(place.from)
    })
}

/// Where the first wildcard stands; of none, as far as can be.
fn first_wildcard(pattern: &str) -> usize {
    let mut escaped = false;
    for (at, c) in pattern.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '_' | '%' if !escaped => return at,
            _ => escaped = false,
        }
    }
    usize::MAX
}

fn moved(grant: &Grant, own: Option<&str>, place: Place<'_>, here: &Here<'_>) -> Moved {
    let Grant::Privileges { revoked, privileges, on, grantable } = grant else {
        return Moved::To(grant.clone());
    };
    let on = match on {
        On::Server => On::Server,
        On::Databases(pattern) if !matches(pattern, place.from) => {
            return Moved::Elsewhere(pattern.clone());
        }
        On::Databases(pattern) if !revoked && own != Some(pattern) => {
            return Moved::Elsewhere(pattern.clone());
        }
        // The database and no others, whatever the pattern meant at the source.
        On::Databases(_) if place.literal => On::Databases(place.to.to_owned()),
        On::Databases(_) => On::Databases(escaped(place.to)),
        On::Object { database, .. } if database != place.from => {
            return Moved::Elsewhere(database.clone());
        }
        On::Object { word, name, .. } if !(here.holds)(word, name) => {
            return Moved::Missing(name.clone());
        }
        On::Object { word, name, .. } => {
            let (word, name) = (word.clone(), name.clone());
            On::Object { word, database: place.to.to_owned(), name }
        }
    };
    let (revoked, privileges, grantable) = (*revoked, privileges.clone(), *grantable);
    Moved::To(Grant::Privileges { revoked, privileges, on, grantable })
}

/// Writes a name so that `_` and `%` in it stand for themselves.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%")
}

fn named(all: &[String]) -> String {
    let more = all.len().saturating_sub(NAMED);
    let mut text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(account: &str, grants: &[&str]) -> Record {
        let (account, _) = Account::take(account).unwrap();
        let create = match account.host {
            Some(_) => format!("CREATE USER {} IDENTIFIED BY PASSWORD '*AB'", account.as_sql()),
            None => format!("CREATE ROLE {}", account.as_sql()),
        };
        let grants =
            grants.iter().map(|grant| format!("{grant} TO {}", account.as_sql())).collect();
        Record { account, create, grants }
    }

    fn planned(records: &[Record], map: &RoleMap, there: &[Account]) -> Plan {
        let here = Here {
            accounts: there,
            definers: &[Account::new("owner", Some("%".into()))],
            holds: &|_, name| name != "gone",
            grants: true,
        };
        let place = Place { from: "shop", to: "shop_eu", literal: false };
        plan(records, place, map, &here)
    }

    #[test]
    fn accounts_of_the_database_come_with_their_roles_and_no_others_do() {
        let records = [
            record("`app`@`%`", &["GRANT ALL PRIVILEGES ON `shop`.*", "GRANT SELECT ON `crm`.*"]),
            record("`owner`@`%`", &[]),
            record("`crm`@`%`", &["GRANT SELECT ON `crm`.*", "GRANT `everyone`"]),
            record("`reader`", &["GRANT SELECT ON `sh%`.*"]),
            record("`ann`@`%`", &["GRANT `reader`"]),
            record("`everyone`", &[]),
            record("`bob`@`%`", &["GRANT SELECT (`a`) ON `shop`.`t`", "GRANT `everyone`"]),
            record("`eve`@`%`", &["GRANT EXECUTE ON PROCEDURE `shop`.`gone`"]),
        ];
        let plan = planned(&records, &RoleMap::default(), &[]);
        let made: Vec<String> = plan.make.iter().map(|(account, _)| account.to_string()).collect();
        assert_eq!(made, ["app@%", "owner@%", "reader", "ann@%", "everyone", "bob@%", "eve@%"]);
        let given: Vec<(&str, Reach)> =
            plan.give.iter().map(|(_, sql, reach)| (sql.as_str(), *reach)).collect();
        assert_eq!(
            given,
            [
                ("GRANT ALL PRIVILEGES ON `shop\\_eu`.* TO `app`@`%`", Reach::Database),
                ("GRANT SELECT ON `shop\\_eu`.* TO `reader`", Reach::Database),
                ("GRANT `reader` TO `ann`@`%`", Reach::Accounts),
                ("GRANT SELECT (`a`) ON `shop_eu`.`t` TO `bob`@`%`", Reach::Object),
                ("GRANT `everyone` TO `bob`@`%`", Reach::Accounts),
            ]
        );
        assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
        let left = "app@% on crm, reader on sh% (but for shop_eu)";
        assert!(plan.warnings[0].ends_with(left), "{:?}", plan.warnings);
        assert!(plan.warnings[1].ends_with("eve@% on gone"), "{:?}", plan.warnings);
    }

    #[test]
    fn those_that_are_there_stay_and_new_names_hold_everywhere() {
        let records = [
            record("`app`@`%`", &["GRANT SELECT ON `shop`.*", "GRANT `reader`"]),
            record("`reader`", &["GRANT SELECT ON *.*"]),
            record("`old`@`%`", &["GRANT SELECT ON `shop`.*"]),
        ];
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        let map = RoleMap::new(&[pair("app", "web"), pair("reader", "looker"), pair("old", "web")]);
        let plan = planned(&records, &map, &[Account::new("looker", None)]);
        assert_eq!(plan.make.len(), 1);
        assert_eq!(plan.make[0].0.to_string(), "web@%");
        assert_eq!(plan.make[0].1, " IDENTIFIED BY PASSWORD '*AB'");
        let given: Vec<&str> = plan.give.iter().map(|(_, sql, _)| sql.as_str()).collect();
        // What a role of the server may do is not given to anybody.
        assert_eq!(given, ["GRANT SELECT ON `shop\\_eu`.* TO `web`@`%`"]);
        assert!(plan.notes[0].ends_with("looker"), "{:?}", plan.notes);
        assert!(plan.warnings[0].contains("old@%"), "{:?}", plan.warnings);
        assert!(plan.warnings[1].ends_with("looker to web@%"), "{:?}", plan.warnings);
    }

    #[test]
    fn nothing_reaches_further_than_the_restored_database_by_a_pattern() {
        let of = |from: &str, to: &str, literal: bool, grants: &[&str]| {
            let here = Here { accounts: &[], definers: &[], holds: &|_, _| true, grants: true };
            let place = Place { from, to, literal };
            let plan = plan(&[record("`a`@`%`", grants)], place, &RoleMap::default(), &here);
            let given: Vec<String> = plan.give.into_iter().map(|(_, sql, _)| sql).collect();
            (given, plan.warnings)
        };
        let all = "GRANT ALL PRIVILEGES ON `%`.*";
        let (given, warnings) = of("shop", "shop", false, &[all]);
        assert_eq!(given, ["GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`"]);
        assert!(warnings[0].ends_with("a@% on % (but for shop)"), "{warnings:?}");
        // Of several the most exact one holds, and no other adds to it.
        let (given, warnings) = of("shop", "shop", false, &[all, "GRANT SELECT ON `shop`.*"]);
        assert_eq!(given, ["GRANT SELECT ON `shop`.* TO `a`@`%`"]);
        assert!(warnings[0].ends_with("a@% on %"), "{warnings:?}");
        // Where names are literal, so is what is given, though the pattern means the name too.
        let escaped = ["GRANT SELECT ON `app\\_prod`.*"];
        let (given, _) = of("app_prod", "app_prod", true, &escaped);
        assert_eq!(given, ["GRANT SELECT ON `app_prod`.* TO `a`@`%`"]);
        let (given, warnings) = of("app_prod", "app_prod", false, &escaped);
        assert_eq!(given, ["GRANT SELECT ON `app\\_prod`.* TO `a`@`%`"]);
        assert_eq!(warnings, Vec::<String>::new());
        // To act as anybody is not a matter of the database.
        let (given, warnings) =
            of("shop", "shop", false, &["GRANT SELECT ON `shop`.*", "GRANT PROXY ON ``@`%`"]);
        assert_eq!(given.len(), 1);
        assert!(warnings[0].ends_with("@% to a@%"), "{warnings:?}");
    }
}
