//! A whole cluster as a place of a drill: every database of it is opened and read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    ColumnSink, DrillOptions, IndexCheck, PartSource, RestoreReport, Restored, RestoredCluster,
    Scratch,
};
use backup_core::{Result, Secret, Snapshot};

use super::blame::blame;
use super::cluster::{Recovery, ScratchCluster};
use super::indexes::{self, Scope};
use super::place::{ask, ask_column};
use crate::Client;
use crate::logical::read_through;

/// The database that questions go to where the snapshot does not name one.
const DATABASE: &str = "postgres";

/// A physical snapshot, restored and running.
pub(super) struct WholePlace {
    cluster: ScratchCluster,
    recovery: Recovery,
    options: DrillOptions,
    database: String,
}

impl WholePlace {
    pub(super) fn new(cluster: ScratchCluster, recovery: Recovery, options: &DrillOptions) -> Self {
        Self { cluster, recovery, options: options.clone(), database: DATABASE.to_owned() }
    }

    /// Lets itself into databases that let nobody in; not into those whose removal was begun.
    async fn open_all(&self) -> Result<()> {
        let mut client = Client::connect(&self.cluster.connect(DATABASE)?).await?;
        let sql = "SELECT datname FROM pg_catalog.pg_database \
             WHERE NOT datallowconn AND datname <> 'template0' AND datconnlimit >= -1";
        for row in client.query(sql).await? {
            let Some(name) = row.get(0) else { continue };
            let name = crate::quote_ident(name);
            client.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await?;
        }
        client.close().await;
        Ok(())
    }

    /// Returns the databases that let somebody in.
    async fn databases(&self) -> Result<Vec<String>> {
        let mut client = Client::connect(&self.cluster.connect(DATABASE)?).await?;
        let sql = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname";
        let rows = client.query(sql).await?;
        client.close().await;
        Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
    }

