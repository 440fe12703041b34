//! A look at a database before anything is backed up.

use backup_core::port::{Discovery, SourceFacts};
use backup_core::{ByteSize, Error, ErrorKind, Finding, Result, SourceIdentity};

use crate::catalog::database::Database;
use crate::catalog::grants::Grants;
use crate::catalog::server::{Flavor, Server};
use crate::catalog::tables::{self, Kind, Table};
use crate::logical::backup::check_finished;
use crate::wire::code;
use crate::{Client, ConnectOptions, VitessReading, accounts, error_code};

/// What was seen of server, database and rights.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) server: Server,
    pub(crate) database: Database,
    pub(crate) grants: Grants,
}

/// Looks; changes nothing. A database that is not there, or that this user does not see, is
/// `SourceUnavailable`.
pub(crate) async fn look(client: &mut Client, connect: &ConnectOptions) -> Result<Look> {
    let server = Server::read(client, connect).await?;
    let database = Database::read(client, connect.database()).await?;
    let database = database.ok_or_else(|| {
        Error::new(ErrorKind::SourceUnavailable, "find database")
            .with("database", connect.database())
            .hint("Check the database's name, and that the user may use it.")
    })?;
    // Behind Vitess the server prints what its own programs may.
    let grants = match server.vitess {
        true => Grants::everything(),
        false => Grants::read(client, connect.database()).await?,
    };
    Ok(Look { server, database, grants })
}

impl Look {
    pub(crate) fn facts(&self, connect: &ConnectOptions) -> SourceFacts {
        SourceFacts {
            identity: SourceIdentity {
                engine: crate::ENGINE.to_owned(),
                system: self.server.system.clone(),
                database: connect.database().to_owned(),
            },
            database: connect.database().to_owned(),
            server_version: self.server.version.clone(),
            estimated_bytes: self.database.bytes,
            location: connect.location(),
        }
    }

    /// The dictionary shows a user only the tables that it has some right to: whoever may not
    /// read the whole database may not even know what is missing.
    pub(crate) fn check_readable(&self, database: &str) -> Result<()> {
        if self.grants.may("SELECT") {
            return Ok(());
        }
        Err(Error::new(ErrorKind::SourceUnavailable, "read database")
            .with("database", database)
            .with("user", &self.grants.account)
            .because("the user may not read every table of it, and does not see those it may not")
            .hint(self.grants.statement(NEEDED, Some(database))))
    }
}

/// Connects to the database; where the user may not enter it, the error says what to grant.
pub(crate) async fn enter(connect: &ConnectOptions) -> Result<Client> {
    let error = match Client::connect(connect).await {
        Err(error) if error_code(&error) == Some(code::ACCESS_DENIED_DATABASE) => error,
        entered => return entered,
    };
    let Ok(mut client) = Client::connect_to_server(connect).await else { return Err(error) };
    let grants = Grants::read(&mut client, connect.database()).await;
    client.close().await;
    let Ok(grants) = grants else { return Err(error) };
    Err(Error::new(ErrorKind::SourceUnavailable, "enter database")
        .with("database", connect.database())
        .with("user", &grants.account)
        .because(error)
        .hint(format!(
            "If there is such a database: {} {}",
            grants.statement(NEEDED, Some(connect.database())),
            grants.statement("RELOAD, PROCESS", None)
        )))
}

/// What a backup of everything needs of one database.
const NEEDED: &str = "SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES";

/// Looks at a database without changing anything: what it is, whether a backup would work, and
/// what it would not cover.
pub async fn discover(connect: &ConnectOptions) -> Result<Discovery> {
    let mut client = enter(connect).await?;
    let look = look(&mut client, connect).await?;
    let tables = tables::read(&mut client, connect.database()).await?;
    client.close().await;
    let database = connect.database();
    let plain = tables.iter().filter(|table| table.kind == Kind::Plain).count();
    let mut findings = vec![Finding::note(format!(
        "{}, database {database} of {}, {plain} tables, character set {}, collation {}",
        look.server.title(),
        ByteSize(look.database.bytes),
        look.database.charset,
        look.database.collation
    ))];
    let finished = check_finished(&tables, database);
    for error in [look.check_readable(database), tables::check_sound(&tables), finished] {
        if let Err(error) = error {
            findings.push(Finding::suspect(format!(
                "no backup is possible yet: {error}. {}",
                error.remedy().unwrap_or_default()
            )));
        }
    }
    if look.server.vitess {
        findings.push(behind_vitess(connect));
    } else {
        findings.push(instant(&look, database));
    }
    findings.extend(coverage(&look, database, &tables));
    if !look.server.vitess {
        findings.push(log(&look.server));
    }
    findings.push(Finding::note(format!(
        "the server's sql_mode is {}",
        match look.server.variable("sql_mode") {
            "" => "empty: it changes values silently that do not fit",
            mode => mode,
        }
    )));
    Ok(Discovery { facts: look.facts(connect), findings })
}

/// Says whether the server's accounts can be kept too; changes nothing.
pub async fn discover_accounts(connect: &ConnectOptions) -> Result<Finding> {
    let mut client = Client::connect(connect).await?;
    let seen = accounts::check_readable(&mut client).await;
    client.close().await;
    Ok(match seen {
        Ok(()) => Finding::note("the server's accounts and grants are kept as well"),
        Err(error) => Finding::suspect(format!(
            "no backup is possible yet: {error}. {}",
            error.remedy().unwrap_or_default()
        )),
    })
}

