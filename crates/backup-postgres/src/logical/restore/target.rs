//! The target: a database opened for one restore.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    PartSource, RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target,
};
use backup_core::{Error, ErrorKind, Finding, Result, Snapshot, SnapshotKind};

use super::check::{Decision, Needs, check};
use super::database::{Created, Place, look, not_empty};
use super::hosted::{Furnished, Loads, adapt};
use super::program::Program;
use super::report::Report;
use super::rows::How;
use super::schema::Schema;
use super::table::TablePart;
use super::{TemporaryFolder, build, finish, large_objects, rows, sequences};
use crate::logical::archive::Archive;
use crate::logical::catalog::database::Locale;
use crate::logical::catalog::server::{self, Offer};
use crate::logical::hosted::{Hosted, Scope};
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
    hosted: Option<Hosted>,
}

impl LogicalTarget {
    /// Takes where to restore to; connects to nothing yet.
    #[must_use]
    pub fn new(connect: ConnectOptions, tools: ToolPaths, options: RestoreOptions) -> Self {
        Self { connect, tools, options, keep_failed: false, analyze: true, hosted: None }
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

    /// Restores into a database that this host has furnished: beside what is the host's.
    #[must_use]
    pub fn hosted(mut self, hosted: Hosted) -> Self {
        self.hosted = Some(hosted);
        self
    }

    /// Refuses a database that is not there to be restored into, before anything that takes time:
    /// `Conflict` when it holds anything but what a killed restore of `snapshot` left.
    pub async fn check_place(&self, snapshot: &Snapshot) -> Result<()> {
        let (_, _, client) = self.look(snapshot).await?;
        client.close().await;
        Ok(())
    }

    /// Looks at the target; `Conflict` when it holds anything that a customer made.
    async fn look(&self, snapshot: &Snapshot) -> Result<(Place, Option<Furnished>, Client)> {
        if let Some(hosted) = self.hosted
            && let Some(furnished) = Furnished::read(&self.connect, &self.tools, hosted).await?
        {
            let holds = furnished.holds();
            if !holds.is_empty() {
                return Err(not_empty(&self.connect, None, &holds));
            }
            let place = Place::Empty { encoding: furnished.encoding().to_owned() };
            let mut client = Client::connect(&self.connect).await?;
            furnished.check_quiet(&mut client).await?;
            return Ok((place, Some(furnished), client));
        }
        let (place, client) = look(&self.connect, &snapshot.id.to_string()).await?;
        Ok((place, None, client))
    }

    /// Leaves out what the server lacks and a database works without.
    fn left_out(
        &self,
        snapshot: &Snapshot,
        offer: &Offer,
    ) -> Result<(RestoreOptions, Option<Finding>)> {
        let scope = Scope::from_facts(&snapshot.evidence.facts)?;
        let lacking: Vec<String> = scope
            .optional_extensions
            .into_iter()
            .filter(|name| !offer.extensions.contains(name))
            .collect();
        let mut options = self.options.clone();
        if lacking.is_empty() {
            return Ok((options, None));
        }
        let finding = Finding::warning(format!(
            "extensions that this server lacks are left out, with the rows of their own tables: {}",
            lacking.join(", ")
        ));
        options.without_extensions.extend(lacking);
        Ok((options, Some(finding)))
    }

    /// Checks everything that can be known without the snapshot's parts.
    async fn prepare(&self, snapshot: &Snapshot) -> Result<Prepared> {
        if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != "postgres" {
            return Err(Error::new(ErrorKind::Unsupported, "restore into a PostgreSQL database")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine));
        }
        let tool = self.tools.choose("pg_restore", major_of(&snapshot.evidence)).await?;
        let (place, furnished, mut client) = self.look(snapshot).await?;
        let offer = server::read(&mut client).await?;
        client.close().await;
        let (options, finding) = self.left_out(snapshot, &offer)?;
        let map = RoleMap::new(&self.options.role_map);
        let mut needs = Needs::from_facts(
            &snapshot.evidence.facts,
            NeededRoles::from_facts(&snapshot.evidence.facts, &map),
        );
        needs.extensions.retain(|name| !options.without_extensions.contains(name));
        self.host_owns(furnished.as_ref(), &mut needs);
        if self.is_partial() {
            // What a part of the schema needs is known once the schema was read.
            needs.roles = NeededRoles::default();
            needs.extensions.clear();
            needs.tablespaces.clear();
        }
        let mut decision = check(&needs, &offer, &place, &options)?;
        decision.findings.extend(finding);
        Ok(Prepared { place, furnished, offer, decision, tool, options })
    }

