//! The source: a database opened for one backup.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{PartSink, Source, SourceFacts, SourceOptions};
use backup_core::{
    Error, ErrorKind, ErrorStatus, Event, Evidence, Finding, Fingerprint, Result, SequenceEvidence,
    SnapshotKind, TableEvidence,
};
use futures::TryFutureExt;

use super::instant::{BEHIND_WAITER, Instant, explain};
use super::queue::{Job, Queue};
use super::rows::Reading;
use super::schema::Schema;
use super::{facts, globals, large_objects, schema, stream};
use crate::logical::archive::Archive;
use crate::logical::catalog::database::Database;
use crate::logical::catalog::tables::Table;
use crate::logical::catalog::{objects, sequences};
use crate::logical::discover::{coverage, identity};
use crate::logical::fingerprint;
use crate::logical::hosted::{self, Hosted, Scope};
use crate::logical::names::{SEQUENCES, table_part};
use crate::logical::pooling::refuse_transaction_pooling;
use crate::logical::ranges::Before;
use crate::logical::rate::RateLimit;
use crate::logical::roles::NeededRoles;
use crate::logical::subset;
use crate::tools::{Tool, ToolPaths};
use crate::{Client, ConnectOptions};

/// How long a lock on a table is waited for, unless told otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How often the schema dump is tried again when a schema change got in its way.
const ATTEMPTS: u32 = 10;
/// A table that had this many rows and now has none is suspect.
const MANY_ROWS: u64 = 1000;

/// A PostgreSQL database opened for one logical backup.
///
/// Parts: `schema` (pg_dump archive), `globals` (SQL), `table/<schema>.<name>` (COPY text, one
/// segment per range of heap blocks), `sequences` (JSON lines), `large-objects` (COPY text of
/// oid, offset, bytes) and `large-object-metadata` (JSON lines), the last two only where large
/// objects exist.
pub struct LogicalSource {
    connect: ConnectOptions,
    options: SourceOptions,
    lock_wait: Duration,
    large_objects_in_pieces: bool,
    tables: Vec<String>,
    schemas: Vec<String>,
    hosted: Option<Hosted>,
    scope: Scope,
    pg_dump: Tool,
    database: Database,
    facts: SourceFacts,
}

impl LogicalSource {
    /// Connects, reads what the database is, and finds the client programs; changes nothing.
    ///
    /// Fails with `SourceUnavailable` when the server cannot be reached, with `Unsupported`
    /// when it is older than PostgreSQL 12 or no pg_dump of its major version or newer is
    /// found.
    pub async fn open(
        connect: ConnectOptions,
        tools: &ToolPaths,
        options: &SourceOptions,
    ) -> Result<Self> {
        if options.kind != SnapshotKind::Logical {
            return Err(Error::new(ErrorKind::Unsupported, "open logical source")
                .with("kind", options.kind.as_str()));
        }
        let mut client = Client::connect(&connect).await?;
        let database = Database::read(&mut client, &connect).await?;
        if database.is_pooled {
            refuse_transaction_pooling(&mut client, &connect).await?;
        }
        client.close().await;
        let pg_dump = tools.choose("pg_dump", database.major()).await?;
        let facts = SourceFacts {
            identity: identity(&database),
            database: database.name.clone(),
            server_version: database.server_version.clone(),
            estimated_bytes: database.bytes,
            location: connect.location(),
        };
        let options = options.clone();
        Ok(Self {
            connect,
            options,
            lock_wait: LOCK_WAIT,
            large_objects_in_pieces: false,
            tables: Vec::new(),
            schemas: Vec::new(),
            hosted: None,
            scope: Scope::default(),
            pg_dump,
            database,
            facts,
        })
    }

    /// Copies a database that a host has furnished by these rules.
    #[must_use]
    pub fn hosted(mut self, hosted: Hosted) -> Self {
        self.hosted = Some(hosted);
        self
    }

    /// Leaves out what a snapshot left out, so that a restored copy of it is read alike.
    #[must_use]
    pub(crate) fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Waits at most this long for each lock.
    #[must_use]
    pub fn with_lock_wait(mut self, lock_wait: Duration) -> Self {
        self.lock_wait = lock_wait;
        self
    }

    /// Reads large objects through functions even where the server's pages could be read, so
    /// that their fingerprint can be compared with one that was taken so.
    #[must_use]
    pub(crate) fn with_large_objects_in_pieces(mut self, pieces: bool) -> Self {
        self.large_objects_in_pieces = pieces;
        self
    }

