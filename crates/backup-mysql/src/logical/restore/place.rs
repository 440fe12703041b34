//! The database that is restored into.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Result, Snapshot};

use crate::accounts::Account;
use crate::catalog::database::Database;
use crate::logical::fingerprint::of;
use crate::logical::names::{MADE_ACCOUNTS, MARK, is_mark};
use crate::schema::{Item, Kind};
use crate::wire::code;
use crate::{Client, ConnectOptions, error_code, quote_name, quote_text};

/// How many objects are named of a database that is not empty.
const NAMED: usize = 5;

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Missing,
    Empty(Database),
    /// What a killed restore of the same snapshot left.
    Leftover,
}

/// Looks at it; `Conflict` when it holds anything but what a killed restore of the same snapshot
/// left.
pub(super) async fn look(
    client: &mut Client,
    connect: &ConnectOptions,
    snapshot: &Snapshot,
) -> Result<Place> {
    let name = connect.database();
    let Some(database) = Database::read(client, name).await? else { return Ok(Place::Missing) };
    let objects = objects(client, name).await?;
    if objects.is_empty() {
        return Ok(Place::Empty(database));
    }
    if objects.iter().any(|one| one == MARK) {
        let sql = format!("SELECT snapshot FROM {}.{MARK}", quote_name(name));
        let found = client.first(&sql).await?.map(|row| row.text(0));
        if found.as_deref() == Some(&snapshot.id.to_string()) {
            return Ok(Place::Leftover);
        }
    }
    let more = objects.len().saturating_sub(NAMED);
    let mut shown = objects.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        shown.push_str(&format!(" and {more} more"));
    }
    Err(Error::new(ErrorKind::Conflict, "restore into database")
        .with("target", connect.location())
        .with("it holds", shown)
        .hint("Name a new database, or drop this one first: nothing is ever overwritten."))
}

/// Returns the names of everything in it.
pub(crate) async fn objects(client: &mut Client, database: &str) -> Result<Vec<String>> {
    let name = quote_text(database);
    let mut objects = Vec::new();
    for sql in [
        format!("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name}"),
        format!(
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name}"
        ),
        format!("SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name}"),
    ] {
        objects.extend(client.query(&sql).await?.iter().map(|row| row.text(0)));
    }
    Ok(objects)
}

/// A right to this target that one restore has at a time; given back by [`Claim::give_back`], or
/// by the server when the session ends.
pub(super) struct Claim {
    client: Client,
    name: String,
}

impl Claim {
    /// Takes it; `Conflict` while another restore into the same database has it.
    pub(super) async fn take(connect: &ConnectOptions) -> Result<Self> {
        let mut client = Client::connect_to_server(connect).await?;
        // Names may be longer than those of locks, and differ in case only on some servers.
        let database = connect.database().to_lowercase();
        let name = quote_text(&format!("backup_restore_{}", of(database.as_bytes())));
        let row = client.first(&format!("SELECT GET_LOCK({name}, 0)")).await.map_err(|error| {
            Error::new(ErrorKind::Unsupported, "keep other restores away")
                .with("target", connect.location())
                .because(error)
        })?;
        if row.is_some_and(|row| row.all_true()) {
            return Ok(Self { client, name });
        }
        Err(Error::new(ErrorKind::Conflict, "restore into database")
            .with("target", connect.location())
            .because("another restore into it is under way, or is cleaning up")
            .hint("Wait for it, or name another database."))
    }

    /// Lets the next one in.
    pub(super) async fn give_back(mut self) {
        // The server does it too when the session ends.
        let _ = self.client.execute(&format!("DO RELEASE_LOCK({})", self.name)).await;
        self.client.close().await;
    }
}

/// What was written, to be taken back when the restore fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Written {
    #[default]
    Nothing,
    /// Into a database that was there, was empty, and was set up like this.
    Contents(Database),
    /// The database itself.
    Database,
}

/// Fails with `Unsupported` where something to be restored has the name of a mark: what stands in
/// such a table is believed when a restore is taken back.
pub(super) fn check_names(items: &[&Item]) -> Result<()> {
    let Some(item) = items.iter().find(|item| is_mark(&item.name)) else { return Ok(()) };
    Err(Error::new(ErrorKind::Unsupported, "restore table")
        .with("table", &item.name)
        .because("unfinished restores are known by tables of this name")
        .hint(format!(
            "Restore the others by name (--table). At the source drop or rename {MARK} and \
             {MADE_ACCOUNTS}, and take a new snapshot."
        )))
}

/// Fails with `Conflict` where a killed restore's database holds what is not of the snapshot, or
/// what may be of the snapshot and looks as if the restore had noted it.
pub(super) async fn check_leftover(
    client: &mut Client,
    connect: &ConnectOptions,
    items: &[Item],
) -> Result<()> {
    let objects = objects(client, connect.database()).await?;
    let of_snapshot = |name: &str| items.iter().any(|item| item.name.eq_ignore_ascii_case(name));
    let is_ours = |name: &&String| match is_mark(name) {
        true => !of_snapshot(name),
        false => items.iter().any(|item| item.name == **name),
    };
    let Some(other) = objects.iter().find(|name| !is_ours(name)) else { return Ok(()) };
    let why = if is_mark(other) {
        "the snapshot has a table of this name too, whose rows say nothing about this restore"
    } else {
        "this is not of the snapshot"
    };
    Err(Error::new(ErrorKind::Conflict, "replace unfinished database")
        .with("target", connect.location())
        .with("it holds", other)
        .because(why)
        .hint("Drop the database yourself if nothing in it is wanted, or name a new one."))
}

