//! The port.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Capability, Discovery, NoObserver, PartSource, Provider, RestoreOptions, Restored, Source,
    SourceOptions, Survey, Target,
};
use backup_core::{Error, ErrorKind, Result, Snapshot, SnapshotKind};
use backup_mysql::ConnectOptions;
use backup_mysql::logical::{
    Examination, LogicalSource, LogicalTarget, discover, discover_accounts, examine, survey,
};

/// One database of a MySQL or MariaDB server, as source or as target.
#[derive(Clone, Debug)]
pub struct MysqlProvider {
    connect: ConnectOptions,
    accounts: bool,
}

impl MysqlProvider {
    /// Parses a `mysql://` or `mariadb://` URL; connects to nothing yet. `ConfigInvalid` says
    /// what is wrong with the URL, without its password.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self::from_options(ConnectOptions::parse(url)?))
    }

    /// Takes how to connect.
    #[must_use]
    pub fn from_options(connect: ConnectOptions) -> Self {
        Self { connect, accounts: false }
    }

    /// Keeps the server's accounts and grants in every snapshot too, or does not.
    #[must_use]
    pub fn with_accounts(mut self, accounts: bool) -> Self {
        self.accounts = accounts;
        self
    }

    /// Returns where the database is, for people, without secrets.
    #[must_use]
    pub fn location(&self) -> String {
        self.connect.location()
    }
}

#[async_trait]
impl Provider for MysqlProvider {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup, Capability::LogicalRestore]
    }

    async fn discover(&self) -> Result<Discovery> {
        let mut found = discover(&self.connect).await?;
        if self.accounts {
            found.findings.push(discover_accounts(&self.connect).await?);
        }
        Ok(found)
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        if options.kind != SnapshotKind::Logical {
            return Err(Error::new(ErrorKind::Unsupported, "open database for backup")
                .with("provider", self.name())
                .with("kind", options.kind.as_str())
                .hint("Use a logical backup for this source (mode = \"logical\")."));
        }
        let source = LogicalSource::open(self.connect.clone(), options).await?;
        Ok(Box::new(if self.accounts { source.with_accounts().await? } else { source }))
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        Ok(Box::new(LogicalTarget::new(self.connect.clone(), options.clone())))
    }

    async fn survey(&self) -> Result<Survey> {
        let found = survey(&self.connect).await?;
        Ok(Survey { keeps_roles: self.accounts, ..found })
    }

    async fn examine(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        options: &RestoreOptions,
    ) -> Result<Restored> {
        let how = Examination {
            jobs: options.jobs,
            owners: !options.no_owner,
            role_map: options.role_map.clone(),
            observer: Arc::new(NoObserver),
        };
        examine(&self.connect, snapshot, &**parts, &how).await
    }
}
