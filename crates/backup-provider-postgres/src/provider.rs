//! The port.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Capability, Discovery, NoObserver, PartSource, Provider, RestoreOptions, Restored, Source,
    SourceOptions, Survey, Target,
};
use backup_core::{Result, Snapshot, SnapshotKind};
use backup_postgres::logical::{
    Examination, LogicalSource, LogicalTarget, discover, examine, survey,
};
use backup_postgres::physical::PhysicalSource;
use backup_postgres::tools::ToolPaths;

use crate::config::PostgresConfig;
use crate::error::unsupported_kind;

/// One database of a PostgreSQL server, as source or as target.
#[derive(Clone, Debug)]
pub struct PostgresProvider {
    config: PostgresConfig,
}

impl PostgresProvider {
    /// Parses a `postgres://` URL; connects to nothing yet. `ConfigInvalid` says what is wrong
    /// with the URL, without its password.
    pub fn new(url: &str, tools: ToolPaths) -> Result<Self> {
        Ok(Self { config: PostgresConfig::parse(url, tools)? })
    }

    /// Takes a configuration.
    #[must_use]
    pub fn from_config(config: PostgresConfig) -> Self {
        Self { config }
    }

    /// Returns where the database is, for people, without secrets.
    #[must_use]
    pub fn location(&self) -> String {
        self.config.connect.location()
    }

    /// Returns the database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        self.config.connect.database()
    }
}

#[async_trait]
impl Provider for PostgresProvider {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup, Capability::LogicalRestore, Capability::PhysicalBackup]
    }

    async fn discover(&self) -> Result<Discovery> {
        discover(&self.config.connect, &self.config.tools).await
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        let connect = self.config.connect.clone();
        match options.kind {
            SnapshotKind::Logical => {
                let source = LogicalSource::open(connect, &self.config.tools, options);
                Ok(Box::new(source.await?))
            }
            SnapshotKind::Physical => Ok(Box::new(PhysicalSource::open(connect, options).await?)),
            SnapshotKind::Files => Err(unsupported_kind(options.kind.as_str())),
        }
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        let connect = self.config.connect.clone();
        let tools = self.config.tools.clone();
        Ok(Box::new(LogicalTarget::new(connect, tools, options.clone())))
    }

    async fn survey(&self) -> Result<Survey> {
        survey(&self.config.connect).await
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
        let (connect, tools) = (&self.config.connect, &self.config.tools);
        let found = examine(connect, tools, snapshot, &**parts, &how).await?;
        Ok(Restored {
            evidence: found.evidence,
            schema_differences: found.schema_differences,
            cluster: None,
            tree: None,
        })
    }
}
