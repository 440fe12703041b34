//! The target: a database opened for one restore.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    PartSource, RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target,
};
use backup_core::{Error, ErrorKind, Result, Snapshot, SnapshotKind};

use super::check::{Decision, Needs, check};
use super::database::{Created, Place, look};
use super::program::Program;
use super::report::Report;
use super::schema::Schema;
use super::table::TablePart;
use super::{TemporaryFolder, build, finish, large_objects, rows, sequences};
use crate::logical::catalog::database::Locale;
use crate::logical::catalog::server::{self, Offer};
use crate::logical::roles::{NeededRoles, RoleMap};
use crate::logical::session::prepare_writing;
use crate::tools::{Tool, ToolPaths};
use crate::{Client, ConnectOptions, quote_ident};

/// A PostgreSQL database to restore one logical snapshot into: created when missing, accepted
/// when empty, made anew when a killed restore of the same snapshot had created it, refused
/// otherwise.
///
/// A database that the restore created is dropped again when the restore fails or is
/// cancelled, unless [`LogicalTarget::keep_failed`] says otherwise.
pub struct LogicalTarget {
    connect: ConnectOptions,
    tools: ToolPaths,
    options: RestoreOptions,
    keep_failed: bool,
    analyze: bool,
}

impl LogicalTarget {
    /// Takes where to restore to; connects to nothing yet.
    #[must_use]
    pub fn new(connect: ConnectOptions, tools: ToolPaths, options: RestoreOptions) -> Self {
        Self { connect, tools, options, keep_failed: false, analyze: true }
    }

    /// Leaves a database that this restore created in place when the restore fails, for looking
    /// at it; its comment says that it is unfinished, and the same restore makes it anew.
    #[must_use]
    pub fn keep_failed(mut self, keep: bool) -> Self {
        self.keep_failed = keep;
        self
    }

    /// Gathers the planner's statistics at the end, or not. It does unless told otherwise.
    #[must_use]
    pub fn analyze(mut self, analyze: bool) -> Self {
        self.analyze = analyze;
        self
    }

    /// Refuses a database that is not there to be restored into, before anything that takes time:
    /// `Conflict` when it holds anything but what a killed restore of `snapshot` left.
    pub async fn check_place(&self, snapshot: &Snapshot) -> Result<()> {
        let (_, client) = look(&self.connect, &snapshot.id.to_string()).await?;
        client.close().await;
        Ok(())
    }

    /// Checks everything that can be known without the snapshot's parts.
    async fn prepare(&self, snapshot: &Snapshot) -> Result<(Place, Offer, Decision, Tool)> {
        if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != "postgres" {
            return Err(Error::new(ErrorKind::Unsupported, "restore into a PostgreSQL database")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine));
        }
        let tool = self.tools.choose("pg_restore", major_of(&snapshot.evidence)).await?;
        let (place, mut client) = look(&self.connect, &snapshot.id.to_string()).await?;
        let offer = server::read(&mut client).await?;
        client.close().await;
        let map = RoleMap::new(&self.options.role_map);
        let mut needs = Needs::from_facts(
            &snapshot.evidence.facts,
            NeededRoles::from_facts(&snapshot.evidence.facts, &map),
        );
        needs.extensions.retain(|name| !self.options.without_extensions.contains(name));
        if self.is_partial() {
            // What a part of the schema needs is known once the schema was read.
            needs.roles = NeededRoles::default();
            needs.extensions.clear();
            needs.tablespaces.clear();
        }
        let decision = check(&needs, &offer, &place, &self.options)?;
        Ok((place, offer, decision, tool))
    }

    fn is_partial(&self) -> bool {
        !self.options.tables.is_empty() || !self.options.schemas.is_empty()
    }

    /// The tables of a snapshot that the options ask for; names are judged by the schema later.
    fn wanted(&self, snapshot: &Snapshot) -> Result<Vec<TablePart>> {
        let options = &self.options;
        let mut tables = Vec::new();
        for part in &snapshot.parts {
            let Some(table) = TablePart::read(part)? else { continue };
            let full = format!("{}.{}", table.schema, table.table);
            let wanted = !self.is_partial()
                || options.schemas.contains(&table.schema)
                || options.tables.iter().any(|name| *name == full || *name == table.table);
            if wanted {
                tables.push(table);
            }
        }
        Ok(tables)
    }

    async fn carry_out(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        written: &mut Written,
    ) -> Result<RestoreReport> {
        let mut report = Report::new(&*self.options.observer);
        report.phase("check target");
        let (place, offer, decision, tool) = self.prepare(snapshot).await?;
        let schema = Schema::read(&**parts, &self.options).await?;
        let decision = if self.is_partial() {
            let roles = NeededRoles::of(&schema.archive);
            let needs =
                Needs::from_facts(&snapshot.evidence.facts, roles).narrowed_to(&schema.archive);
            check(&needs, &offer, &place, &self.options)?
        } else {
            decision
        };
        report.found(decision.findings);
        report.found(schema.findings.clone());

        report.phase("create database and schema");
        let locale = Locale::from_facts(&snapshot.evidence.facts);
        let id = snapshot.id.to_string();
        written.created = match place {
            Place::Missing => Some(Created::create(&self.connect, &locale, &id).await?),
            Place::Leftover => Some(Created::replace(&self.connect, &locale, &id).await?),
            Place::Empty { .. } => None,
        };
        let mut client = Client::connect(&self.connect).await?;
        prepare_writing(&mut client).await?;
        written.anything = true;
        create_roles(&mut client, &decision.create_roles, offer.is_superuser).await?;
        let folder = TemporaryFolder::create(&self.tools.temporary())?;
        let tables: Vec<TablePart> = self
            .tables(&**parts, &schema)?
            .into_iter()
            .filter(|table| !self.is_partial() || !table.is_of_extension())
            .filter(|table| {
                let left_out = &self.options.without_extensions;
                table.brought_by.as_ref().is_none_or(|extension| !left_out.contains(extension))
            })
            .collect();
        let plan = build::plan(&schema.archive.entries, &tables, self.analyze);
        let files = schema.write(&folder, &plan.entries)?;
        let program = Program {
            tool: &tool,
            connect: &self.connect,
            options: &self.options,
            no_tablespaces: decision.no_tablespaces,
            server_major: offer.major(),
        };
        report.found(program.finding().into_iter().collect());
        program.before_rows(&files, written.created.is_none()).await?;

        report.phase("load rows");
        let jobs = self.options.jobs.get();
        report.inner.tables = tables.len() as u64;
        let observer = &self.options.observer;
        let loaded =
            rows::load(&self.connect, parts, tables, jobs, self.options.ordered, observer).await?;
        report.inner.rows = loaded.rows;
        report.inner.bytes = loaded.bytes;
        if !self.is_partial() {
            let (_, bytes) = large_objects::restore(&self.connect, parts, &self.options).await?;
            report.inner.bytes += bytes;
        }
        let values = sequences::read(&**parts, schema.sequences().as_ref()).await?;
        sequences::set(&mut client, &values).await?;

        report.phase("build indexes and constraints");
        report.found(build::run(&self.connect, &plan, jobs, !decision.no_tablespaces).await?);
        program.after_rows(&files).await?;
        if !plan.analyze_later.is_empty() {
            report.phase("gather statistics");
            report.found(finish::analyze(&self.connect, plan.analyze_later, jobs).await?);
        }
        if written.created.is_some() {
            let found = finish::database_properties(
                &mut client,
                &schema.archive,
                self.connect.database(),
                &RoleMap::new(&self.options.role_map),
                !self.options.no_owner,
                !self.options.no_privileges,
            )
            .await?;
            report.found(found);
        }
        // Whatever was committed without waiting is durable with this one.
        client.execute("SET synchronous_commit = on; SELECT pg_catalog.txid_current()").await?;
        client.close().await;
        Ok(report.finish())
    }

    fn tables(&self, parts: &dyn PartSource, schema: &Schema) -> Result<Vec<TablePart>> {
        let mut tables = Vec::new();
        for part in parts.parts() {
            tables
                .extend(TablePart::read(part)?.filter(|t| schema.wants_rows(&t.schema, &t.table)));
        }
        Ok(tables)
    }
}

