//! The port: a cluster opened for one backup.

use async_trait::async_trait;
pub use backup_core::port::PhysicalAccess as Access;
use backup_core::port::{PartSink, Source, SourceFacts, SourceOptions};
use backup_core::{Error, ErrorKind, Event, Evidence, Finding, Result, SourceIdentity};

use super::{local, remote, served};
use crate::physical::changes::{self, Base, NoBase};
use crate::physical::facts::{ClusterFacts, WHOLE_CLUSTER};
use crate::replication::Replication;
use crate::{Client, ConnectOptions, sqlstate};

/// A cluster that is copied over the replication protocol, or out of its data directory.
pub struct PhysicalSource {
    connect: ConnectOptions,
    options: SourceOptions,
    session: Option<Replication>,
    access: Access,
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
        let mut cluster = ClusterFacts::ask(&mut session).await?;
        let (bytes, superuser) = by_sql(&connect).await.unwrap_or_default();
        connect.database().clone_into(&mut cluster.database);
        cluster.superuser = superuser.unwrap_or_default();
        let facts = SourceFacts {
            identity: SourceIdentity {
                engine: "postgres".to_owned(),
                system: cluster.system.clone(),
                database: WHOLE_CLUSTER.to_owned(),
            },
            database: connect.database().to_owned(),
            server_version: session.server_version().to_owned(),
            estimated_bytes: bytes.unwrap_or_default(),
            location: connect.location(),
        };
        let (options, access) = (options.clone(), options.physical.from);
        Ok(Self { connect, options, session: Some(session), access, cluster, facts })
    }

    /// Chooses how files are read.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }
}

/// Asks for the size of all tablespaces and for the role the cluster was made with; `None` where
/// SQL, or that, is not allowed to this role.
async fn by_sql(connect: &ConnectOptions) -> Option<(Option<u64>, Option<String>)> {
    let mut client = Client::connect(connect).await.ok()?;
    let bytes = value(
        &mut client,
        "SELECT sum(pg_catalog.pg_tablespace_size(oid))::bigint FROM pg_catalog.pg_tablespace",
    );
    let bytes = bytes.await.and_then(|text| text.parse().ok());
    let superuser =
        value(&mut client, "SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10").await;
    client.close().await;
    Some((bytes, superuser))
}

async fn value(client: &mut Client, sql: &str) -> Option<String> {
    client.query(sql).await.ok()?.first()?.get(0).map(str::to_owned)
}

#[async_trait]
impl Source for PhysicalSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Replication::connect(&self.connect).await?,
        };
        let (connect, options) = (&self.connect, &self.options);
        let cluster = self.cluster.clone();
        let directory = match self.access {
            Access::Remote => Err("asked not to".to_owned()),
            Access::Auto | Access::Local => {
                served::directory(connect, &mut session, &cluster).await
            }
        };
        let base = if options.physical.full_read || cluster.version < changes::FIRST_VERSION {
            Err(NoBase::Expected)
        } else {
            Base::find(sink, &cluster).await?
        };
        let mut copied = match directory {
            Ok(root) => {
                session.close().await;
                let copy = local::copy(connect, cluster, options, &root, base, sink).await;
                copy.map_err(promoted)?
            }
            Err(reason) if self.access == Access::Local => {
                return Err(Error::new(ErrorKind::SourceUnavailable, "read data directory")
                    .because(reason)
                    .hint("Run on the server's host as a user that may read its data directory."));
            }
            Err(_) => {
                let copy = remote::copy(connect, session, cluster, options, base, sink).await;
                copy.map_err(promoted)?
            }
        };
        let way = if copied.local {
            "out of the data directory"
        } else {
            "over the replication protocol"
        };
        copied.findings.push(Finding::note(format!("The cluster was copied {way}.")));
        Ok(Evidence {
            server_version: self.facts.server_version.clone(),
            schema_tool_version: String::new(),
            findings: copied.findings,
            facts: copied.facts.to_evidence()?,
            ..Evidence::default()
        })
    }
}

/// A server that is not what it was when the copy began (a standby that was promoted, above all)
/// gives none; the next one begins anew.
fn promoted(error: Error) -> Error {
    match sqlstate(&error) {
        Some("55000") => error.into_kind(ErrorKind::SourceUnavailable).temporary().hint(
            "Nothing was committed. Run the backup again: it is taken of the server as it is now.",
        ),
        _ => error,
    }
}

/// What a copy brought besides its parts.
pub(super) struct Outcome {
    pub(super) facts: ClusterFacts,
    pub(super) findings: Vec<Finding>,
    /// Whether the data directory was read.
    pub(super) local: bool,
}

pub(super) fn phase(options: &SourceOptions, phase: &str) {
    options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
}