    async fn look(&self, name: &str, found: &mut Restored) -> Result<()> {
        let connect = self.cluster.connect(name)?;
        let cluster = found.cluster.get_or_insert_default();
        let mut client = match Client::connect(&connect).await.map_err(blame) {
            Ok(client) => client,
            Err(error) if error.to_string().contains("incompatible with operating system") => {
                cluster.closed.push(format!("{name}: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let named = |rows: Vec<crate::Row>| -> Vec<String> {
            let names = rows.iter().filter_map(|row| row.get(0).map(str::to_owned));
            names.map(|what| format!("{what} (database {name})")).collect()
        };
        let libraries = client.query(LIBRARIES).await?;
        cluster.libraries += libraries.len() as u64;
        let missing = client.query(&format!("SELECT name FROM ({LIBRARIES}) AS l {MISSING}")).await;
        cluster.missing_libraries.extend(named(missing?));
        cluster.missing_libraries.extend(named(client.query(EXTENSIONS).await?));
        let collations = client.query(COLLATIONS).await?;
        cluster.collations += collations.len() as u64;
        let others = client.query(&format!("SELECT name FROM ({COLLATIONS}) AS c {OTHER}")).await?;
        cluster.other_collations.extend(named(others));
        client.close().await;
        let evidence = read_through(&connect, self.cluster.tools(), self.options.jobs).await;
        let evidence = evidence.map_err(|error| blame(error).with("database", name))?;
        found.evidence.server_version = evidence.server_version;
        found.evidence.tables.extend(evidence.tables);
        cluster.databases += 1;
        Ok(())
    }

    /// Asks whether the database versions' collations are what they were: PostgreSQL 15 records it.
    async fn databases_collations(&self, found: &mut RestoredCluster) -> Result<()> {
        if self.cluster.facts().version < 150_000 {
            return Ok(());
        }
        let mut client = Client::connect(&self.cluster.connect(DATABASE)?).await?;
        let recorded = client.query(DATABASES).await?;
        found.collations += recorded.len() as u64;
        let others = client.query(&format!("SELECT name FROM ({DATABASES}) AS d {OTHER}")).await?;
        found.other_collations.extend(others.iter().filter_map(|r| r.get(0).map(str::to_owned)));
        client.close().await;
        Ok(())
    }
}

#[async_trait]
impl Scratch for WholePlace {
    fn location(&self) -> String {
        format!("throw-away server in {}", self.cluster.folder().display())
    }

    fn server_version(&self) -> String {
        self.cluster.server_version().to_owned()
    }

    fn url(&self) -> Secret {
        self.cluster.url(&self.database)
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let report = self.cluster.restore(snapshot, parts, &self.recovery, &self.options).await?;
        self.open_all().await.map_err(blame)?;
        let wanted = self.cluster.facts().database.clone();
        if self.databases().await?.contains(&wanted) {
            self.database = wanted;
        }
        Ok(report)
    }

    async fn examine(
        &mut self,
        _snapshot: &Snapshot,
        _parts: &Arc<dyn PartSource>,
    ) -> Result<Restored> {
        let mut found = Restored::default();
        for name in self.databases().await? {
            self.look(&name, &mut found).await?;
        }
        let cluster = found.cluster.get_or_insert_default();
        let preloaded = self.cluster.missing_libraries();
        cluster.libraries += preloaded.len() as u64;
        let preloaded = preloaded.iter();
        cluster
            .missing_libraries
            .extend(preloaded.map(|one| format!("{one} (shared_preload_libraries)")));
        self.databases_collations(cluster).await?;
        Ok(found)
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        let mut all = IndexCheck::default();
        for name in self.databases().await? {
            let mut client = Client::connect(&self.cluster.connect(&name)?).await?;
            let found = indexes::check(&mut client, Scope::Copied).await;
            client.close().await;
            let found = found.map_err(|error| blame(error).with("database", &name))?;
            all.checked += found.checked;
            all.tables += found.tables;
            let problems = found.problems.into_iter();
            all.problems.extend(problems.map(|what| format!("{name}: {what}")));
            all.unavailable = all.unavailable.or(found.unavailable);
        }
        Ok(all)
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Option<String>> {
        ask(&self.cluster.connect(&self.database)?, sql, limit).await
    }

    async fn ask_column(
        &mut self,
        sql: &str,
        limit: Duration,
        values: &mut dyn ColumnSink,
    ) -> Result<()> {
        ask_column(&self.cluster.connect(&self.database)?, sql, limit, values).await
    }

    async fn remove(self: Box<Self>) -> Result<()> {
        self.cluster.remove().await
    }
}

/// Every library that a function of this database is in, as a path.
const LIBRARIES: &str = "\
SELECT DISTINCT p.probin AS name, CASE WHEN p.probin LIKE '%.so' THEN p.probin \
  ELSE p.probin || '.so' END AS file \
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
WHERE l.lanname = 'c' AND p.probin IS NOT NULL";

/// Those of them that are not on this machine; a plain name is looked for in `$libdir` too.
const MISSING: &str = "\
CROSS JOIN (SELECT setting FROM pg_catalog.pg_config WHERE name = 'PKGLIBDIR') AS d \
WHERE pg_catalog.pg_stat_file(CASE WHEN l.file LIKE '$libdir/%' \
  THEN d.setting || pg_catalog.substr(l.file, 8) WHEN l.file LIKE '/%' THEN l.file \
  ELSE d.setting || '/' || l.file END, true) IS NULL";

/// Extensions of this database whose files are not on this machine.
const EXTENSIONS: &str = "\
SELECT 'extension ' || e.extname FROM pg_catalog.pg_extension e WHERE e.extname NOT IN \
(SELECT a.name FROM pg_catalog.pg_available_extensions a)";

/// Collations that columns or indexes of this database use, with the version they had.
const COLLATIONS: &str = "\
SELECT pg_catalog.format('collation %I was of version %s and is %s here', c.collname, \
  c.collversion, pg_catalog.pg_collation_actual_version(c.oid)) AS name, \
  c.collversion AS recorded, pg_catalog.pg_collation_actual_version(c.oid) AS actual \
FROM pg_catalog.pg_collation c WHERE c.collversion IS NOT NULL AND c.oid IN \
(SELECT a.attcollation FROM pg_catalog.pg_attribute a)";

const DATABASES: &str = "\
SELECT pg_catalog.format('the collation of database %I was of version %s and is %s here', \
  d.datname, d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid)) AS name, \
  d.datcollversion AS recorded, pg_catalog.pg_database_collation_actual_version(d.oid) AS actual \
FROM pg_catalog.pg_database d WHERE d.datallowconn AND d.datcollversion IS NOT NULL";

const OTHER: &str = "WHERE recorded IS DISTINCT FROM actual";
