//! The source: a database opened for one backup.

use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{PartSink, Source, SourceFacts, SourceOptions};
use backup_core::{
    Error, ErrorKind, Event, Evidence, Finding, Layout, PartName, Result, SequenceEvidence,
    SnapshotKind, TableEvidence,
};

use super::facts;
use super::instant::{Freeze, Moment};
use super::queue::Queue;
use super::rows::{Reading, order};
use super::select::reading;
use super::vitess;
use crate::catalog::objects;
use crate::catalog::storage::Numbers;
use crate::catalog::tables::{self, Kind, Table};
use crate::logical::discover::{Look, coverage, enter, look};
use crate::logical::names::{ACCOUNTS, MADE_ACCOUNTS, MARK, SCHEMA, is_mark, table_part};
use crate::logical::rate::RateLimit;
use crate::schema::{self, CreateTable, Item};
use crate::wire::code;
use crate::{Client, ConnectOptions, accounts, error_code};

/// How long a lock is waited for, unless told otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How often it begins again when a change of the schema got in its way.
const ATTEMPTS: u32 = 3;
/// A table that had this many rows and now has none is suspect.
const MANY_ROWS: u64 = 1000;

/// A MySQL or MariaDB database opened for one logical backup.
pub struct LogicalSource {
    pub(super) connect: ConnectOptions,
    pub(super) options: SourceOptions,
    lock_wait: Duration,
    freeze: Option<Freeze>,
    /// Whether the server's accounts are kept too.
    accounts: bool,
    /// The name under which tables are recorded.
    pub(super) title: String,
    pub(super) look: Look,
    facts: SourceFacts,
}

impl LogicalSource {
    /// Connects and reads what the database is; changes nothing.
    ///
    /// Fails with `SourceUnavailable` when the server cannot be reached, there is no such
    /// database or the user may not read all of it, with `Unsupported` when the server is too
    /// old.
    pub async fn open(connect: ConnectOptions, options: &SourceOptions) -> Result<Self> {
        if options.kind != SnapshotKind::Logical {
            return Err(Error::new(ErrorKind::Unsupported, "open logical source")
                .with("kind", options.kind.as_str())
                .hint("Use a logical backup for this source."));
        }
        let mut client = enter(&connect).await?;
        let look = look(&mut client, &connect).await?;
        client.close().await;
        look.check_readable(connect.database())?;
        vitess::check_allowed(&look.server, &connect)?;
        let facts = look.facts(&connect);
        let title = connect.database().to_owned();
        let options = options.clone();
        Ok(Self {
            connect,
            options,
            lock_wait: LOCK_WAIT,
            freeze: None,
            accounts: false,
            title,
            look,
            facts,
        })
    }

    /// Keeps the server's accounts and grants too; `SourceUnavailable` where the user does not see
    /// them.
    pub async fn with_accounts(mut self) -> Result<Self> {
        vitess::check_accounts(&self.look.server)?;
        let mut client = Client::connect(&self.connect).await?;
        accounts::check_readable(&mut client).await?;
        client.close().await;
        self.accounts = true;
        Ok(self)
    }

    /// Waits at most this long for each lock.
    #[must_use]
    pub fn with_lock_wait(mut self, lock_wait: Duration) -> Self {
        self.lock_wait = lock_wait;
        self
    }

    /// Holds commits back in this way and no other.
    #[must_use]
    pub fn with_freeze(mut self, freeze: Freeze) -> Self {
        self.freeze = Some(freeze);
        self
    }

    /// Records tables under another database's name, so that a restored copy can be compared with
    /// its source.
    #[must_use]
    pub(crate) fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    async fn copy(&self, sink: &dyn PartSink) -> Result<Evidence> {
        for attempt in 1.. {
            match self.copy_once(sink).await {
                Err(error) if is_in_the_way(&error) => {
                    if attempt == ATTEMPTS {
                        return Err(error.persistent().hint(
                            "The schema changes again and again: run the backup at another time.",
                        ));
                    }
                    self.options.observer.on_event(&Event::Retrying {
                        operation: "copy a schema that changed".to_owned(),
                        attempt,
                        error: error.to_string(),
                    });
                    sink.start_over().await?;
                }
                done => return done,
            }
        }
        Err(Error::new(ErrorKind::Failed, "copy database"))
    }

