//! The port: a project's database as source and as target.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Capability, Discovery, NoObserver, PartSink, PartSource, Provider, RestoreOptions, RestorePlan,
    RestoreReport, Restored, Source, SourceFacts, SourceOptions, Survey, Target,
};
use backup_core::{
    Error, ErrorKind, Event, Evidence, Result, Snapshot, SnapshotKind, SourceIdentity,
};
use backup_postgres::logical::{
    Examination, LogicalSource, LogicalTarget, discover_hosted, examine, survey_hosted,
};

use crate::address::{Address, explain};
use crate::config::SupabaseConfig;
use crate::coverage::uncovered;
use crate::rules::SUPABASE;

/// The database of one Supabase project.
#[derive(Clone, Debug)]
pub struct SupabaseProvider {
    config: SupabaseConfig,
}

impl SupabaseProvider {
    /// Takes a configuration; connects to nothing.
    #[must_use]
    pub fn new(config: SupabaseConfig) -> Self {
        Self { config }
    }

    fn address(&self) -> &Address {
        &self.config.address
    }

    /// Returns which database this is: the project's, whatever server it is moved to.
    fn identity(&self, facts: &SourceFacts) -> SourceIdentity {
        match &self.address().project {
            Some(project) => SourceIdentity {
                engine: facts.identity.engine.clone(),
                system: project.clone(),
                database: facts.database.clone(),
            },
            None => facts.identity.clone(),
        }
    }

    fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| explain(error, self.address().way))
    }
}

#[async_trait]
impl Provider for SupabaseProvider {
    fn name(&self) -> &'static str {
        "supabase"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup, Capability::LogicalRestore]
    }

    async fn discover(&self) -> Result<Discovery> {
        let connect = &self.address().connect;
        let found = discover_hosted(connect, &self.config.tools, &SUPABASE).await;
        let mut found = self.explained(found)?;
        found.facts.identity = self.identity(&found.facts);
        found.findings.extend(self.address().findings.clone());
        found.findings.extend(uncovered(connect).await);
        Ok(found)
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        if options.kind != SnapshotKind::Logical {
            return Err(Error::new(ErrorKind::Unsupported, "open database for backup")
                .with("provider", self.name())
                .with("kind", options.kind.as_str())
                .hint("Supabase lets nobody read a server's files or its log; use mode = \"logical\"."));
        }
        let connect = self.address().connect.clone();
        let source = LogicalSource::open(connect, &self.config.tools, options).await;
        let source = self.explained(source)?.hosted(SUPABASE);
        let mut facts = source.facts().clone();
        facts.identity = self.identity(&facts);
        let (options, config) = (options.clone(), self.config.clone());
        Ok(Box::new(ProjectSource { source, facts, options, config }))
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        let target = LogicalTarget::new(
            self.address().connect.clone(),
            self.config.tools.clone(),
            options.clone(),
        );
        Ok(Box::new(ProjectTarget { target: target.hosted(SUPABASE), config: self.config.clone() }))
    }

    async fn survey(&self) -> Result<Survey> {
        let found = survey_hosted(&self.address().connect, &self.config.tools, SUPABASE).await;
        self.explained(found)
    }

    async fn examine(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        options: &RestoreOptions,
    ) -> Result<Restored> {
        let renamed = !options.role_map.is_empty();
        let how = Examination {
            jobs: options.jobs,
            owners: !options.no_owner && !renamed,
            privileges: !options.no_privileges && !renamed,
            observer: Arc::new(NoObserver),
        };
        let (connect, tools) = (&self.address().connect, &self.config.tools);
        let found = examine(connect, tools, snapshot, &**parts, &how).await?;
        Ok(Restored {
            evidence: found.evidence,
            schema_differences: found.schema_differences,
            cluster: None,
            tree: None,
        })
    }
}

/// A project's database opened for one backup.
struct ProjectSource {
    source: LogicalSource,
    facts: SourceFacts,
    options: SourceOptions,
    config: SupabaseConfig,
}

#[async_trait]
impl Source for ProjectSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let address = &self.config.address;
        let mut evidence =
            self.source.copy_to(sink).await.map_err(|error| explain(error, address.way))?;
        let mut findings = address.findings.clone();
        findings.extend(uncovered(&address.connect).await);
        for finding in &findings {
            self.options.observer.on_event(&Event::Found(finding.clone()));
        }
        evidence.findings.extend(findings);
        Ok(evidence)
    }
}

/// A project to restore into.
struct ProjectTarget {
    target: LogicalTarget,
    config: SupabaseConfig,
}

#[async_trait]
impl Target for ProjectTarget {
    fn location(&self) -> String {
        self.target.location()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        let address = &self.config.address;
        let mut plan =
            self.target.plan(snapshot).await.map_err(|error| explain(error, address.way))?;
        plan.findings.extend(address.findings.clone());
        Ok(plan)
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let way = self.config.address.way;
        self.target.restore(snapshot, parts).await.map_err(|error| explain(error, way))
    }
}
