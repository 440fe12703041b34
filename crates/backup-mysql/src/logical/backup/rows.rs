//! Readers at work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use backup_core::port::{BaseSnapshot, Observer, PartSink};
use backup_core::{Error, ErrorKind, Event, Fingerprint, Layout, Result, TableEvidence};

use super::plan::{Before, Cutter, key_attribute};
use super::pour::{Pour, Poured};
use super::queue::{Queue, Task};
use super::select;
use super::vitess::Shards;
use crate::Client;
use crate::catalog::tables::Table;
use crate::logical::borders::{self, Border};
use crate::logical::names::{borders_part, table_part};
use crate::logical::rate::RateLimit;

/// Releases the lock on a table's definition once a piece of it was read, so that nobody who wants
/// to change it waits for the whole backup: such a change fails the backup instead.
const MARK: &str = "backup_piece";

/// What all readers share.
pub(super) struct Reading<'a> {
    pub(super) queue: &'a Queue,
    pub(super) sink: &'a dyn PartSink,
    pub(super) observer: &'a dyn Observer,
    pub(super) rate: &'a RateLimit,
    pub(super) database: &'a str,
    pub(super) tables: &'a [Table],
    pub(super) base: Option<BaseSnapshot>,
    states: Vec<Mutex<State>>,
    /// Tables without transactions that are still to be read, and who holds them still.
    loose: AtomicUsize,
    keeper: tokio::sync::Mutex<Option<Client>>,
    /// Behind Vitess there is no transaction to read in.
    shards: Option<&'a Shards>,
}

/// How far a table is.
#[derive(Debug, Default)]
struct State {
    borders: Vec<Border>,
    open: usize,
    planned: bool,
    rows: u64,
    bytes: u64,
    fingerprint: Fingerprint,
    longest: u64,
}

/// The order in which tables are read: those that somebody waits for, then the largest.
pub(super) fn order(tables: &[Table]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..tables.len()).filter(|at| tables.get(*at).is_some_and(is_read)).collect();
    order.sort_by_key(|at| {
        let table = tables.get(*at);
        (table.is_none_or(Table::is_transactional), std::cmp::Reverse(table.map_or(0, |t| t.bytes)))
    });
    order
}

fn is_read(table: &Table) -> bool {
    table.holds_rows()
}

impl<'a> Reading<'a> {
    /// Begins; `keeper` is let go when the tables it holds have been read.
    pub(super) fn new(
        shared: (&'a Queue, &'a dyn PartSink, &'a dyn Observer, &'a RateLimit),
        database: &'a str,
        tables: &'a [Table],
        base: Option<BaseSnapshot>,
        keeper: Option<Client>,
    ) -> Self {
        let (queue, sink, observer, rate) = shared;
        let loose = tables.iter().filter(|table| is_read(table) && !table.is_transactional());
        Self {
            queue,
            sink,
            observer,
            rate,
            database,
            tables,
            base,
            states: tables.iter().map(|_| Mutex::new(State::default())).collect(),
            loose: AtomicUsize::new(loose.count()),
            keeper: tokio::sync::Mutex::new(keeper),
            shards: None,
        }
    }

    /// Reads shard by shard, without a transaction.
    pub(super) fn through(self, shards: &'a Shards) -> Self {
        Self { shards: Some(shards), ..self }
    }

    /// Reads everything and returns what was read.
    pub(super) async fn run(self, readers: &mut [Client]) -> Result<Vec<TableEvidence>> {
        let work = readers.iter_mut().map(|reader| self.work(reader));
        futures::future::try_join_all(work).await?;
        let mut evidence = Vec::new();
        for (table, state) in self.tables.iter().zip(self.states) {
            let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
            if !is_read(table) {
                continue;
            }
            evidence.push(TableEvidence {
                schema: self.database.to_owned(),
                name: table.name.clone(),
                rows: state.rows,
                bytes: state.bytes,
                fingerprint: Some(state.fingerprint),
                root: None,
            });
        }
        Ok(evidence)
    }

    async fn work(&self, client: &mut Client) -> Result<()> {
        while let Some(task) = self.queue.next().await {
            let (number, done) = match task {
                Task::Plan(number) => (number, self.plan(client, number).await),
                Task::Copy(number, from, to) => (number, self.copy(client, number, from, to).await),
            };
            if let Err(error) = done {
                self.queue.stop();
                return Err(named(error, self.database, self.tables.get(number)));
            }
        }
        Ok(())
    }

    /// Cuts a table into segments.
    async fn plan(&self, client: &mut Client, number: usize) -> Result<()> {
        let table = self.table(number)?;
        let part = table_part(&table.name);
        let layout = if table.key.is_empty() { Layout::Stream } else { Layout::Segments };
        let expected = Some(table.bytes);
        self.observer
            .on_event(&Event::PartStarted { part: part.clone(), expected_bytes: expected });
        self.sink.begin_part(&part, layout).await?;
        if let Some(shards) = self.shards {
            shards.look_for_reference(client, table).await?;
        }
        let mut last = Border::first();
        if !table.key.is_empty() {
            let previous = self.sink.previous(&part);
            let before = Before::read(self.base.as_ref(), previous.as_ref(), table).await;
            let row_bytes = (table.bytes / table.rows.max(1)).max(table.row_bytes).max(16);
            let rows = borders::rows_per_segment(row_bytes);
            let mut found = |border: Border| {
                let from = std::mem::replace(&mut last, border.clone());
                self.open(number, from, Some(border));
            };
            if let Some(shards) = self.shards {
                shards.cut(client, table, rows, before).await?.into_iter().for_each(found);
            } else {
                client.execute(&format!("SAVEPOINT {MARK}")).await?;
                Cutter { client, table, rows }.cut(before, &mut found).await?;
                client.execute(&format!("ROLLBACK TO SAVEPOINT {MARK}")).await?;
            }
        }
        self.open(number, last, None);
        self.state(number, |state| state.planned = true)?;
        self.queue.planned();
        Ok(())
    }

