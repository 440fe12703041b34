//! The port: a cluster opened for one backup.

use async_trait::async_trait;
use backup_core::port::{PartSink, Source, SourceFacts, SourceOptions};
use backup_core::{Evidence, Result, SourceIdentity};

use super::remote;
use crate::physical::facts::{ClusterFacts, WHOLE_CLUSTER};
use crate::replication::Replication;
use crate::{Client, ConnectOptions};

/// A cluster that is copied over the replication protocol.
pub struct PhysicalSource {
    connect: ConnectOptions,
    options: SourceOptions,
    session: Option<Replication>,
    cluster: ClusterFacts,
    facts: SourceFacts,
}

impl PhysicalSource {
    /// Connects and asks which cluster this is; changes nothing.
    ///
    /// # Errors
    /// `SourceUnavailable` with the remedy: a role without REPLICATION, a missing line in
    /// `pg_hba.conf`, exhausted walsenders; `Unsupported` before PostgreSQL 12.
    pub async fn open(connect: ConnectOptions, options: &SourceOptions) -> Result<Self> {
        let mut session = Replication::connect(&connect).await?;
        let cluster = ClusterFacts::ask(&mut session).await?;
        let facts = SourceFacts {
            identity: SourceIdentity {
                engine: "postgres".to_owned(),
                system: cluster.system.clone(),
                database: WHOLE_CLUSTER.to_owned(),
            },
            database: connect.database().to_owned(),
            server_version: session.server_version().to_owned(),
            estimated_bytes: estimate(&connect).await.unwrap_or_default(),
            location: connect.location(),
        };
        Ok(Self { connect, options: options.clone(), session: Some(session), cluster, facts })
    }
}

/// Asks for the size of all tablespaces; `None` where SQL is not allowed to this role.
async fn estimate(connect: &ConnectOptions) -> Option<u64> {
    let mut client = Client::connect(connect).await.ok()?;
    let sql =
        "SELECT sum(pg_catalog.pg_tablespace_size(oid))::bigint FROM pg_catalog.pg_tablespace";
    let rows = client.query(sql).await.ok()?;
    client.close().await;
    rows.first()?.get(0)?.parse().ok()
}

#[async_trait]
impl Source for PhysicalSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let session = match self.session.take() {
            Some(session) => session,
            None => Replication::connect(&self.connect).await?,
        };
        let copied =
            remote::copy(&self.connect, session, self.cluster.clone(), &self.options, sink).await?;
        Ok(Evidence {
            server_version: self.facts.server_version.clone(),
            schema_tool_version: String::new(),
            findings: copied.findings,
            facts: copied.facts.to_evidence()?,
            ..Evidence::default()
        })
    }
}