/// Makes the place ready: a database with the source's character set and collation, marked as
/// unfinished. Says in `written` what was made here, before it can fail half way. Returns the
/// accounts of which nobody knows whether a killed restore made them: they stay.
pub(super) async fn prepare(
    client: &mut Client,
    connect: &ConnectOptions,
    place: Place,
    snapshot: &Snapshot,
    written: &mut Written,
) -> Result<Vec<String>> {
    let name = quote_name(connect.database());
    let set = character_set(&snapshot.evidence.facts);
    let refused = |error| refused(error, connect, &set);
    let mut doubtful = Vec::new();
    if place == Place::Leftover {
        doubtful = take_back_accounts(client, connect).await?;
        client.execute(&format!("DROP DATABASE {name}")).await?;
    }
    match place {
        Place::Missing | Place::Leftover => {
            client.execute(&format!("CREATE DATABASE {name}{set}")).await.map_err(refused)?;
            *written = Written::Database;
            mark(client, &name, snapshot).await?;
        }
        Place::Empty(before) => {
            mark_empty(client, &name, snapshot, (before, written)).await?;
            client.execute(&format!("ALTER DATABASE {name}{set}")).await.map_err(refused)?;
        }
    }
    Ok(doubtful)
}

/// Marks a database that was there and empty. What the mark leaves when it fails is taken back; the
/// mark of another restore is not.
pub(super) async fn mark_empty(
    client: &mut Client,
    database: &str,
    snapshot: &Snapshot,
    (before, written): (Database, &mut Written),
) -> Result<()> {
    *written = Written::Contents(before);
    let done = mark(client, database, snapshot).await;
    if done.as_ref().is_err_and(|error| error_code(error) == Some(code::TABLE_EXISTS)) {
        *written = Written::Nothing;
    }
    done
}

async fn mark(client: &mut Client, database: &str, snapshot: &Snapshot) -> Result<()> {
    // Some servers take no table without a primary key, and none that is made by a SELECT.
    let table = format!("{database}.{MARK}");
    let create = format!("CREATE TABLE {table} (snapshot varchar(64) NOT NULL PRIMARY KEY)");
    client.execute(&create).await?;
    let id = quote_text(&snapshot.id.to_string());
    client.execute(&format!("INSERT INTO {table} VALUES ({id})")).await
}

/// Writes down that an account is about to be made.
pub(super) async fn note_account(
    client: &mut Client,
    connect: &ConnectOptions,
    account: &Account,
) -> Result<()> {
    let table = format!("{}.{MADE_ACCOUNTS}", quote_name(connect.database()));
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {table} (n int NOT NULL AUTO_INCREMENT PRIMARY KEY, \
         account text CHARACTER SET utf8mb4 NOT NULL, made tinyint NOT NULL DEFAULT 0)"
    );
    client.execute(&create).await?;
    let text = quote_text(&account.as_sql());
    client.execute(&format!("INSERT INTO {table} (account) VALUES ({text})")).await
}

/// Writes down that it was made, so that a failed or killed restore's goes too.
pub(super) async fn note_made(
    client: &mut Client,
    connect: &ConnectOptions,
    account: &Account,
) -> Result<()> {
    let (name, text) = (quote_name(connect.database()), quote_text(&account.as_sql()));
    let set = format!("UPDATE {name}.{MADE_ACCOUNTS} SET made = 1");
    client.execute(&format!("{set} WHERE account = BINARY {text}")).await
}

/// Takes the note back: the server refused to make the account.
pub(super) async fn forget_account(
    client: &mut Client,
    connect: &ConnectOptions,
    account: &Account,
) -> Result<()> {
    let (name, text) = (quote_name(connect.database()), quote_text(&account.as_sql()));
    client
        .execute(&format!("DELETE FROM {name}.{MADE_ACCOUNTS} WHERE account = BINARY {text}"))
        .await
}

/// Drops the accounts that a restore made; there are none where it made none. One that it was about
/// to make, and that is there, may be somebody else's: it stays, and is returned.
async fn take_back_accounts(client: &mut Client, connect: &ConnectOptions) -> Result<Vec<String>> {
    let table = format!("{}.{MADE_ACCOUNTS}", quote_name(connect.database()));
    let rows = match client.query(&format!("SELECT account, made FROM {table}")).await {
        Err(error) if error_code(&error) == Some(code::NO_SUCH_TABLE) => return Ok(Vec::new()),
        rows => rows?,
    };
    let mut doubtful = Vec::new();
    for row in rows {
        let text = row.text(0);
        let Some((account, "")) = Account::take(&text) else { continue };
        if row.text(1) != "1" {
            if is_there(client, &account).await? {
                doubtful.push(account.to_string());
            }
            continue;
        }
        let kind = if account.host.is_none() { "ROLE" } else { "USER" };
        client.execute(&format!("DROP {kind} IF EXISTS {}", account.as_sql())).await?;
    }
    Ok(doubtful)
}