    async fn copy_once(&self, sink: &dyn PartSink) -> Result<Evidence> {
        if self.look.server.vitess {
            return self.copy_pieces(sink).await;
        }
        let database = self.connect.database();
        let (server, observer) = (&self.look.server, &*self.options.observer);
        self.phase("take a consistent instant");
        let mut holder = reading(&self.connect, self.lock_wait).await?;
        let before = tables::read(&mut holder, database).await?;
        tables::check_sound(&before)?;
        check_finished(&before, database)?;
        let mut numbers = vec![Numbers::read(&mut holder).await?];
        let jobs = self.options.jobs.get();
        let mut instant =
            Moment::take(&self.connect, server, &before, jobs, self.lock_wait, self.freeze).await?;
        let mut facts = facts::of(server, &self.look.database, database);
        facts.insert("freeze".to_owned(), instant.freeze.as_str().to_owned());
        facts.append(&mut instant.position);

        let tables = tables::read(&mut holder, database).await?;
        same_tables(&before, &tables)?;
        numbers.push(Numbers::read(&mut holder).await?);
        let mut items = schema::read(&mut holder, database, &tables).await?;
        let abroad = other_databases(&mut holder, database, &mut items).await?;
        see_all_columns(&tables, &items)?;
        let objects = objects::count(&mut holder, database, &[]).await?;
        write_schema(sink, &items).await?;
        if self.accounts {
            let records = accounts::read(&mut holder, server).await?;
            facts.insert("accounts".to_owned(), records.len().to_string());
            write_lines(sink, ACCOUNTS, &accounts::write(&records)?, records.len()).await?;
        }

        self.phase("copy rows");
        let rate = RateLimit::new(self.options.max_rate);
        let order = order(&tables);
        let queue = Queue::new(order.into_iter());
        let shared = (&queue, sink, observer, &rate);
        let keeper = instant.take_keeper();
        let base = sink.base().await?;
        let rows = Reading::new(shared, &self.title, &tables, base, keeper);
        let copied = rows.run(&mut instant.readers).await?;

        self.phase("check that nothing changed");
        let after = tables::read(&mut holder, database).await?;
        same_tables(&tables, &after)?;
        not_renamed(&numbers, &Numbers::read(&mut holder).await?, database)?;
        same_schema(&items, &schema::read(&mut holder, database, &after).await?, database)?;
        let mut findings = coverage(&self.look, database, &tables);
        findings.append(&mut instant.findings);
        findings.extend(abroad);
        instant.release().await?;
        holder.close().await;
        findings.extend(doubts(database, &copied, sink));
        for finding in &findings {
            observer.on_event(&Event::Found(finding.clone()));
        }
        Ok(Evidence {
            server_version: server.version.clone(),
            schema_tool_version: server.series(),
            tables: copied,
            sequences: sequences(&self.title, &items),
            objects,
            schema: Some(schema::fingerprint(&items, database)),
            large_objects: None,
            tree: None,
            findings,
            facts,
        })
    }

    pub(super) fn phase(&self, phase: &str) {
        self.options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
    }
}

#[async_trait]
impl Source for LogicalSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        self.copy(sink).await
    }
}

/// What a killed restore left is no database yet, whatever is in it.
pub(crate) fn check_finished(tables: &[Table], database: &str) -> Result<()> {
    let Some(mark) = tables.iter().find(|table| is_mark(&table.name)) else { return Ok(()) };
    Err(Error::new(ErrorKind::SourceUnavailable, "read database")
        .with("database", database)
        .with("it holds", &mark.name)
        .because("a restore into it is under way, or was killed")
        .hint(format!(
            "Wait for it, or give the same restore again. If what is there is wanted as it is, \
             drop its tables {MARK} and {MADE_ACCOUNTS}, as far as they are there."
        )))
}

/// The error by which a changed schema is told.
pub(super) fn changed(what: String) -> Error {
    Error::new(ErrorKind::Failed, "copy a schema that does not change").because(what).temporary()
}

fn is_in_the_way(error: &Error) -> bool {
    let gone = [code::DEFINITION_CHANGED, code::NO_SUCH_TABLE];
    error_code(error).is_some_and(|code| gone.contains(&code))
        || (error.kind() == ErrorKind::Failed
            && error.status() == backup_core::ErrorStatus::Temporary)
}

pub(super) fn same_tables(before: &[Table], after: &[Table]) -> Result<()> {
    let names = |tables: &[Table]| -> Vec<(String, Kind, String)> {
        tables.iter().map(|t| (t.name.clone(), t.kind, t.engine.clone())).collect()
    };
    let (before, after) = (names(before), names(after));
    let only = before.iter().find(|one| !after.contains(one));
    let more = after.iter().find(|one| !before.contains(one));
    match (only, more) {
        (Some((name, ..)), _) => Err(changed(format!("table {name} was dropped or replaced"))),
        (None, Some((name, ..))) => Err(changed(format!("table {name} was created"))),
        (None, None) => Ok(()),
    }
}

