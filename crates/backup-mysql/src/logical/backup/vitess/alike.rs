//! Shards that hold the same: tables that are whole on each of them, and keys that come back.
//!
//! A reference table is on every shard. Which tables are such ones only the VSchema says; here it is
//! what they hold: as many rows on every shard, and the same ones. Of a table that is spread, a row is on
//! one shard.

use backup_core::{Error, ErrorKind, Finding, Fingerprint, Result};

use super::super::select;
use super::Shards;
use super::read::Attempts;
use crate::catalog::tables::{Kind, Table};
use crate::logical::borders::Key;
use crate::logical::fingerprint::of;
use crate::logical::text::push_row;
use crate::{Client, quote_name};

/// What was noticed while tables were read.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// Tables of which one shard's rows are all.
    references: Vec<String>,
    /// Tables of which a key is on several shards.
    repeated: Vec<String>,
}

impl Shards {
    fn alike<T>(&self, with: impl FnOnce(&mut Alike) -> T) -> T {
        with(&mut self.alike.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Returns how many shards hold rows of a table that no other shard has.
    pub(super) fn read_of(&self, table: &str) -> usize {
        let whole = self.alike(|alike| alike.references.iter().any(|name| name == table));
        if whole { 1 } else { self.count() }
    }

    /// Finds out whether every shard has all rows of a table, and remembers it for those who read it.
    pub(in crate::logical::backup) async fn look_for_reference(
        &self,
        client: &mut Client,
        table: &Table,
    ) -> Result<()> {
        if self.count() < 2 {
            return Ok(());
        }
        let is_one = self.is_reference(client, table).await?;
        self.alike(|alike| {
            alike.references.retain(|name| *name != table.name);
            if is_one {
                alike.references.push(table.name.clone());
            }
        });
        Ok(())
    }

    async fn is_reference(&self, client: &mut Client, table: &Table) -> Result<bool> {
        let counts = self.rows_by_shard(client, table).await?;
        let Some(first) = counts.first().filter(|first| **first > 0) else { return Ok(false) };
        if counts.iter().any(|count| count != first) {
            return Ok(false);
        }
        let one = self.sum_of(client, table, 0).await?;
        for shard in 1..self.count() {
            if self.sum_of(client, table, shard).await? != one {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a table of one shard; returns how many rows there are, and what they are.
    async fn sum_of(
        &self,
        client: &mut Client,
        table: &Table,
        shard: usize,
    ) -> Result<(u64, Fingerprint)> {
        let mut attempts = Attempts::default();
        loop {
            match self.sum_once(client, table, shard).await {
                Ok(sum) => return Ok(sum),
                Err(error) => attempts.again(self, client, error).await?,
            }
        }
    }

    async fn sum_once(
        &self,
        client: &mut Client,
        table: &Table,
        shard: usize,
    ) -> Result<(u64, Fingerprint)> {
        self.target(client, shard).await?;
        let (mut rows, mut sum, mut text) = (0, Fingerprint::default(), Vec::new());
        let mut stream = client.rows(&select::rows(table, None, None)).await?;
        while let Some(row) = stream.next().await? {
            text.clear();
            push_row(&mut text, &row);
            rows += 1;
            sum += of(&text);
        }
        Ok((rows, sum))
    }

    /// Remembers a table of which two shards begin with the same key.
    pub(super) fn compare_first(&self, table: &Table, mut first: Vec<Key>) {
        let shards = first.len();
        first.sort();
        first.dedup();
        if first.len() < shards {
            self.alike(|alike| {
                if !alike.repeated.contains(&table.name) {
                    alike.repeated.push(table.name.clone());
                }
            });
        }
    }

    /// What is to be known of tables whose shards are alike.
    pub(super) fn alike_findings(&self) -> Vec<Finding> {
        let (mut references, mut repeated) =
            self.alike(|alike| (alike.references.clone(), alike.repeated.clone()));
        references.sort();
        repeated.sort();
        let mut findings = Vec::new();
        if !references.is_empty() {
            findings.push(Finding::note(format!(
                "every shard holds the same rows of these tables, as of reference tables: they are \
                 stored once: {}",
                references.join(", ")
            )));
        }
        if !repeated.is_empty() {
            findings.push(Finding::suspect(format!(
                "rows of several shards have the same key, so that they do not fit into one table: a \
                 restore fails for: {} (a reference table whose shards differ, or keys that are unique \
                 within a shard only)",
                repeated.join(", ")
            )));
        }
        findings
    }

    /// Fails with the names of tables that are not the same on every shard: only the first one tells
    /// which there are.
    pub(super) async fn compare_tables(&self, client: &mut Client, tables: &[Table]) -> Result<()> {
        if self.count() < 2 {
            return Ok(());
        }
        let mut first: Option<Vec<String>> = None;
        let mut differ: Vec<String> = Vec::new();
        for shard in 0..self.count() {
            self.target(client, shard).await?;
            let shown = client.query("SHOW FULL TABLES").await?;
            let plain = shown.iter().filter(|row| row.text(1) == "BASE TABLE");
            let names = plain.map(|row| row.text(0)).filter(|name| !super::is_internal(name));
            let mut described = Vec::new();
            for name in names {
                let columns =
                    client.query(&format!("SHOW COLUMNS FROM {}", quote_name(&name))).await;
                let columns: Vec<String> = columns?
                    .iter()
                    .map(|row| format!("{} {} {}", row.text(0), row.text(1), row.text(2)))
                    .collect();
                described.push(format!("{name}: {}", columns.join(", ")));
            }
            described.sort();
            let Some(first) = &first else {
                first = Some(described);
                continue;
            };
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|one| !those.contains(one)).cloned().collect()
            };
            differ.extend(only(first, &described));
            differ.extend(only(&described, first));
        }
        client.execute(&format!("USE {}", quote_name(self.connect.database()))).await?;
        let name = |one: &String| one.split_once(": ").map_or(one.clone(), |(name, _)| name.into());
        let mut names: Vec<String> = differ.iter().map(name).collect();
        let known = first.unwrap_or_default().iter().map(name).collect::<Vec<_>>();
        let plain = tables.iter().filter(|table| table.kind == Kind::Plain);
        names.extend(plain.map(|table| table.name.clone()).filter(|one| !known.contains(one)));
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Failed, "compare shards")
            .with("keyspace", self.connect.database())
            .with("tables that differ", names.join(", "))
            .because("they are not on every shard, or have other columns there")
            .hint("Finish the change of the schema on every shard, then run the backup again."))
    }
}
