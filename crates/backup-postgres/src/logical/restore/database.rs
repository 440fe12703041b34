//! The target database itself: there, created, marked, dropped again.

use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};

use crate::logical::catalog::database::Locale;
use crate::logical::catalog::{emptiness, server};
use crate::logical::pooling::refuse_transaction_pooling;
use crate::{Client, ConnectOptions, quote_ident, quote_literal, sqlstate};

/// Databases to connect to while the target does not exist.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];
/// What the comment on an unfinished database begins with.
const MARK: &str = "unfinished restore of snapshot ";

/// SQLSTATEs of a name that is taken, also by a CREATE DATABASE that ran at the same time.
const TAKEN: [&str; 2] = ["42P04", "23505"];
/// SQLSTATE of a database that sessions are connected to.
const IN_USE: &str = "55006";

/// How long a cancelled CREATE DATABASE may take to end one way or the other.
const SETTLE: Duration = Duration::from_secs(2);

/// What was found where the restore is to go.
pub(super) enum Place {
    /// No such database yet.
    Missing,
    /// An empty database, in this encoding.
    Empty { encoding: String },
    /// What a killed restore of the same snapshot left behind: ours to drop and make again.
    Leftover,
}

/// Looks at the target; returns a session on its server.
///
/// Fails with `Conflict` when the database holds anything but what an unfinished restore of
/// `snapshot` wrote into a database of its own.
pub(super) async fn look(options: &ConnectOptions, snapshot: &str) -> Result<(Place, Client)> {
    match Client::connect(options).await {
        Ok(mut client) => {
            refuse_transaction_pooling(&mut client, options).await?;
            let comment = server::comment_on(&mut client, options.database()).await?;
            let found = emptiness::objects(&mut client).await?;
            match comment.filter(|comment| comment.starts_with(MARK)) {
                Some(comment) if found.is_empty() || comment == mark(snapshot) => {
                    return Ok((Place::Leftover, client));
                }
                comment if !found.is_empty() => return Err(not_empty(options, comment, &found)),
                _ => {}
            }
            let rows = client.query("SHOW server_encoding").await?;
            let encoding = rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned();
            Ok((Place::Empty { encoding }, client))
        }
        Err(error) if sqlstate(&error) == Some("3D000") => {
            let mut client = maintenance(options).await?;
            let rows = client.query("SELECT pg_catalog.current_database()").await?;
            let other = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
            let beside = options.clone().with_database(other);
            refuse_transaction_pooling(&mut client, &beside).await?;
            Ok((Place::Missing, client))
        }
        Err(error) => Err(error),
    }
}

/// The comment on a database that a restore of `snapshot` made and has not finished.
fn mark(snapshot: &str) -> String {
    format!("{MARK}{snapshot}")
}

pub(super) fn not_empty(options: &ConnectOptions, mark: Option<String>, found: &[String]) -> Error {
    let error = Error::new(ErrorKind::Conflict, "restore into database")
        .with("target", options.location())
        .with("holds", found.join(", "));
    match mark {
        Some(mark) => error.with("comment", mark).hint(
            "This is what an interrupted restore of another snapshot left behind. Drop that \
             database and restore again.",
        ),
        None => error.hint("Restore into a new database name, or into an empty database."),
    }
}

/// Connects to a database that exists on every server.
pub(crate) async fn maintenance(options: &ConnectOptions) -> Result<Client> {
    let mut last = None;
    for name in MAINTENANCE {
        match Client::connect(&options.clone().with_database(name)).await {
            Ok(client) => return Ok(client),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::new(ErrorKind::SourceUnavailable, "connect to server")))
}

/// A database that this restore created. Unless it is kept, dropping this value drops the
/// database: a failed or cancelled restore leaves nothing that looks like a result.
pub(super) struct Created {
    options: ConnectOptions,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server was asked to create it and has not answered yet.
    Asked,
    /// It is there, unfinished.
    There,
    /// Not ours to drop: finished, kept, or never made.
    LetGo,
}

impl Created {
    /// Creates the database from `template0` with the source's encoding and locale, and marks
    /// it as unfinished.
    pub(super) async fn create(
        options: &ConnectOptions,
        locale: &Locale,
        snapshot: &str,
    ) -> Result<Self> {
        let mut client = maintenance(options).await?;
        let sql = create_statement(options.database(), locale, client.server_version_num());
        let mut created = Self { options: options.clone(), stage: Stage::Asked };
        if let Err(error) = client.execute(&sql).await {
            created.stage = Stage::LetGo;
            if sqlstate(&error).is_some_and(|state| TAKEN.contains(&state)) {
                return Err(Error::new(ErrorKind::Conflict, "create database")
                    .with("target", options.location())
                    .temporary()
                    .hint(
                        "It was created at this moment by another restore, or for one that was \
                         just killed. If no other restore runs, run the same command again.",
                    )
                    .because(error));
            }
            return Err(error.hint(
                "The server must know the source's locale and the role needs CREATEDB; else \
                 create an empty database yourself and restore into it.",
            ));
        }
        created.stage = Stage::There;
        let comment = format!(
            "COMMENT ON DATABASE {} IS {}",
            quote_ident(options.database()),
            quote_literal(&mark(snapshot))
        );
        client.execute(&comment).await?;
        client.close().await;
        Ok(created)
    }