/// What can be read behind Vitess.
fn behind_vitess(connect: &ConnectOptions) -> Finding {
    match connect.vitess() {
        VitessReading::ByCopy => Finding::note(
            "behind Vitess no transaction is long enough to be one instant of a database: a branch \
             restored from a backup is read, which nobody writes to",
        ),
        VitessReading::Frozen => {
            Finding::note("read behind Vitess as a copy that nobody writes to, which is proved")
        }
        VitessReading::Fuzzy => Finding::warning(
            "fuzzy (fuzzy=true): each piece is read as it is at its own time. No snapshot of it is \
             one instant, all are suspect, and none counts as a protection",
        ),
        VitessReading::Refused => Finding::warning(
            "no backup is possible of this address: behind Vitess no transaction is long enough to \
             be one instant of a database. With PlanetScale's service token a branch restored from a \
             backup is read (docs/providers/planetscale-mysql.md)",
        ),
    }
}

/// How one instant can be had.
fn instant(look: &Look, database: &str) -> Finding {
    let grants = &look.grants;
    if grants.may_everywhere("RELOAD") {
        return Finding::note("commits are held back for a moment (RELOAD), and read in parallel");
    }
    if grants.may("LOCK TABLES") {
        return Finding::note(format!(
            "the database's tables are locked for a moment (LOCK TABLES), and read in parallel; \
             with RELOAD nobody's long transaction would be waited for: {}",
            grants.statement("RELOAD", None)
        ));
    }
    Finding::warning(format!(
        "the user has neither RELOAD nor LOCK TABLES: rows are read by one session alone. {} or {}",
        grants.statement("RELOAD", None),
        grants.statement("LOCK TABLES", Some(database))
    ))
}

/// Returns what a backup of these tables does not cover, or covers with a "but".
pub(crate) fn coverage(look: &Look, database: &str, tables: &[Table]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if look.server.flavor == Flavor::MariaDb {
        findings.push(Finding::note(
            "MariaDB does not tell an identifier of its own; its server_id and location stand in \
             for it",
        ));
    }
    let lacks = |privilege: &&str| !look.grants.may(privilege);
    let hidden: Vec<&str> = ["SHOW VIEW", "TRIGGER", "EVENT"].into_iter().filter(lacks).collect();
    if !hidden.is_empty() {
        findings.push(Finding::warning(format!(
            "the user lacks {}: views, triggers or events that it does not see are not covered. {}",
            hidden.join(", "),
            look.grants.statement(&hidden.join(", "), Some(database))
        )));
    }
    if !look.grants.may_everywhere("SELECT") && !look.grants.may("EXECUTE") {
        findings.push(Finding::warning(format!(
            "the user does not see routines that are others': they are not covered. {}",
            match look.server.flavor {
                Flavor::MariaDb => look.grants.statement("SELECT", None),
                Flavor::MySql => look.grants.statement("SHOW_ROUTINE", None),
            }
        )));
    }
    if !look.grants.may_everywhere("PROCESS") {
        findings.push(Finding::note(format!(
            "tables that are alike and swap their names (RENAME) while rows are read are noticed \
             with PROCESS only. {}",
            look.grants.statement("PROCESS", None)
        )));
    }
    let versioned: Vec<&str> =
        tables.iter().filter(|table| table.versioned).map(|table| table.name.as_str()).collect();
    if !versioned.is_empty() {
        findings.push(Finding::warning(format!(
            "the current rows of {} are covered, the history that the server keeps of them is not",
            versioned.join(", ")
        )));
    }
    for view in tables.iter().filter(|table| table.kind == Kind::View) {
        if let Some(trouble) = &view.trouble {
            findings.push(Finding::warning(format!(
                "view {} is broken at the source: its statement is kept, and whether it can be \
                 made again depends on the target ({trouble})",
                view.name
            )));
        }
    }
    let elsewhere: Vec<String> = tables
        .iter()
        .filter(|table| table.kind == Kind::Plain && !table.holds_rows())
        .map(|table| format!("{} ({})", table.name, table.engine))
        .collect();
    if !elsewhere.is_empty() {
        findings.push(Finding::warning(format!(
            "{} point to rows that are kept elsewhere: their definitions are covered, the rows \
             are not",
            elsewhere.join(", ")
        )));
    }
    let whole: Vec<&str> = tables
        .iter()
        .filter(|table| table.holds_rows() && table.key.is_empty())
        .map(|table| table.name.as_str())
        .collect();
    if !whole.is_empty() {
        findings.push(Finding::note(format!(
            "{} cannot be read by ranges of a key (a primary key of numbers, texts or times): each \
             is one stream",
            whole.join(", ")
        )));
    }
    findings
}

fn log(server: &Server) -> Finding {
    if !server.is_on("log_bin") {
        return Finding::note(
            "the server keeps no binary log; what changed between two backups cannot be had again",
        );
    }
    Finding::note(format!(
        "the binary log is on ({}); its position is recorded with every snapshot, the log itself \
         is not kept",
        server.variable("binlog_format").to_lowercase()
    ))
}