    fn open(&self, number: usize, from: Border, to: Option<Border>) {
        let noted = self.state(number, |state| {
            state.open += 1;
            state.borders.push(from.clone());
        });
        if noted.is_ok() {
            self.queue.add(number, from, to);
        }
    }

    /// Copies one segment.
    async fn copy(
        &self,
        client: &mut Client,
        number: usize,
        from: Border,
        to: Option<Border>,
    ) -> Result<()> {
        let table = self.table(number)?;
        let part = table_part(&table.name);
        let to = to.as_ref().and_then(|to| to.key.as_ref());
        let segment = self.sink.segment(&part, from.address).await?;
        let mut pour = Pour::new(segment, self.rate, self.observer);
        if let Some(shards) = self.shards {
            shards.copy(client, table, (from.key.as_ref(), to), &mut pour).await?;
        } else {
            let sql = select::rows(table, from.key.as_ref(), to);
            client.execute(&format!("SAVEPOINT {MARK}")).await?;
            let mut stream = client.rows(&sql).await?;
            while let Some(row) = stream.next().await? {
                pour.row(table, row).await?;
            }
            drop(stream);
        }
        let Poured { rows, bytes, sum } = pour.end().await?;
        if self.shards.is_none() {
            client.execute(&format!("ROLLBACK TO SAVEPOINT {MARK}")).await?;
        }
        let whole = self.state(number, |state| {
            state.rows += rows;
            state.bytes += bytes;
            state.fingerprint += sum;
            state.longest = state.longest.max(bytes);
            state.open -= 1;
            state.planned && state.open == 0
        })?;
        if whole { self.finish(number).await } else { Ok(()) }
    }

    async fn finish(&self, number: usize) -> Result<()> {
        let table = self.table(number)?;
        let part = table_part(&table.name);
        let (rows, bytes, longest, borders) = self.state(number, |state| {
            (state.rows, state.bytes, state.longest, std::mem::take(&mut state.borders))
        })?;
        if borders.len() > 1 {
            let name = borders_part(&table.name);
            self.sink.begin_part(&name, Layout::Stream).await?;
            let mut segment = self.sink.segment(&name, 0).await?;
            segment.write(&borders::write(&borders)).await?;
            segment.finish().await?;
            self.sink.finish_part(&name, BTreeMap::new()).await?;
        }
        self.sink.finish_part(&part, attributes(table, rows, longest)?).await?;
        self.observer.on_event(&Event::PartFinished { part, rows: Some(rows), bytes });
        if !table.is_transactional()
            && self.loose.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(mut keeper) = self.keeper.lock().await.take()
        {
            keeper.execute("UNLOCK TABLES").await?;
            keeper.close().await;
        }
        Ok(())
    }

    fn table(&self, number: usize) -> Result<&'a Table> {
        self.tables.get(number).ok_or_else(|| Error::new(ErrorKind::Failed, "find table to read"))
    }

    fn state<T>(&self, number: usize, with: impl FnOnce(&mut State) -> T) -> Result<T> {
        let state = self.states.get(number);
        let state = state.ok_or_else(|| Error::new(ErrorKind::Failed, "find table to read"))?;
        Ok(with(&mut state.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What a restore, or the next snapshot, wants to know of a table's part.
fn attributes(table: &Table, rows: u64, longest: u64) -> Result<BTreeMap<String, String>> {
    let json = |list: Vec<&str>| {
        serde_json::to_string(&list)
            .map_err(|error| Error::new(ErrorKind::Failed, "describe table").because(error))
    };
    let mut attributes = BTreeMap::from([
        ("table".to_owned(), table.name.clone()),
        ("columns".to_owned(), json(table.stored().map(|c| c.name.as_str()).collect())?),
        ("types".to_owned(), json(table.stored().map(|c| c.data_type.as_str()).collect())?),
        ("rows".to_owned(), rows.to_string()),
        ("longest_segment".to_owned(), longest.to_string()),
    ]);
    if !table.key.is_empty() {
        attributes.insert("key".to_owned(), key_attribute(table));
    }
    Ok(attributes)
}

/// A table that cannot be read is named.
fn named(error: Error, database: &str, table: Option<&Table>) -> Error {
    let Some(table) = table else { return error };
    let (kind, temporary) = (error.kind(), error.status() == backup_core::ErrorStatus::Temporary);
    let outer = Error::new(kind, "copy table").with("table", format!("{database}.{}", table.name));
    let outer = if temporary { outer.temporary() } else { outer };
    outer.because(error)
}
