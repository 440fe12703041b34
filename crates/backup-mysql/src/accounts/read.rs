//! Reading the server's accounts.

use backup_core::{Error, ErrorKind, Result};

use super::account::Account;
use super::grant::Grant;
use super::record::Record;
use super::text::split_at_word;
use crate::catalog::server::{Flavor, Server};
use crate::wire::code;
use crate::{Client, error_code};

/// An account that was dropped while the others were read.
const GONE: [u16; 4] = [1133, 1141, 1396, 3162];

/// Fails with `SourceUnavailable` where this user does not see the server's accounts.
pub(crate) async fn check_readable(client: &mut Client) -> Result<()> {
    client.query("SELECT User FROM mysql.user LIMIT 0").await.map(|_| ()).map_err(refused)
}

/// Returns who there is on the server, the server's own accounts left out. `SourceUnavailable`
/// where this user does not see them.
pub(crate) async fn of_server(client: &mut Client, flavor: Flavor) -> Result<Vec<Account>> {
    let is_role = match flavor {
        Flavor::MariaDb => "is_role = 'Y'",
        // Its roles are accounts like others.
        Flavor::MySql => "0",
    };
    let sql = format!(
        "SELECT CONVERT(User USING utf8mb4), CONVERT(Host USING utf8mb4), {is_role} \
         FROM mysql.user ORDER BY 1, 2"
    );
    let rows = client.query(&sql).await.map_err(refused)?;
    let of =
        |row: &crate::Row| Account::new(row.text(0), (row.text(2) != "1").then(|| row.text(1)));
    Ok(rows.iter().map(of).filter(|account| !account.is_reserved()).collect())
}

/// Reads every account with what it may do; what has been dropped meanwhile is left out.
pub(crate) async fn read(client: &mut Client, server: &Server) -> Result<Vec<Record>> {
    client.execute("SET character_set_results = utf8mb4").await?;
    // Hashes of MySQL 8 hold bytes that are no text.
    client.try_set("print_identified_with_as_hex", "1").await?;
    let mut records = Vec::new();
    for account in of_server(client, server.flavor).await? {
        match one(client, account).await {
            Ok(record) => records.push(record),
            Err(error) if error_code(&error).is_some_and(|code| GONE.contains(&code)) => {}
            Err(error) => return Err(error),
        }
    }
    client.execute("SET character_set_results = NULL").await?;
    Ok(records)
}

async fn one(client: &mut Client, account: Account) -> Result<Record> {
    let name = account.as_sql();
    let named = |error: Error| error.with("account", &account);
    let mut grants = Vec::new();
    let create = if account.host.is_none() {
        format!("CREATE ROLE {name}")
    } else {
        let shown = client.first(&format!("SHOW CREATE USER {name}")).await.map_err(named)?;
        let shown = shown.and_then(|row| row.get(0).map(str::to_owned)).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "read account")
                .with("account", &account)
                .because("the server does not print it as text in UTF-8")
        })?;
        let (create, roles) = without_default_roles(&shown).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "read account")
                .with("account", &account)
                .because("the server prints its default roles in a form that is not known")
        })?;
        if !roles.is_empty() {
            grants.push(Grant::DefaultRoles { roles }.as_sql(&account));
        }
        create
    };
    let mut given = Vec::new();
    for row in client.query(&format!("SHOW GRANTS FOR {name}")).await.map_err(named)? {
        let line = row.text(0);
        match Grant::parse(&line) {
            // MariaDB prints what its roles were given as well.
            Some((whom, _)) if whom != account => {}
            Some((_, grant)) if grant.is_nothing() => {}
            Some((_, grant)) => given.push(grant.as_sql(&account)),
            None => {
                return Err(Error::new(ErrorKind::Unsupported, "read account")
                    .with("account", &account)
                    .because("the server prints one of its grants in a form that is not known")
                    .hint("Leave accounts out (backup.users = false), and report the form."));
            }
        }
    }
    // A default role must have been given before.
    given.append(&mut grants);
    Ok(Record { account, create, grants: given })
}

/// Takes MySQL's default roles out of the statement that makes an account: the roles may not be
/// there yet.
fn without_default_roles(create: &str) -> Option<(String, Vec<Account>)> {
    let Some((head, tail)) = split_at_word(create, " DEFAULT ROLE ") else {
        return Some((create.to_owned(), Vec::new()));
    };
    let mut roles = Vec::new();
    let mut rest = tail;
    loop {
        let (role, after) = Account::take(rest)?;
        roles.push(role);
        match after.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return Some((format!("{head}{after}"), roles)),
        }
    }
}

fn refused(error: Error) -> Error {
    let denied = [code::TABLE_ACCESS_DENIED, code::ACCESS_DENIED_DATABASE, 1143];
    if !error_code(&error).is_some_and(|code| denied.contains(&code)) {
        return error;
    }
    Error::new(ErrorKind::SourceUnavailable, "read accounts")
        .because(error)
        .hint("Accounts are read with: GRANT SELECT ON `mysql`.* TO the user.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_roles_are_set_when_the_roles_are_there() {
        let create = "CREATE USER `u`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 DEFAULT ROLE `r`@`%`,`s`@`%` REQUIRE NONE PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK";
        let (rest, roles) = without_default_roles(create).unwrap();
        assert_eq!(
            rest,
            "CREATE USER `u`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 REQUIRE NONE PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK"
        );
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        assert_eq!(roles, ["r@%", "s@%"]);
        let plain = "CREATE USER `u`@`%` COMMENT ' DEFAULT ROLE '";
        assert_eq!(without_default_roles(plain), Some((plain.to_owned(), Vec::new())));
    }
}