    /// What the host owns is neither created nor handed over.
    fn host_owns(&self, furnished: Option<&Furnished>, needs: &mut Needs) {
        if let (Some(hosted), Some(_)) = (self.hosted, furnished) {
            needs.roles.owners.retain(|role| !hosted.is_host_role(role));
        }
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
        let Prepared { place, furnished, offer, decision, tool, options } =
            self.prepare(snapshot).await?;
        let mut schema = Schema::read(&**parts, &options).await?;
        if let Some(furnished) = &furnished {
            schema.findings.extend(self.adapt(&mut schema.archive, furnished, &offer).await?);
        }
        let decision = if self.is_partial() {
            let roles = NeededRoles::of(&schema.archive);
            let mut needs =
                Needs::from_facts(&snapshot.evidence.facts, roles).narrowed_to(&schema.archive);
            self.host_owns(furnished.as_ref(), &mut needs);
            check(&needs, &offer, &place, &options)?
        } else {
            decision
        };
        report.found(decision.findings);
        report.found(schema.findings.clone());
        let tables = self.tables(&**parts, &schema, &options)?;
        let loads = match &furnished {
            Some(furnished) => furnished.loads(&schema.archive, tables)?,
            None => Loads { quietly: Vec::new(), plainly: tables, findings: Vec::new() },
        };
        report.found(loads.findings);

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
        let closes = furnished.is_some() && !options.no_privileges;
        if closes {
            Furnished::reset_default_privileges(&mut client).await?;
        }
        let folder = TemporaryFolder::create(&self.tools.temporary())?;
        let plan = build::plan(&schema.archive.entries, &loads.plainly, self.analyze);
        let files = schema.write(&folder, &plan.entries)?;
        let program = Program {
            tool: &tool,
            connect: &self.connect,
            options: &options,
            no_tablespaces: decision.no_tablespaces,
            server_major: offer.major(),
        };
        report.found(program.finding().into_iter().collect());
        program.before_rows(&files, written.created.is_none()).await?;

        report.phase("load rows");
        let jobs = self.options.jobs.get();
        let observer = &self.options.observer;
        let ordered = self.options.ordered;
        for (tables, quietly) in [(loads.quietly, true), (loads.plainly, false)] {
            report.inner.tables += tables.len() as u64;
            let how = How { ordered, quietly };
            let loaded = rows::load(&self.connect, parts, tables, jobs, how, observer).await?;
            report.inner.rows += loaded.rows;
            report.inner.bytes += loaded.bytes;
        }
        if !self.is_partial() {
            let (_, bytes) = large_objects::restore(&self.connect, parts, &self.options).await?;
            report.inner.bytes += bytes;
        }
        let mut values = sequences::read(&**parts, schema.sequences().as_ref()).await?;
        sequences::drop_optional(&mut client, &snapshot.evidence.facts, &mut values).await?;
        if let Some(furnished) = &furnished {
            furnished.keep_sequences(&schema.archive, &mut values);
        }
        sequences::set(&mut client, &values).await?;

        report.phase("build indexes and constraints");
        report.found(build::run(&self.connect, &plan, jobs, !decision.no_tablespaces).await?);
        program.after_rows(&files).await?;
        if let Some(furnished) = furnished.as_ref().filter(|_| closes && self.is_partial()) {
            furnished.put_back_default_privileges(&mut client, &offer.user).await?;
        }
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

    fn tables(
        &self,
        parts: &dyn PartSource,
        schema: &Schema,
        options: &RestoreOptions,
    ) -> Result<Vec<TablePart>> {
        let mut tables = Vec::new();
        for part in parts.parts() {
            tables
                .extend(TablePart::read(part)?.filter(|t| schema.wants_rows(&t.schema, &t.table)));
        }
        tables.retain(|table| {
            let left_out = &options.without_extensions;
            (!self.is_partial() || !table.is_of_extension())
                && table.brought_by.as_ref().is_none_or(|extension| !left_out.contains(extension))
        });
        Ok(tables)
    }

    async fn adapt(
        &self,
        archive: &mut Archive,
        furnished: &Furnished,
        offer: &Offer,
    ) -> Result<Vec<Finding>> {
        let asks = archive.entries.iter().any(|entry| entry.kind() == "EVENT TRIGGER");
        let mut takes = true;
        if asks {
            let mut client = Client::connect(&self.connect).await?;
            takes = Furnished::takes_event_triggers(&mut client).await?;
            client.close().await;
        }
        adapt(archive, furnished, offer, takes)
    }
}

#[async_trait]
impl Target for LogicalTarget {
    fn location(&self) -> String {
        self.connect.location()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        let Prepared { place, offer, decision, tool, .. } = self.prepare(snapshot).await?;
        let tables = self.wanted(snapshot)?;
        let mut plan = RestorePlan {
            steps: Vec::new(),
            findings: decision.findings,
            bytes: tables.iter().map(|table| table.bytes).sum(),
            tables: tables.len() as u64,
            files: 0,
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

/// What is known before anything is written.
struct Prepared {
    place: Place,
    furnished: Option<Furnished>,
    offer: Offer,
    decision: Decision,
    tool: Tool,
    /// The caller's, with what the server lacks left out.
    options: RestoreOptions,
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
