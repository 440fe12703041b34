//! The target: a database opened for one restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    PartSource, RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target,
};
use backup_core::{Error, ErrorKind, Finding, Result, Snapshot, SnapshotKind};
use futures::FutureExt;

use super::accounts::{self, Accounts};
use super::foreign;
use super::make::{self, How};
use super::part::{TablePart, read_part};
use super::place::{self, Claim, Place, Written, finish_unfinished};
use super::report::Report;
use super::rows::{self, Manner, Way};
use super::session::writing;
use super::subset::Subset;
use super::vitess;
use crate::accounts::{Reach, RoleMap};
use crate::catalog::server::Server;
use crate::logical::names::SCHEMA;
use crate::schema::{self, CreateTable, Item, Kind};
use crate::{Client, ConnectOptions, error_code, quote_name};

/// A MySQL or MariaDB database to restore one logical snapshot into: created when missing, accepted
/// when empty, made anew when a killed restore of the same snapshot had left it, refused
/// otherwise.
///
/// A database that the restore created is dropped again when the restore fails; in one that was
/// there before what the restore made is dropped. One restore has a target at a time: another is
/// a `Conflict`.
pub struct LogicalTarget {
    pub(super) connect: ConnectOptions,
    pub(super) options: RestoreOptions,
    quiet: bool,
}

impl LogicalTarget {
    /// Takes where to restore to; connects to nothing yet.
    #[must_use]
    pub fn new(connect: ConnectOptions, options: RestoreOptions) -> Self {
        Self { connect, options, quiet: false }
    }

    /// Switches events off, so that a copy that is only looked at stays as it is.
    #[must_use]
    pub fn with_events_off(mut self) -> Self {
        self.quiet = true;
        self
    }

