//! The shards of a keyspace, and sessions that read them.

use std::sync::{Arc, Mutex};

use backup_core::{Error, ErrorKind, Finding, Result, TableEvidence};

use super::alike::Alike;
use super::holds_rows;
use crate::catalog::tables::Table;
use crate::{Client, ConnectOptions, quote_name};

/// Opens a session whose results are streamed, however many rows they have.
pub(super) async fn session(connect: &ConnectOptions) -> Result<Client> {
    let mut client = Client::connect(connect).await?;
    client.execute("SET workload = 'olap'").await?;
    Ok(client)
}

/// Where the rows of a keyspace are.
#[derive(Clone, Debug)]
pub(in crate::logical::backup) struct Shards {
    pub(super) connect: ConnectOptions,
    names: Vec<String>,
    /// Other keyspaces beside it.
    others: Vec<String>,
    /// What was noticed of tables while they were read.
    pub(super) alike: Arc<Mutex<Alike>>,
}

impl Shards {
    /// Asks Vitess. A keyspace of which it names no shard is an error: nobody could tell what is
    /// missing.
    pub(super) async fn read(client: &mut Client, connect: &ConnectOptions) -> Result<Self> {
        let keyspace = connect.database();
        let (mut names, mut others) = (Vec::new(), Vec::new());
        for row in client.query("SHOW VITESS_SHARDS").await? {
            let target = row.text(0);
            match target.rsplit_once('/') {
                Some((of, shard)) if of == keyspace => names.push(shard.to_owned()),
                Some((of, _)) if !others.iter().any(|one| one == of) => others.push(of.to_owned()),
                _ => {}
            }
        }
        if names.is_empty() {
            return Err(Error::new(ErrorKind::Failed, "find shards")
                .with("keyspace", keyspace)
                .because("Vitess names none (SHOW VITESS_SHARDS)"));
        }
        Ok(Self { connect: connect.clone(), names, others, alike: Arc::default() })
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// What is to be known of them.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.names.len() > 1 {
            findings.push(Finding::warning(format!(
                "keyspace {} has {} shards; PlanetScale backs each of them up at its own instant, so \
                 that rows of different shards need not be of the same one; keys that are unique within a \
                 shard only do not fit into one table, which a drill shows",
                self.connect.database(),
                self.names.len()
            )));
            findings.push(Finding::note(
                "how rows are spread over shards (the VSchema) is not covered: keep it with your code",
            ));
        }
        if !self.others.is_empty() {
            findings.push(Finding::warning(format!(
                "other keyspaces are not covered, each needs a source of its own: {}",
                self.others.join(", ")
            )));
        }
        findings
    }

    /// Sends what a session asks next to one shard; the only one needs no word.
    pub(super) async fn target(&self, client: &mut Client, at: usize) -> Result<()> {
        let Some(shard) = self.names.get(at).filter(|_| self.names.len() > 1) else {
            return Ok(());
        };
        let target = format!("{}/{shard}", self.connect.database());
        client.execute(&format!("USE {}", quote_name(&target))).await
    }

    /// Compares how many rows were read with how many there are; a table of which some are missing
    /// is named.
    pub(super) async fn compare_counts(
        &self,
        client: &mut Client,
        tables: &[Table],
        copied: &[TableEvidence],
    ) -> Result<()> {
        for table in tables.iter().filter(|table| holds_rows(table)) {
            let read = copied.iter().find(|one| one.name == table.name).map(|one| one.rows);
            let counted = self.rows_by_shard(client, table).await.map_err(|error| {
                Error::new(error.kind(), "count rows").with("table", &table.name).because(error)
            })?;
            let once = self.read_of(&table.name) == 1;
            let differ = once && counted.iter().any(|count| Some(*count) != read);
            let counted: u64 = counted.iter().take(self.read_of(&table.name)).sum();
            if differ || read != Some(counted) {
                return Err(Error::new(ErrorKind::Integrity, "read table whole")
                    .with("table", &table.name)
                    .with("rows read", read.unwrap_or(0))
                    .with("rows counted", counted)
                    .hint(
                        "A result ended early, or somebody writes to what should be frozen: nothing \
                         was stored. Run the backup again.",
                    ));
            }
        }
        Ok(())
    }
}