async fn is_there(client: &mut Client, account: &Account) -> Result<bool> {
    let user = quote_text(&account.user);
    let host = quote_text(account.host.as_deref().unwrap_or_default());
    let sql = format!("SELECT 1 FROM mysql.user WHERE User = {user} AND Host = {host}");
    Ok(client.first(&sql).await?.is_some())
}

/// Fails where accounts were left because nobody knows who made them.
fn check_none_left(doubtful: &[String]) -> Result<()> {
    if doubtful.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Failed, "drop accounts that were made")
        .with("accounts", doubtful.join(", "))
        .because("the restore broke off while it made them, so that somebody else may have done it")
        .hint("Drop them yourself if nobody wants them."))
}

fn character_set(facts: &BTreeMap<String, String>) -> String {
    let word = |name: &str| {
        let value = facts.get(name).map_or("", String::as_str);
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && !value.is_empty()).then(|| value.to_owned())
    };
    let mut set = String::new();
    if let Some(charset) = word("encoding") {
        set.push_str(&format!(" CHARACTER SET {charset}"));
    }
    if let Some(collation) = word("collate") {
        set.push_str(&format!(" COLLATE {collation}"));
    }
    set
}

fn refused(error: Error, connect: &ConnectOptions, set: &str) -> Error {
    let outer = |hint: &str| {
        Error::new(ErrorKind::Unsupported, "create database")
            .with("target", connect.location())
            .with("with", set.trim())
            .hint(hint)
    };
    match error_code(&error) {
        Some(1115 | 1273) => {
            outer("The server lacks the source's collation: restore on the source's series.")
                .because(error)
        }
        Some(code::ACCESS_DENIED_DATABASE | code::TABLE_ACCESS_DENIED) => outer(&format!(
            "Grant the user what a restore needs: GRANT ALL PRIVILEGES ON {}.* TO it.",
            quote_name(connect.database())
        ))
        .into_kind(ErrorKind::SourceUnavailable)
        .because(error),
        _ => error,
    }
}

/// Removes the marks: the restore is complete.
pub(crate) async fn finish_unfinished(client: &mut Client, connect: &ConnectOptions) -> Result<()> {
    let name = quote_name(connect.database());
    client.execute(&format!("DROP TABLE IF EXISTS {name}.{MADE_ACCOUNTS}")).await?;
    client.execute(&format!("DROP TABLE {name}.{MARK}")).await
}

/// Drops a database that a restore made, with the accounts that it made.
pub(super) async fn undo_database(connect: &ConnectOptions) -> Result<()> {
    let mut client = Client::connect_to_server(connect).await?;
    let doubtful = take_back_accounts(&mut client, connect).await?;
    client.close().await;
    drop_database(connect).await?;
    check_none_left(&doubtful)
}

/// Drops a database with everything in it.
pub(crate) async fn drop_database(connect: &ConnectOptions) -> Result<()> {
    let mut client = Client::connect_to_server(connect).await?;
    client.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(connect.database()))).await?;
    client.close().await;
    Ok(())
}

/// Drops what a restore made in a database that was there before, its accounts included, and
/// nothing else.
pub(super) async fn empty(
    connect: &ConnectOptions,
    before: &Database,
    made: &[(Kind, String)],
) -> Result<()> {
    let mut client = Client::connect_to_server(connect).await?;
    client.execute("SET SESSION foreign_key_checks = 0").await?;
    let doubtful = take_back_accounts(&mut client, connect).await?;
    let name = quote_name(connect.database());
    for (kind, object) in made.iter().rev() {
        let object = quote_name(object);
        client.execute(&format!("DROP {} IF EXISTS {name}.{object}", kind.as_sql())).await?;
    }
    client.execute(&format!("DROP TABLE IF EXISTS {name}.{MADE_ACCOUNTS}, {name}.{MARK}")).await?;
    let now = Database::read(&mut client, connect.database()).await?;
    let same = |now: Database| now.charset == before.charset && now.collation == before.collation;
    if !now.is_some_and(same) {
        let set = format!("CHARACTER SET {} COLLATE {}", before.charset, before.collation);
        client.execute(&format!("ALTER DATABASE {name} {set}")).await?;
    }
    client.close().await;
    check_none_left(&doubtful)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_would_pass_for_a_note_of_the_restore_is_refused() {
        let item = |name: &str| Item::new(Kind::Table, name, "x");
        assert!(check_names(&[&item("t"), &item("unfinished_accounts")]).is_ok());
        for name in [MADE_ACCOUNTS, MARK, "Backup_Unfinished_Accounts"] {
            let error = check_names(&[&item("t"), &item(name)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