/// Two tables that are alike and change names are not noticed otherwise.
fn not_renamed(before: &[Numbers], after: &Numbers, database: &str) -> Result<()> {
    match before.iter().find_map(|before| before.renamed(after, database)) {
        Some((was, is)) => Err(changed(format!("table {was} was renamed to {is}"))),
        None => Ok(()),
    }
}

pub(super) fn same_schema(before: &[Item], after: &[Item], database: &str) -> Result<()> {
    let differences = schema::differences((before, database), (after, database), true);
    match differences.first() {
        None => Ok(()),
        Some(first) => Err(changed(first.clone())),
    }
}

/// The dictionary hides columns from users that may not read them: the statement does not.
pub(super) fn see_all_columns(tables: &[Table], items: &[Item]) -> Result<()> {
    let plain = tables.iter().filter(|table| table.kind == Kind::Plain);
    for table in plain {
        let item = items.iter().find(|i| i.kind == schema::Kind::Table && i.name == table.name);
        let shown = item.and_then(|item| CreateTable::parse(&item.sql)).map(|t| t.columns());
        let listed: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        let missing =
            |shown: &Vec<String>| shown.iter().find(|name| !listed.contains(name)).cloned();
        let why = match shown {
            None => "its statement is not understood".to_owned(),
            Some(shown) => match missing(&shown) {
                Some(column) => format!("column {column} is hidden from this user"),
                None => continue,
            },
        };
        return Err(Error::new(ErrorKind::SourceUnavailable, "read table")
            .with("table", &table.name)
            .because(why)
            .hint("Grant SELECT on the whole database; doctor prints the statement."));
    }
    Ok(())
}

/// Tells of what depends on other databases, which no snapshot of this one holds.
pub(super) async fn other_databases(
    client: &mut Client,
    database: &str,
    items: &mut [Item],
) -> Result<Vec<Finding>> {
    let known = client.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").await?;
    let known: Vec<String> = known.iter().map(|row| row.text(0)).collect();
    let mut findings = Vec::new();
    for item in items {
        let name = item.name.clone();
        if item.kind == schema::Kind::Table
            && let Some(table) = CreateTable::parse(&item.sql)
        {
            for key in table.staged().foreign_keys.iter().filter(|key| key.database.is_some()) {
                findings.push(Finding::warning(format!(
                    "a foreign key of {name} references {}, of another database, which is not \
                     covered",
                    key.parent()
                )));
            }
        }
        if item.kind != schema::Kind::View {
            continue;
        }
        let is_known = |name: &str| known.iter().any(|one| one == name);
        item.others = schema::others(&item.sql, database, is_known).into_iter().collect();
        if !item.others.is_empty() {
            findings.push(Finding::warning(format!(
                "view {name} reads from other databases, which are not covered: {}",
                item.others.join(", ")
            )));
        }
        if schema::moved(&item.sql, database, None).is_none() {
            findings.push(Finding::warning(format!(
                "view {name} uses the name {database} for something else too: restored into a \
                 database of another name it still reads from {database}"
            )));
        }
    }
    Ok(findings)
}

pub(super) async fn write_schema(sink: &dyn PartSink, items: &[Item]) -> Result<()> {
    write_lines(sink, SCHEMA, &schema::write(items)?, items.len()).await
}

async fn write_lines(sink: &dyn PartSink, name: &str, lines: &[u8], count: usize) -> Result<()> {
    let name = PartName::new(name);
    sink.begin_part(&name, Layout::Stream).await?;
    let mut segment = sink.segment(&name, 0).await?;
    segment.write(lines).await?;
    segment.finish().await?;
    let attributes = [("format", "json lines".to_owned()), ("count", count.to_string())];
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
    sink.finish_part(&name, attributes.collect()).await
}

fn sequences(database: &str, items: &[Item]) -> Vec<SequenceEvidence> {
    let of = |item: &Item| {
        Some(SequenceEvidence {
            schema: database.to_owned(),
            name: item.name.clone(),
            last_value: item.next_value?,
            is_called: false,
        })
    };
    items.iter().filter_map(of).collect()
}

pub(super) fn doubts(
    database: &str,
    tables: &[TableEvidence],
    sink: &dyn PartSink,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tables.is_empty() {
        findings.push(Finding::suspect(format!(
            "database {database} has no tables; is this the right database?"
        )));
    }
    for table in tables.iter().filter(|table| table.rows == 0) {
        let previous = sink.previous(&table_part(&table.name));
        let had = previous.and_then(|part| part.attributes.get("rows")?.parse::<u64>().ok());
        if let Some(had) = had.filter(|had| *had >= MANY_ROWS) {
            findings.push(Finding::suspect(format!(
                "{}.{} has no rows, but had {had} before",
                table.schema, table.name
            )));
        }
    }
    findings
}
