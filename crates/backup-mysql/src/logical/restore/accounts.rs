//! Accounts of the source's server at the target.

use backup_core::port::{PartSource, RestoreOptions};
use backup_core::{Error, ErrorKind, Finding, Result, Snapshot};

use super::part::read_part;
use super::place;
use crate::accounts::{self, Account, Here, Place, Plan, Reach, RoleMap};
use crate::catalog::grants::Grants;
use crate::catalog::server::Server;
use crate::logical::names::ACCOUNTS;
use crate::schema::{self, Item, Kind};
use crate::wire::{code, db_error};
use crate::{Client, ConnectOptions, DbError, error_code};

/// Returns how many accounts the snapshot holds, where it holds them.
fn kept(snapshot: &Snapshot) -> Option<u64> {
    let part = snapshot.parts.iter().find(|part| part.name.as_str() == ACCOUNTS)?;
    part.attributes.get("count")?.parse().ok()
}

/// Returns how many accounts a restore with these options looks at.
pub(super) fn wanted(snapshot: &Snapshot, options: &RestoreOptions) -> Option<u64> {
    kept(snapshot).filter(|_| options.create_roles)
}

/// Says what a restore with these options does not do.
pub(super) fn findings(snapshot: &Snapshot, options: &RestoreOptions) -> Option<Finding> {
    match (kept(snapshot), options.create_roles) {
        (Some(count), false) => Some(Finding::note(format!(
            "the snapshot holds {count} accounts of the source's server; --create-roles creates \
             those that are missing"
        ))),
        (None, true) => Some(Finding::warning(
            "the snapshot holds no accounts, so that none are created (backup.users was off when \
             it was taken)",
        )),
        _ => None,
    }
}

/// Fails where accounts are to be created and that cannot work, before anything is written.
pub(super) async fn check_possible(
    client: &mut Client,
    connect: &ConnectOptions,
    server: &Server,
    snapshot: &Snapshot,
    options: &RestoreOptions,
) -> Result<()> {
    if wanted(snapshot, options).is_none() {
        return Ok(());
    }
    let from = snapshot.evidence.facts.get("flavor").map_or("", String::as_str);
    if from != server.flavor.as_str() {
        return Err(Error::new(ErrorKind::Unsupported, "create accounts")
            .with("snapshot", from)
            .with("target", server.title())
            .because("the two do not understand each other's accounts")
            .hint("Restore without --create-roles, and create the accounts yourself."));
    }
    let grants = Grants::read(client, connect.database()).await?;
    if !grants.may_everywhere("CREATE USER") {
        return Err(Error::new(ErrorKind::SourceUnavailable, "create accounts")
            .with("target", connect.location())
            .because("the user may not create accounts")
            .hint(grants.statement("CREATE USER", None)));
    }
    accounts::of_server(client, server.flavor).await.map(|_| ())
}

/// Accounts to make, and what they are given.
#[derive(Default)]
pub(super) struct Accounts {
    plan: Plan,
}

impl Accounts {
    /// Plans; there is nothing in it where none are wanted. `Integrity` where what is stored is no
    /// list of accounts.
    pub(super) async fn plan(
        client: &mut Client,
        (connect, server): (&ConnectOptions, &Server),
        snapshot: &Snapshot,
        parts: &dyn PartSource,
        items: &[&Item],
        map: &RoleMap,
        options: &RestoreOptions,
    ) -> Result<Self> {
        if wanted(snapshot, options).is_none() {
            return Ok(Self::default());
        }
        let records = accounts::parse(&read_part(parts, ACCOUNTS).await?.unwrap_or_default())?;
        let mut definers: Vec<Account> = Vec::new();
        if !options.no_owner {
            let of = |item: &&Item| schema::definer(&item.sql).map(|account| map.apply(&account));
            definers.extend(items.iter().filter_map(of));
        }
        let holds = |word: &str, name: &str| {
            items.iter().any(|item| item.name == name && is_of(item.kind, word))
        };
        let from = snapshot.evidence.facts.get("database").map_or("", String::as_str);
        let literal = server.is_on("partial_revokes");
        let place = Place { from, to: connect.database(), literal };
        let there = accounts::of_server(client, server.flavor).await?;
        let here = Here {
            accounts: &there,
            definers: &definers,
            holds: &holds,
            grants: !options.no_privileges,
        };
        Ok(Self { plan: accounts::plan(&records, place, map, &here) })
    }