    pub(super) async fn prepare(&self, snapshot: &Snapshot) -> Result<(Client, Server, Place)> {
        if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != crate::ENGINE {
            return Err(Error::new(ErrorKind::Unsupported, "restore into a MySQL database")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine)
                .hint("Restore it into a database of its own engine."));
        }
        let mut client = Client::connect_to_server(&self.connect).await?;
        let server = Server::read(&mut client, &self.connect).await?;
        if server.vitess {
            let place = vitess::look(&mut client, &self.connect).await?;
            return Ok((client, server, place));
        }
        accounts::check_possible(&mut client, &self.connect, &server, snapshot, &self.options)
            .await?;
        let place = place::look(&mut client, &self.connect, snapshot).await?;
        Ok((client, server, place))
    }

    pub(super) fn findings(&self, snapshot: &Snapshot, server: &Server, way: Way) -> Vec<Finding> {
        let mut findings = Vec::new();
        let from = &snapshot.evidence.schema_tool_version;
        if *from != server.series() {
            findings.push(Finding::note(format!(
                "the snapshot is of {from}, the target is {}: what one of them does not know is \
                 an error",
                server.series()
            )));
        }
        if let Way::Pieces { .. } = way {
            findings.push(Finding::note(
                "behind Vitess rows are inserted in small statements of their own, and what it does not \
                 take is refused before anything is written",
            ));
        }
        if let Way::Insert { .. } = way {
            findings.push(Finding::note(
                "the server takes no files from clients (local_infile is off): rows are inserted, \
                 which takes longer",
            ));
        }
        findings.extend(accounts::findings(snapshot, &self.options));
        findings
    }

    async fn carry_out(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        undo: &mut Undo,
    ) -> Result<RestoreReport> {
        if let Some(done) = self.carry_out_in_pieces(snapshot, parts, undo).await? {
            return Ok(done);
        }
        let options = &self.options;
        let facts = &snapshot.evidence.facts;
        let mut report = Report::new(&*options.observer);
        report.phase("check target");
        undo.claim = Some(Claim::take(&self.connect).await?);
        let (mut client, server, place) = self.prepare(snapshot).await?;
        let way = rows::way(&mut client, &server).await?;
        for finding in self.findings(snapshot, &server, way) {
            report.found(finding);
        }
        let database = facts.get("database").map_or("", String::as_str);
        let items = read_schema(&**parts, snapshot, database).await?;
        let subset = Subset::choose(&items, database, &options.tables, &options.schemas)?;
        let tables = tables_of(&**parts, &subset, &items)?;
        check_complete(&items, &tables, &subset)?;
        let chosen: Vec<&Item> = items.iter().filter(|item| subset.has(item)).collect();
        place::check_names(&chosen)?;
        if place == Place::Leftover {
            place::check_leftover(&mut client, &self.connect, &items).await?;
        }

        report.phase("create database and schema");
        let written = &mut undo.written;
        let doubtful = place::prepare(&mut client, &self.connect, place, snapshot, written).await?;
        if !doubtful.is_empty() {
            report.found(Finding::warning(format!(
                "accounts that the killed restore was about to make are there, and somebody else \
                 may have made them: they stay as they are: {}",
                doubtful.join(", ")
            )));
        }
        let made = &mut undo.made;
        client.close().await;
        let mut client = writing(&self.connect, facts).await?;
        let to = Some(self.connect.database());
        let roles = RoleMap::new(&options.role_map);
        let (no_owner, quiet) = (options.no_owner, self.quiet);
        let how = How { from: database, to, no_owner, roles: &roles, quiet };
        let (map, to_server) = (&roles, (&self.connect, &server));
        let mut accounts =
            Accounts::plan(&mut client, to_server, snapshot, &**parts, &chosen, map, options)
                .await?;
        for finding in accounts.make(&mut client, &self.connect).await? {
            report.found(finding);
        }
        let of = |kinds: &[Kind]| -> Vec<&Item> {
            chosen.iter().copied().filter(|item| kinds.contains(&item.kind)).collect()
        };
        make::all(&mut client, &of(&[Kind::Sequence]), how, made).await?;
        let mut later = Vec::new();
        let (elsewhere, own): (Vec<&Item>, Vec<&Item>) =
            of(&[Kind::Table]).into_iter().partition(|item| item.points_elsewhere());
        for item in own {
            let staged = CreateTable::parse(&item.sql).map(|table| table.staged());
            let staged = staged.ok_or_else(|| {
                Error::new(ErrorKind::Integrity, "read stored schema").with("table", &item.name)
            })?;
            let first = Item { sql: staged.create.clone(), ..item.clone() };
            make::one(&mut client, &first, how, made).await?;
            later.push((item.name.clone(), staged));
        }
        for item in elsewhere {
            let done = make::one(&mut client, item, how, made).await;
            report.found(Finding::warning(match done {
                Ok(()) => format!(
                    "table {} points to rows that are kept elsewhere: only its definition is \
                     restored, and it may show other rows than at the source",
                    item.name
                ),
                Err(error) if error_code(&error).is_some() => format!(
                    "table {}, which points to rows that are kept elsewhere, is left out: {error}",
                    item.name
                ),
                Err(error) => return Err(error),
            }));
        }
        let programs = [Kind::Function, Kind::Procedure, Kind::Package, Kind::PackageBody];
        make::all(&mut client, &of(&programs), how, made).await?;

        report.phase("load rows and build indexes");
        let staged: BTreeMap<&str, &schema::Staged> =
            later.iter().map(|(table, staged)| (table.as_str(), staged)).collect();
        let index = |at: usize| {
            let table = tables.get(at).map_or("", |table| table.table.as_str());
            let clauses = staged.get(table).map_or(&[][..], |staged| staged.indexes.as_slice());
            self.index(snapshot, table, clauses).boxed()
        };
        let (jobs, observer) = (options.jobs, &*options.observer);
        let manner = Manner { way, jobs, observer };
        let loaded = rows::load(&self.connect, facts, parts, &tables, manner, &index).await?;
        report.inner.tables = tables.len() as u64;
        report.inner.rows = loaded.rows;
        report.inner.bytes = loaded.bytes;

        report.phase("add constraints");
        for (table, staged) in &later {
            for finding in self.foreign_keys(&mut client, table, staged, &subset).await? {
                report.found(finding);
            }
        }
        for finding in foreign::check(&mut client, self.connect.database()).await? {
            report.found(finding);
        }
        for (view, error) in make::all(&mut client, &of(&[Kind::View]), how, made).await? {
            let why = chosen.iter().find(|item| item.kind == Kind::View && item.name == view);
            let why = why.and_then(|item| item.why_missing()).unwrap_or_default();
            report.found(Finding::warning(format!(
                "view {view} is left out: {why}, and cannot be made here ({error}); export writes \
                 its statement"
            )));
        }
        make::all(&mut client, &of(&[Kind::Trigger]), how, made).await?;
        make::all(&mut client, &of(&[Kind::Event]), how, made).await?;
        for finding in accounts.give(&mut client, &[Reach::Object]).await? {
            report.found(finding);
        }
        if self.quiet && chosen.iter().any(|item| item.kind == Kind::Event) {
            report.found(Finding::note("events are switched off in this copy"));
        }
        finish_unfinished(&mut client, &self.connect).await?;
        client.close().await;
        Ok(report.finish())
    }

    /// Adds a table's foreign keys; what is left out is told.
    async fn foreign_keys(
        &self,
        client: &mut Client,
        table: &str,
        staged: &schema::Staged,
        subset: &Subset,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let (kept, left): (Vec<_>, Vec<_>) =
            staged.foreign_keys.iter().partition(|key| subset.has_parent(key));
        for key in left {
            findings.push(Finding::warning(format!(
                "a foreign key of {table} is left out: it references {}, which is not restored",
                key.parent()
            )));
        }
        let (own, others): (Vec<_>, Vec<_>) = kept.into_iter().partition(|k| k.database.is_none());
        let clauses: Vec<String> = own.into_iter().map(|key| key.clause.clone()).collect();
        alter(client, table, &clauses).await?;
        for key in others {
            match alter(client, table, std::slice::from_ref(&key.clause)).await {
                Err(error) if error_code(&error).is_some() => {
                    findings.push(Finding::warning(format!(
                        "a foreign key of {table} is left out: it references {}, of another \
                         database, and the server does not take it ({error})",
                        key.parent()
                    )));
                }
                done => done?,
            }
        }
        Ok(findings)
    }

    /// Adds a table's indexes, all at once: the server reads it once.
    async fn index(&self, snapshot: &Snapshot, table: &str, clauses: &[String]) -> Result<()> {
        if clauses.is_empty() {
            return Ok(());
        }
        let mut client = writing(&self.connect, &snapshot.evidence.facts).await?;
        // Here a unique index is to find what is there twice.
        client.execute("SET SESSION unique_checks = 1").await?;
        alter(&mut client, table, clauses).await?;
        client.close().await;
        Ok(())
    }
}