    /// Drops what a killed restore left behind and creates the database again.
    ///
    /// Fails with `Conflict` while sessions are connected to it: another restore may be at work.
    pub(super) async fn replace(
        options: &ConnectOptions,
        locale: &Locale,
        snapshot: &str,
    ) -> Result<Self> {
        let mut client = maintenance(options).await?;
        let drop = format!("DROP DATABASE IF EXISTS {}", quote_ident(options.database()));
        match client.execute(&drop).await {
            Err(error) if sqlstate(&error) == Some(IN_USE) => {
                return Err(Error::new(ErrorKind::Conflict, "replace unfinished database")
                    .with("target", options.location())
                    .temporary()
                    .hint(
                        "Another restore is writing there, or sessions of a killed one have not \
                         ended yet. Wait for them and run the same command again.",
                    )
                    .because(error));
            }
            result => result?,
        };
        client.close().await;
        Self::create(options, locale, snapshot).await
    }

    /// Keeps the database: the restore is done.
    pub(super) fn keep(mut self) {
        self.stage = Stage::LetGo;
    }

    /// Drops the database now; the error says so when that fails.
    pub(super) async fn remove(mut self) -> Result<()> {
        self.stage = Stage::LetGo;
        drop_database(&self.options).await
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        let stage = self.stage;
        if stage != Stage::LetGo
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let options = self.options.clone();
            runtime.spawn(async move {
                if stage == Stage::Asked {
                    // The request is being cancelled; it may still win.
                    tokio::time::sleep(SETTLE).await;
                }
                if let Err(error) = drop_database(&options).await {
                    tracing::warn!(%error, "the unfinished database could not be dropped");
                }
            });
        }
    }
}

/// Drops a database, whoever is connected to it; success when there is none.
pub(crate) async fn drop_database(options: &ConnectOptions) -> Result<()> {
    let mut client = maintenance(options).await?;
    let force = if client.server_version_num() >= 130_000 { " WITH (FORCE)" } else { "" };
    let sql = format!("DROP DATABASE IF EXISTS {}{force}", quote_ident(options.database()));
    client.execute(&sql).await?;
    client.close().await;
    Ok(())
}

fn create_statement(name: &str, locale: &Locale, version: u32) -> String {
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {}",
        quote_ident(name),
        quote_literal(&locale.encoding)
    );
    let mut put = |word: &str, value: &str| {
        sql.push_str(&format!(" {word} {}", quote_literal(value)));
    };
    if !locale.collate.is_empty() {
        put("LC_COLLATE", &locale.collate);
        put("LC_CTYPE", &locale.ctype);
    }
    if version < 150_000 {
        return sql;
    }
    match (locale.provider.as_str(), &locale.name) {
        ("icu", Some(name)) => put("ICU_LOCALE", name),
        ("builtin", Some(name)) => put("BUILTIN_LOCALE", name),
        _ => {}
    }
    if let Some(rules) = locale.icu_rules.as_ref().filter(|_| version >= 160_000) {
        put("ICU_RULES", rules);
    }
    sql.push_str(&format!(" LOCALE_PROVIDER {}", locale.provider));
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(provider: &str, name: Option<&str>) -> Locale {
        Locale {
            encoding: "UTF8".into(),
            collate: "C.UTF-8".into(),
            ctype: "C.UTF-8".into(),
            provider: provider.into(),
            name: name.map(str::to_owned),
            icu_rules: Some("&a < b".into()),
        }
    }

    #[test]
    fn databases_are_created_like_their_source() {
        assert_eq!(
            create_statement("a\"b", &locale("libc", None), 140_000),
            "CREATE DATABASE \"a\"\"b\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' \
             LC_CTYPE 'C.UTF-8'"
        );
        let sql = create_statement("x", &locale("icu", Some("de")), 160_000);
        assert!(sql.ends_with("ICU_LOCALE 'de' ICU_RULES '&a < b' LOCALE_PROVIDER icu"), "{sql}");
        let sql = create_statement("x", &locale("builtin", Some("C.UTF-8")), 180_000);
        assert!(sql.contains("BUILTIN_LOCALE 'C.UTF-8'") && sql.ends_with("builtin"), "{sql}");
    }
}