    /// Makes them, and gives them what needs no object of the database.
    pub(super) async fn make(
        &mut self,
        client: &mut Client,
        connect: &ConnectOptions,
    ) -> Result<Vec<Finding>> {
        let mut names = Vec::new();
        for (account, tail) in &self.plan.make {
            place::note_account(client, connect, account).await?;
            let kind = if account.host.is_none() { "ROLE" } else { "USER" };
            let sql = format!("CREATE {kind} {}{tail}", account.as_sql());
            if let Err(error) = client.execute(&sql).await {
                if error_code(&error).is_some() {
                    place::forget_account(client, connect, account).await?;
                }
                return Err(silent(&error, account));
            }
            place::note_made(client, connect, account).await?;
            names.push(account.to_string());
        }
        let mut findings: Vec<Finding> =
            std::mem::take(&mut self.plan.warnings).into_iter().map(Finding::warning).collect();
        findings.extend(std::mem::take(&mut self.plan.notes).into_iter().map(Finding::note));
        if !names.is_empty() {
            findings.push(Finding::note(format!("accounts created: {}", names.join(", "))));
        }
        let reach = [Reach::Accounts, Reach::Server, Reach::Database];
        findings.extend(self.give(client, &reach).await?);
        Ok(findings)
    }

    /// Gives them what they may do, as far as these reach. What the server refuses in the database
    /// is an error; what it refuses beyond it is told, and so is what it takes.
    pub(super) async fn give(&self, client: &mut Client, reach: &[Reach]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (account, sql, one) in self.plan.give.iter().filter(|(.., one)| reach.contains(one)) {
            match client.execute(sql).await {
                Ok(()) if *one == Reach::Server => {
                    findings.push(Finding::warning(format!(
                        "{account} may do on the whole server what it may at the source: {sql}"
                    )));
                }
                Ok(()) => {}
                Err(error)
                    if matches!(one, Reach::Server | Reach::Accounts)
                        && error_code(&error).is_some() =>
                {
                    findings.push(Finding::warning(format!(
                        "{account} has at the source what the target's server refuses: {sql} \
                         ({error})"
                    )));
                }
                Err(error) => {
                    return Err(Error::new(ErrorKind::Failed, "grant privileges")
                        .with("account", account)
                        .with("statement", sql)
                        .because(error)
                        .hint("Restore as an administrator, or with --no-privileges."));
                }
            }
        }
        Ok(findings)
    }
}

/// Whether an object is what a grant calls so.
fn is_of(kind: Kind, word: &str) -> bool {
    match word {
        "" | "TABLE" => matches!(kind, Kind::Table | Kind::View | Kind::Sequence),
        word => kind.as_sql() == word,
    }
}

/// The server's words may repeat the statement, which holds the hash of a password: only its number
/// is told.
fn silent(error: &Error, account: &Account) -> Error {
    let outer = Error::new(error.kind(), "create account").with("account", account);
    let Some(said) = db_error(error) else {
        return outer.because("the server did not answer");
    };
    let message = match said.code {
        code::ACCOUNT_STATEMENT_FAILED => "somebody else made it meanwhile",
        1524 => "the server has not loaded the plugin that checks its password",
        1819 => "its password does not satisfy the server's policy",
        1372 | 1827 => "the server does not take the form of its password's hash",
        1064 => "the server does not know a part of the statement",
        code::SPECIAL_ACCESS_DENIED => "the user may not create accounts",
        _ => "the server refused the statement",
    };
    let (code, state) = (said.code, said.state.clone());
    outer
        .because(DbError { code, state, message: message.to_owned() })
        .hint("Set the target up as the source is, or restore without --create-roles.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_account_does_not_show_its_hash() {
        let said = DbError {
            code: 1064,
            state: "42000".into(),
            message: "You have an error in your SQL syntax near '*5EC2E7'".into(),
        };
        let error = Error::new(ErrorKind::Failed, "execute statement").because(said);
        let told = silent(&error, &Account::new("app", Some("%".into())));
        assert_eq!(error_code(&told), Some(1064));
        assert!(!format!("{told:?} {told}").contains("5EC2E7"));
        assert!(told.to_string().contains("app@%"), "{told}");
    }
}