pub(super) async fn alter(client: &mut Client, table: &str, clauses: &[String]) -> Result<()> {
    if clauses.is_empty() {
        return Ok(());
    }
    let sql = format!("ALTER TABLE {} {}", quote_name(table), clauses.join(", "));
    client.execute(&sql).await.map_err(|error| {
        Error::new(ErrorKind::Failed, "build indexes and constraints")
            .with("table", table)
            .because(error)
    })
}

/// Reads the stored statements, which must be those that the manifest vouches for.
pub(crate) async fn read_schema(
    parts: &dyn PartSource,
    snapshot: &Snapshot,
    database: &str,
) -> Result<Vec<Item>> {
    let text = read_part(parts, SCHEMA).await?.unwrap_or_default();
    let items = schema::parse(&text)?;
    let vouched = snapshot.evidence.schema;
    if vouched.is_some_and(|vouched| vouched != schema::fingerprint(&items, database)) {
        return Err(Error::new(ErrorKind::Integrity, "compare stored schema with manifest")
            .with("snapshot", snapshot.id.short())
            .hint("The stored schema is not the one that was read from the source."));
    }
    Ok(items)
}

/// Returns the tables that rows are loaded into: never those whose rows are kept elsewhere, where
/// loading would write to.
pub(super) fn tables_of(
    parts: &dyn PartSource,
    subset: &Subset,
    items: &[Item],
) -> Result<Vec<TablePart>> {
    let elsewhere: Vec<&Item> = items.iter().filter(|item| item.points_elsewhere()).collect();
    let mut tables = Vec::new();
    for part in parts.parts() {
        let wanted = |table: &TablePart| {
            subset.has_table(&table.table) && !elsewhere.iter().any(|i| i.name == table.table)
        };
        tables.extend(TablePart::read(part)?.filter(wanted));
    }
    Ok(tables)
}