    /// Copies the rows of these tables (`schema.table` or `table`) and schemas only, and no large
    /// objects; everything when both are empty. A name that matches nothing is `NotFound`,
    /// with those near it. The schema is copied whole: a restore takes what the tables need.
    #[must_use]
    pub fn with_only(mut self, tables: Vec<String>, schemas: Vec<String>) -> Self {
        (self.tables, self.schemas) = (tables, schemas);
        self
    }

    fn is_partial(&self) -> bool {
        !self.tables.is_empty() || !self.schemas.is_empty()
    }

    /// Leaves only the tables whose rows are wanted.
    fn narrow(&self, archive: &Archive, tables: &mut Vec<Table>) -> Result<()> {
        let wanted = subset::choose(archive, &self.tables, &self.schemas)?.tables;
        tables.retain(|table| wanted.contains(&(table.schema.clone(), table.name.clone())));
        Ok(())
    }

    /// pg_dump takes its own locks; a schema change that slipped in between makes it wait for
    /// something that waits for us, so that only starting again helps.
    async fn copy(&self, sink: &dyn PartSink) -> Result<Evidence> {
        for attempt in 1.. {
            match self.copy_once(sink).await {
                Ok(evidence) => return Ok(evidence),
                Err(Stop::InTheWay(error)) if attempt < ATTEMPTS => {
                    self.options.observer.on_event(&Event::Retrying {
                        operation: "dump schema".to_owned(),
                        attempt,
                        error: error.to_string(),
                    });
                    sink.start_over().await?;
                }
                Err(Stop::InTheWay(error)) => return Err(error.persistent()),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Failed, "dump schema"))
    }

    async fn copy_once(&self, sink: &dyn PartSink) -> Result<Evidence, Stop> {
        self.phase("take a consistent instant");
        let jobs = self.options.jobs.get();
        let scope = match &self.hosted {
            Some(hosted) => hosted::look(&self.connect, &self.database, hosted).await?,
            None => self.scope.clone(),
        };
        let scope = &scope;
        let mut instant =
            Instant::take(&self.connect, &self.database, scope, jobs, self.lock_wait).await?;
        // Which tables a part of a database is, only its schema can tell.
        let mut early = None;
        if self.is_partial() {
            let schema = self.dump_schema(&instant.snapshot, scope).await?;
            self.narrow(&schema.archive, &mut instant.tables)?;
            early = Some(schema);
        }
        scope.check_hypertables(&instant.tables)?;
        let mut findings = self.findings(&instant.tables);
        findings.extend(self.hosted.iter().flat_map(|_| scope.findings()));

        self.phase("copy rows");
        let rate = RateLimit::new(self.options.max_rate);
        let queue = self.queue(&instant.tables, sink);
        let reading = Reading {
            queue: &queue,
            sink,
            observer: &*self.options.observer,
            rate: &rate,
            encoding: &self.database.locale.encoding,
        };
        // What pg_dump and the holder do takes as long as some segments: side by side.
        let beside = self.beside_rows(&mut instant.holder, &instant.snapshot, scope, early, sink);
        let rows = reading.run(&mut instant.readers).map_err(Stop::from);
        let (beside, mut tables) = futures::future::try_join(beside, rows).await?;
        let mut facts = beside.facts;
        findings.extend(beside.findings);
        let large_objects = if self.is_partial() {
            large_objects::Copied::default()
        } else {
            large_objects::write(
                &mut instant.holder,
                &mut instant.readers,
                &self.database,
                sink,
                &*self.options.observer,
                &rate,
                self.large_objects_in_pieces,
            )
            .await?
        };
        facts.insert("large_objects".to_owned(), large_objects.count.to_string());
        let read = if large_objects.direct { "pages" } else { "pieces" };
        facts.insert("large_objects_read".to_owned(), read.to_owned());
        still_there(&mut instant.holder).await?;
        instant.release().await;

        findings.extend(doubts(&tables, queue.jobs()));
        tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        for finding in &findings {
            self.options.observer.on_event(&Event::Found(finding.clone()));
        }
        Ok(Evidence {
            server_version: self.database.server_version.clone(),
            schema_tool_version: self.pg_dump.version.clone(),
            tables,
            sequences: beside.sequences,
            objects: beside.objects,
            schema: Some(beside.fingerprint),
            large_objects: large_objects.fingerprint,
            tree: None,
            findings,
            facts,
        })
    }

    async fn dump_schema(&self, snapshot: &str, scope: &Scope) -> Result<Schema, Stop> {
        let schema = schema::dump(
            &self.pg_dump,
            &self.connect,
            Some(snapshot),
            &self.database.locale.encoding,
            BEHIND_WAITER.min(self.lock_wait),
            scope,
        );
        let mut schema = schema.await.map_err(|error| match error.status() {
            ErrorStatus::Temporary => Stop::InTheWay(error),
            _ => Stop::Failed(error.persistent()),
        })?;
        if let Some(hosted) = &self.hosted {
            schema.trim(hosted, scope);
        }
        Ok(schema)
    }

