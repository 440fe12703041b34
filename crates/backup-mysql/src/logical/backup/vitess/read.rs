//! Reading pieces that may break off.

use std::time::Duration;

use backup_core::{Error, ErrorKind, ErrorStatus, Result};

use super::super::plan::{Before, Cutter};
use super::super::pour::Pour;
use super::super::select;
use super::super::source::changed;
use super::Shards;
use super::shards::session;
use crate::catalog::tables::Table;
use crate::logical::borders::{Border, Key};
use crate::{Client, error_code, quote_name};

/// How often a piece is asked for that does not advance.
const ATTEMPTS: u32 = 5;
/// How long the next attempt waits at least; each one twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// What Vitess says when a tablet does not answer, is too busy, or takes too long.
const PASSES: [u16; 4] = [1105, 1203, 1317, 3024];

/// How far attempts are.
#[derive(Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// Opens the session again after an error that may pass; returns the error where it does not,
    /// or did not often enough.
    pub(super) async fn again(
        &mut self,
        shards: &Shards,
        client: &mut Client,
        error: Error,
    ) -> Result<()> {
        let mut last = error;
        loop {
            let passes = last.status() == ErrorStatus::Temporary
                || error_code(&last).is_some_and(|code| PASSES.contains(&code));
            self.0 += 1;
            if !passes || self.0 >= ATTEMPTS {
                let attempts = self.0;
                return Err(last.with("attempts without a further row", attempts).hint(
                    "Nothing was stored. Vitess sends no row of more than 64 MiB, and ends what takes \
                     longer than its limits.",
                ));
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(self.0)).await;
            match session(&shards.connect).await {
                Ok(fresh) => {
                    *client = fresh;
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
    }
}

impl Shards {
    /// Finds where a table's segments begin, by its first shard.
    pub(in crate::logical::backup) async fn cut(
        &self,
        client: &mut Client,
        table: &Table,
        rows: u64,
        before: Option<Before>,
    ) -> Result<Vec<Border>> {
        let rows = (rows / self.count() as u64).max(1);
        let mut attempts = Attempts::default();
        loop {
            let mut borders = Vec::new();
            let done = async {
                self.target(client, 0).await?;
                let mut cutter = Cutter { client, table, rows };
                cutter.cut(before.clone(), |border| borders.push(border)).await
            };
            match done.await {
                Ok(()) => return Ok(borders),
                Err(error) => attempts.again(self, client, error).await?,
            }
        }
    }

    /// Reads a range of a table from every shard; what breaks off goes on behind its last row.
    pub(in crate::logical::backup) async fn copy(
        &self,
        client: &mut Client,
        table: &Table,
        (from, to): (Option<&Key>, Option<&Key>),
        pour: &mut Pour<'_>,
    ) -> Result<()> {
        let places = key_places(table);
        let mut first: Vec<Key> = Vec::new();
        for shard in 0..self.read_of(&table.name) {
            let mut begin: Option<Key> = None;
            let mut last: Option<Key> = None;
            let mut attempts = Attempts::default();
            loop {
                let before = pour.rows();
                let sql = match &last {
                    Some(last) => select::rows_beyond(table, last, to),
                    None => select::rows(table, from, to),
                };
                let seen = (&mut begin, &mut last);
                let done = self.pass(client, table, (shard, &sql), &places, (seen, pour));
                let Some(error) = done.await? else { break };
                let advanced = pour.rows() > before;
                if advanced && last.is_none() {
                    return Err(no_way_on(table, &error));
                }
                if advanced {
                    attempts = Attempts::default();
                }
                attempts.again(self, client, error).await?;
            }
            first.extend(begin);
        }
        self.compare_first(table, first);
        Ok(())
    }

    /// Reads what a statement returns; returns the error with which it broke off. An error of
    /// where the rows go is one that ends all.
    async fn pass(
        &self,
        client: &mut Client,
        table: &Table,
        (shard, sql): (usize, &str),
        places: &Option<Vec<usize>>,
        ((begin, last), pour): ((&mut Option<Key>, &mut Option<Key>), &mut Pour<'_>),
    ) -> Result<Option<Error>> {
        if let Err(error) = self.target(client, shard).await {
            return Ok(Some(error));
        }
        let mut stream = match client.rows(sql).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Some(error)),
        };
        loop {
            let row = match stream.next().await {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
            };
            let key = places.as_ref().map(|places| places.iter().map(|at| row.get(*at)?.clone()));
            let key = key.map(Iterator::collect::<Option<Key>>);
            pour.row(table, row).await?;
            if let Some(key) = key {
                if begin.is_none() {
                    begin.clone_from(&key);
                }
                *last = key;
            }
        }
    }

    /// Counts the rows of a table, shard by shard.
    pub(super) async fn rows_by_shard(
        &self,
        client: &mut Client,
        table: &Table,
    ) -> Result<Vec<u64>> {
        let sql = format!("SELECT COUNT(*) FROM {}", quote_name(&table.name));
        let mut counts = Vec::new();
        for shard in 0..self.count() {
            let mut attempts = Attempts::default();
            let count = loop {
                let counted = async {
                    self.target(client, shard).await?;
                    client.first(&sql).await
                };
                match counted.await {
                    Ok(row) => {
                        break row.and_then(|row| row.number::<u64>(0)).ok_or_else(|| {
                            Error::new(ErrorKind::Failed, "count rows")
                                .because("there is no number")
                        })?;
                    }
                    Err(error) => attempts.again(self, client, error).await?,
                }
            };
            counts.push(count);
        }
        // What is asked next is asked of the keyspace.
        if self.count() > 1 {
            client.execute(&format!("USE {}", quote_name(self.connect.database()))).await?;
        }
        Ok(counts)
    }
}

/// Where the values of a table's key stand in a row; nothing where they are not all in it.
fn key_places(table: &Table) -> Option<Vec<usize>> {
    let place = |name: &str| table.stored().position(|column| column.name == name);
    let places: Option<Vec<usize>> = table.key.iter().map(|column| place(&column.name)).collect();
    places.filter(|places| !places.is_empty())
}

/// Rows have no order by which the rest could be found: all is copied again.
fn no_way_on(table: &Table, error: &Error) -> Error {
    changed(format!("table {} broke off, and has no key by which to go on: {error}", table.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tables::{Column, KeyColumn, KeyKind, Kind};

    #[test]
    fn a_key_is_found_in_rows_unless_it_is_computed() {
        let column = |name: &str, generated| Column {
            name: name.into(),
            data_type: "int".into(),
            charset: None,
            collation: None,
            full_type: "int".into(),
            generated,
            converted: false,
        };
        let key = |name: &str| KeyColumn {
            name: name.into(),
            kind: KeyKind::Number,
            full_type: "int".into(),
            collation: None,
        };
        let mut table = Table {
            name: "t".into(),
            kind: Kind::Plain,
            engine: "InnoDB".into(),
            rows: 0,
            row_bytes: 0,
            bytes: 0,
            versioned: false,
            trouble: None,
            columns: vec![column("g", true), column("a", false), column("b", false)],
            key: vec![key("b"), key("a")],
            key_index: "PRIMARY".into(),
        };
        assert_eq!(key_places(&table), Some(vec![1, 0]));
        table.key.push(key("g"));
        assert_eq!(key_places(&table), None);
        table.key.clear();
        assert_eq!(key_places(&table), None);
    }
}
