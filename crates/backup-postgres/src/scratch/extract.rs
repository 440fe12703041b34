//! Taking one database, or tables of it, out of a throw-away cluster.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{Observer, PartSource, Source, SourceOptions};
use backup_core::{Error, ErrorKind, Finding, Result, Snapshot, SnapshotKind};

use super::cluster::ScratchCluster;
use crate::logical::LogicalSource;
use crate::logical::neighbours::unknown;
use crate::spool::Spool;
use crate::{Client, sqlstate};

/// What is taken out of a cluster.
#[derive(Clone)]
pub struct Extraction {
    /// Which database.
    pub database: String,
    /// Only these tables, as `schema.table` or `table` (empty: all).
    pub tables: Vec<String>,
    /// Only these schemas (empty: all).
    pub schemas: Vec<String>,
    /// Parallel readers.
    pub jobs: NonZeroUsize,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// A database as a logical snapshot would hold it; its parts lie in the cluster's folder, and go
/// with it.
pub struct Extracted {
    /// What was read; it names the physical snapshot, and is stored nowhere.
    pub snapshot: Snapshot,
    /// Its parts.
    pub parts: Arc<dyn PartSource>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

impl ScratchCluster {
    /// Reads a database, consistent as any logical backup is. `physical` is what the cluster was
    /// made of.
    ///
    /// Fails with `NotFound` when there was no such database, table or schema at that point; the
    /// hint has the names near it.
    pub async fn extract(&self, physical: &Snapshot, wanted: &Extraction) -> Result<Extracted> {
        let connect = self.connect(&wanted.database)?;
        match Client::connect(&connect).await {
            Ok(client) => client.close().await,
            Err(error) if sqlstate(&error) == Some("3D000") => {
                return Err(unknown("database", &wanted.database, self.databases().await?));
            }
            Err(error) => return Err(error),
        }
        let options = SourceOptions {
            kind: SnapshotKind::Logical,
            jobs: wanted.jobs,
            max_rate: None,
            physical: <_>::default(),
            observer: Arc::clone(&wanted.observer),
        };
        let source = LogicalSource::open(connect, self.tools(), &options).await?;
        let mut source = source.with_only(wanted.tables.clone(), wanted.schemas.clone());
        let spool = Spool::create(self.folder().join("rows"))?;
        let evidence = source.copy_to(&spool).await?;
        let identity = source.facts().identity.clone();
        let parts = spool.finish()?;
        let snapshot = Snapshot {
            identity,
            kind: SnapshotKind::Logical,
            read_bytes: parts.parts().iter().map(|part| part.bytes).sum(),
            parts: parts.parts().to_vec(),
            evidence,
            ..physical.clone()
        };
        let findings = unlogged(&snapshot);
        Ok(Extracted { snapshot, parts: Arc::new(parts), findings })
    }

    async fn databases(&self) -> Result<std::collections::BTreeSet<String>> {
        let mut client = crate::logical::maintenance(&self.connect("postgres")?).await?;
        let sql = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn";
        let rows = client.query(sql).await;
        client.close().await;
        let rows = rows.map_err(|error| {
            Error::new(ErrorKind::Failed, "list databases of throw-away server").because(error)
        })?;
        Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
    }
}

/// Physical snapshots hold nothing of unlogged tables: what comes out is empty, and looks as if
/// it had been.
fn unlogged(snapshot: &Snapshot) -> Vec<Finding> {
    let is_unlogged =
        |part: &&backup_core::Part| part.attributes.get("unlogged").is_some_and(|is| is == "true");
    let name = |part: &backup_core::Part| {
        let get = |name: &str| part.attributes.get(name).cloned().unwrap_or_default();
        format!("{}.{}", get("schema"), get("table"))
    };
    let tables: Vec<String> = snapshot.parts.iter().filter(is_unlogged).map(name).collect();
    if tables.is_empty() {
        return Vec::new();
    }
    vec![Finding::warning(format!(
        "Unlogged tables come out empty, whatever they held: physical snapshots and WAL have no rows \
         of them: {}.",
        tables.join(", ")
    ))]
}