    /// Writes schema, globals and sequences, and counts objects; `early` is the schema where it
    /// is known already.
    async fn beside_rows(
        &self,
        holder: &mut Client,
        snapshot: &str,
        scope: &Scope,
        early: Option<Schema>,
        sink: &dyn PartSink,
    ) -> Result<Beside, Stop> {
        let observer = &*self.options.observer;
        let schema = match early {
            Some(schema) => schema,
            None => self.dump_schema(snapshot, scope).await?,
        };
        schema.write(sink, observer).await?;
        let mut facts = facts::read(holder, &self.database).await?;
        scope.to_facts(&mut facts)?;
        NeededRoles::of(&schema.archive).to_facts(&mut facts);
        let fingerprint = fingerprint::of_schema(&schema.archive);
        let mut findings = schema.findings;
        let pg_dumpall = self.pg_dump.sibling("pg_dumpall");
        findings.extend(globals::write(holder, &pg_dumpall, &self.connect, sink, observer).await?);
        Ok(Beside {
            findings,
            facts,
            fingerprint,
            sequences: self.sequences(holder, scope, sink).await?,
            objects: objects::count(holder, scope).await?,
        })
    }

    fn queue(&self, tables: &[Table], sink: &dyn PartSink) -> Queue {
        let jobs = tables.iter().filter(|table| table.has_rows()).map(|table| {
            let previous = sink.previous(&table_part(&table.schema, &table.name));
            let before = previous.map(|part| Before::from_attributes(&part.attributes));
            Job::plan(table.clone(), before.unwrap_or_default())
        });
        Queue::new(jobs.collect())
    }

    async fn sequences(
        &self,
        holder: &mut Client,
        scope: &Scope,
        sink: &dyn PartSink,
    ) -> Result<Vec<SequenceEvidence>> {
        let mut listed = sequences::list(holder).await?;
        listed.retain(|sequence| scope.has_sequence(sequence));
        let sequences = sequences::read(holder, &self.database.user, &listed).await?;
        let mut lines = Vec::new();
        for sequence in &sequences {
            serde_json::to_writer(&mut lines, sequence).map_err(|error| {
                Error::new(ErrorKind::Failed, "describe sequence").because(error)
            })?;
            lines.push(b'\n');
        }
        let attributes = stream::attributes([("count", sequences.len().to_string())]);
        stream::write(sink, &*self.options.observer, SEQUENCES, &lines, attributes).await?;
        Ok(sequences.into_iter().map(sequences::Sequence::into_evidence).collect())
    }

    fn findings(&self, tables: &[Table]) -> Vec<Finding> {
        let database = &self.database;
        let mut findings = coverage(database, tables);
        if self.pg_dump.major != database.major() {
            findings.push(Finding::note(format!(
                "the schema was written by {} from a server of version {}; restoring it into the \
                 older version may need changes",
                self.pg_dump.version, database.server_version
            )));
        }
        if !tables.iter().any(Table::has_rows) {
            findings.push(Finding::suspect(format!(
                "database {} has no tables; is this the right database?",
                database.name
            )));
        }
        findings
    }

    fn phase(&self, phase: &str) {
        self.options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
    }
}

#[async_trait]
impl Source for LogicalSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        self.copy(sink).await.map_err(|error| explain(error, &self.database))
    }
}

/// Why an attempt ended.
enum Stop {
    /// A schema change stands in pg_dump's way, and waits for this backup's locks.
    InTheWay(Error),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What is read while the rows are.
struct Beside {
    findings: Vec<Finding>,
    facts: BTreeMap<String, String>,
    fingerprint: Fingerprint,
    sequences: Vec<SequenceEvidence>,
    objects: BTreeMap<String, u64>,
}

/// The locks and the snapshot were held to the end only if their session is still alive.
async fn still_there(holder: &mut Client) -> Result<()> {
    holder.execute("COMMIT").await.map(drop)
}

fn doubts(tables: &[TableEvidence], jobs: &[Job]) -> Vec<Finding> {
    let emptied = tables
        .iter()
        .zip(jobs)
        .filter(|(table, job)| table.rows == 0 && job.before.rows >= MANY_ROWS);
    emptied
        .map(|(table, job)| {
            Finding::suspect(format!(
                "{}.{} has no rows; it had {} in the previous snapshot",
                table.schema, table.name, job.before.rows
            ))
        })
        .collect()
}
