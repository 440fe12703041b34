//! The port: a service's database as source and as target.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Capability, Discovery, NoObserver, PartSink, PartSource, Provider, RestoreOptions, RestorePlan,
    RestoreReport, Restored, Source, SourceFacts, SourceOptions, Survey, Target,
};
use backup_core::{Error, ErrorKind, Event, Evidence, Finding, Result, Snapshot, SnapshotKind};
use backup_postgres::logical::{
    Examination, LogicalSource, LogicalTarget, discover, examine, survey,
};
use backup_postgres::physical::PhysicalSource;

use crate::address::{Way, explain};
use crate::config::RailwayConfig;

/// The database of one Railway service.
#[derive(Clone, Debug)]
pub struct RailwayProvider {
    config: RailwayConfig,
}

impl RailwayProvider {
    /// Takes a configuration; connects to nothing.
    #[must_use]
    pub fn new(config: RailwayConfig) -> Self {
        Self { config }
    }

    fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| explain(error, self.config.address.way))
    }
}

#[async_trait]
impl Provider for RailwayProvider {
    fn name(&self) -> &'static str {
        "railway"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup, Capability::LogicalRestore, Capability::PhysicalBackup]
    }

    async fn discover(&self) -> Result<Discovery> {
        let found = discover(&self.config.address.connect, &self.config.tools).await;
        let mut found = self.explained(found)?;
        found.findings.extend(self.config.address.findings.clone());
        Ok(found)
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        let connect = self.config.address.connect.clone();
        let source: Box<dyn Source> = match options.kind {
            SnapshotKind::Logical => {
                let source = LogicalSource::open(connect, &self.config.tools, options).await;
                Box::new(self.explained(source)?)
            }
            SnapshotKind::Physical => {
                Box::new(self.explained(PhysicalSource::open(connect, options).await)?)
            }
            SnapshotKind::Files => {
                return Err(Error::new(ErrorKind::Unsupported, "open database for backup")
                    .with("provider", self.name())
                    .with("kind", options.kind.as_str())
                    .hint("Use a logical backup for this source."));
            }
        };
        let (way, findings) = (self.config.address.way, self.config.address.findings.clone());
        Ok(Box::new(ServiceSource { source, options: options.clone(), way, findings }))
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        let connect = self.config.address.connect.clone();
        let target = LogicalTarget::new(connect, self.config.tools.clone(), options.clone());
        Ok(Box::new(ServiceTarget { target, way: self.config.address.way }))
    }

    async fn survey(&self) -> Result<Survey> {
        self.explained(survey(&self.config.address.connect).await)
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
        let (connect, tools) = (&self.config.address.connect, &self.config.tools);
        let found = examine(connect, tools, snapshot, &**parts, &how).await?;
        Ok(Restored {
            evidence: found.evidence,
            schema_differences: found.schema_differences,
            cluster: None,
            tree: None,
        })
    }
}

/// A service's database opened for one backup.
struct ServiceSource {
    source: Box<dyn Source>,
    options: SourceOptions,
    way: Way,
    findings: Vec<Finding>,
}

#[async_trait]
impl Source for ServiceSource {
    fn facts(&self) -> &SourceFacts {
        self.source.facts()
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let mut evidence =
            self.source.copy_to(sink).await.map_err(|error| explain(error, self.way))?;
        for finding in &self.findings {
            self.options.observer.on_event(&Event::Found(finding.clone()));
        }
        evidence.findings.extend(self.findings.clone());
        Ok(evidence)
    }
}

/// A service's server to restore into.
struct ServiceTarget {
    target: LogicalTarget,
    way: Way,
}

#[async_trait]
impl Target for ServiceTarget {
    fn location(&self) -> String {
        self.target.location()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        self.target.plan(snapshot).await.map_err(|error| explain(error, self.way))
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        self.target.restore(snapshot, parts).await.map_err(|error| explain(error, self.way))
    }
}