/// A table without rows' part would come back empty.
pub(super) fn check_complete(items: &[Item], tables: &[TablePart], subset: &Subset) -> Result<()> {
    let lacks = items.iter().find(|item| {
        item.kind == Kind::Table
            && subset.has(item)
            && !item.points_elsewhere()
            && !tables.iter().any(|table| table.table == item.name)
    });
    match lacks {
        None => Ok(()),
        Some(item) => Err(Error::new(ErrorKind::Integrity, "read snapshot")
            .with("table", &item.name)
            .because("its rows are not in the snapshot")),
    }
}

#[async_trait]
impl Target for LogicalTarget {
    fn location(&self) -> String {
        self.connect.location()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        let (mut client, server, place) = self.prepare(snapshot).await?;
        let way = rows::way(&mut client, &server).await?;
        client.close().await;
        let wanted = |table: &&TablePart| {
            let full = format!("{}.{}", snapshot.identity.database, table.table);
            let names = &self.options.tables;
            names.is_empty() || names.contains(&full) || names.contains(&table.table)
        };
        let mut tables = Vec::new();
        for part in &snapshot.parts {
            tables.extend(TablePart::read(part)?);
        }
        let tables: Vec<&TablePart> = tables.iter().filter(wanted).collect();
        let mut plan = RestorePlan {
            findings: self.findings(snapshot, &server, way),
            bytes: tables.iter().map(|table| table.bytes).sum(),
            tables: tables.len() as u64,
            ..RestorePlan::default()
        };
        let mut step = |action: &str, detail: String| {
            plan.steps.push(RestoreStep { action: action.to_owned(), detail });
        };
        let facts = &snapshot.evidence.facts;
        let set = facts.get("collate").cloned().unwrap_or_default();
        match place {
            Place::Missing => {
                step("create database", format!("{}, collation {set}", self.location()));
            }
            Place::Empty(_) => step("use empty database", self.location()),
            Place::Leftover => step("replace unfinished database", self.location()),
        }
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        let way = if way == Way::Load { "LOAD DATA LOCAL" } else { "INSERT" };
        if let Some(count) = accounts::wanted(snapshot, &self.options) {
            step("create accounts", format!("of the snapshot's {count}, those that are missing"));
        }
        step("create tables", format!("{} tables, without foreign keys", tables.len()));
        step("load rows", format!("{rows} rows by {way}, {} at a time", self.options.jobs));
        step("build indexes", "and foreign keys, whose rows are then checked".to_owned());
        step("create views, triggers and events", "last, so that none of them acts".to_owned());
        Ok(plan)
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let mut undo = Undo::new(&self.connect);
        let done = self.carry_out(snapshot, &parts, &mut undo).await;
        let Err(error) = done else {
            undo.keep().await;
            return done;
        };
        match undo.take_back().await {
            Ok(()) => Err(error),
            Err(left) => Err(error.with("left behind", left)),
        }
    }
}

/// Takes back what was written when the restore fails, or is dropped half way.
pub(super) struct Undo {
    connect: ConnectOptions,
    /// Nobody else restores into the target before everything is taken back.
    claim: Option<Claim>,
    pub(super) written: Written,
    /// Objects that were made, in order.
    pub(super) made: Vec<(Kind, String)>,
}

impl Undo {
    fn new(connect: &ConnectOptions) -> Self {
        let (claim, written) = (None, Written::Nothing);
        Self { connect: connect.clone(), claim, written, made: Vec::new() }
    }

    /// What was written stays.
    async fn keep(&mut self) {
        self.written = Written::Nothing;
        if let Some(claim) = self.claim.take() {
            claim.give_back().await;
        }
    }

    async fn take_back(&mut self) -> Result<()> {
        let done = match std::mem::take(&mut self.written) {
            Written::Nothing => Ok(()),
            Written::Contents(before) => place::empty(&self.connect, &before, &self.made).await,
            Written::Database => place::undo_database(&self.connect).await,
        };
        self.keep().await;
        done
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if self.written == Written::Nothing && self.claim.is_none() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut rest = Self::new(&self.connect);
        rest.claim = self.claim.take();
        rest.written = std::mem::take(&mut self.written);
        rest.made = std::mem::take(&mut self.made);
        // A leftover is known by its mark, and made anew by the same restore.
        runtime.spawn(async move {
            let _ = rest.take_back().await;
        });
    }
}