#[async_trait]
impl Target for LogicalTarget {
    fn location(&self) -> String {
        self.connect.location()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        let (place, offer, decision, tool) = self.prepare(snapshot).await?;
        let tables = self.wanted(snapshot)?;
        let mut plan = RestorePlan {
            steps: Vec::new(),
            findings: decision.findings,
            bytes: tables.iter().map(|table| table.bytes).sum(),
            tables: tables.len() as u64,
        };
        let mut step = |action: &str, detail: String| {
            plan.steps.push(RestoreStep { action: action.to_owned(), detail });
        };
        if !decision.create_roles.is_empty() {
            step("create roles", decision.create_roles.join(", "));
        }
        let location = self.connect.location();
        match place {
            Place::Missing => {
                let encoding = Locale::from_facts(&snapshot.evidence.facts).encoding;
                step("create database", format!("{location}, encoding {encoding}"));
            }
            Place::Empty { .. } => step("use empty database", location),
            Place::Leftover => step(
                "replace unfinished database",
                format!("{location}: what an interrupted restore left there is dropped"),
            ),
        }
        let version = &offer.server_version;
        step("create schema", format!("with {} on PostgreSQL {version}", tool.version));
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        step("load rows", format!("{rows} rows of {} tables", tables.len()));
        step("build indexes and constraints", format!("with {} jobs", self.options.jobs));
        Ok(plan)
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let mut written = Written::default();
        let result = Box::pin(self.carry_out(snapshot, &parts, &mut written)).await;
        match (result, written.created) {
            (Ok(report), created) => {
                if let Some(created) = created {
                    created.keep();
                }
                Ok(report)
            }
            (Err(error), Some(created)) if self.keep_failed => {
                created.keep();
                Err(error.with("target", "kept, unfinished"))
            }
            (Err(error), Some(created)) => match created.remove().await {
                Ok(()) => Err(error.with("target", "dropped again")),
                Err(_) => Err(error.with("target", "left behind unfinished; drop it")),
            },
            (Err(error), None) if written.anything => {
                Err(error.with("target", "partly restored; empty it before another try"))
            }
            (Err(error), None) => Err(error),
        }
    }
}

/// What a restore has done to the server so far.
#[derive(Default)]
struct Written {
    created: Option<Created>,
    anything: bool,
}

async fn create_roles(client: &mut Client, roles: &[String], is_superuser: bool) -> Result<()> {
    for role in roles {
        let role = quote_ident(role);
        client.execute(&format!("CREATE ROLE {role} NOLOGIN")).await?;
        if !is_superuser {
            // Handing objects over takes membership.
            client.execute(&format!("GRANT {role} TO CURRENT_USER")).await?;
        }
    }
    Ok(())
}

/// The major version of the pg_dump that wrote the schema: only that one or newer reads it.
pub(crate) fn major_of(evidence: &backup_core::Evidence) -> u32 {
    let version = evidence.schema_tool_version.split(") ").nth(1);
    let digits = version.map(|text| text.chars().take_while(char::is_ascii_digit));
    digits.and_then(|digits| digits.collect::<String>().parse().ok()).unwrap_or(0)
}
