//! Loading rows: every writer takes segments from one queue until it is empty.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use backup_core::port::{Observer, PartSource};
use backup_core::{Error, ErrorKind, Event, Part, PartName, Result};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use crate::logical::session::prepare_writing;
use crate::{Client, ConnectOptions, quote_ident, quote_literal};

/// A table part, understood.
#[derive(Clone, Debug)]
pub(crate) struct TablePart {
    pub(crate) part: PartName,
    pub(crate) bytes: u64,
    pub(crate) schema: String,
    pub(crate) table: String,
    columns: Vec<String>,
    encoding: String,
    /// Rows that were copied out.
    pub(crate) rows: u64,
    load_through: Option<(String, String)>,
    /// For an extension's table: its oid, and those to load before it.
    extension: Option<(u32, Vec<u32>)>,
}

impl TablePart {
    /// Reads a part's attributes; nothing when it is no table.
    pub(crate) fn read(part: &Part) -> Result<Option<Self>> {
        if !part.name.as_str().starts_with(crate::logical::names::TABLE_PREFIX) {
            return Ok(None);
        }
        let get = |name: &str| part.attributes.get(name);
        let need = |name: &'static str| {
            get(name).cloned().ok_or_else(|| {
                Error::new(ErrorKind::Integrity, "read table part")
                    .with("part", &part.name)
                    .with("attribute", name)
            })
        };
        let list = |name: &str| -> Option<Vec<String>> { serde_json::from_str(get(name)?).ok() };
        let load_through: Option<[String; 2]> =
            list("load_through").and_then(|names| names.try_into().ok());
        let after: Option<Vec<u32>> = get("after").and_then(|json| serde_json::from_str(json).ok());
        let oid: Option<u32> = get("oid").and_then(|text| text.parse().ok());
        let columns: Option<Vec<String>> = serde_json::from_str(&need("columns")?).ok();
        let invalid = |name: &'static str| {
            Error::new(ErrorKind::Integrity, "read table part")
                .with("part", &part.name)
                .with("attribute", name)
        };
        Ok(Some(Self {
            part: part.name.clone(),
            bytes: part.bytes,
            schema: need("schema")?,
            table: need("table")?,
            columns: columns.ok_or_else(|| invalid("columns"))?,
            encoding: need("encoding")?,
            rows: need("rows")?.parse().map_err(|_| invalid("rows"))?,
            load_through: load_through.map(|[schema, name]| (schema, name)),
            extension: oid.zip(after),
        }))
    }

    /// Returns whether an extension brings the table itself.
    pub(crate) fn is_of_extension(&self) -> bool {
        self.extension.is_some()
    }

    /// Returns the table's name as SQL writes it.
    pub(crate) fn sql_name(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.table))
    }

    /// Returns the table and columns that a COPY is about.
    pub(crate) fn copy_into(&self) -> String {
        let name = match &self.load_through {
            Some((schema, name)) => format!("{}.{}", quote_ident(schema), quote_ident(name)),
            None => self.sql_name(),
        };
        let columns: Vec<String> = self.columns.iter().map(|name| quote_ident(name)).collect();
        if columns.is_empty() { name } else { format!("{name} ({})", columns.join(", ")) }
    }

    /// Returns the encoding of its rows.
    pub(crate) fn encoding(&self) -> &str {
        &self.encoding
    }
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Loads tables with `jobs` writers; with `ordered`, each table's segments one after another,
/// so that rows lie in the order they had. A table whose rows differ in number from what was
/// copied out is an error.
pub(super) async fn load(
    connect: &ConnectOptions,
    parts: &Arc<dyn PartSource>,
    tables: Vec<TablePart>,
    jobs: usize,
    ordered: bool,
    observer: &Arc<dyn Observer>,
) -> Result<Loaded> {
    let (of_extensions, mut plain): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(TablePart::is_of_extension);
    // Their foreign keys exist already: one after another, referenced tables first.
    let first = Queue::new(parts, in_reference_order(of_extensions), true).await?;
    let mut loaded = run(connect, parts, first, 1, observer).await?;
    plain.sort_by_key(|table| Reverse(table.bytes));
    let queue = Queue::new(parts, plain, ordered).await?;
    let rest = run(connect, parts, queue, jobs, observer).await?;
    loaded.rows += rest.rows;
    loaded.bytes += rest.bytes;
    Ok(loaded)
}

/// Positions of segments that one writer loads in order.
struct Unit {
    table: usize,
    segments: std::ops::Range<usize>,
}

struct Queue {
    tables: Vec<Tally>,
    units: Vec<Unit>,
    next: AtomicUsize,
}

struct Tally {
    table: TablePart,
    segments: usize,
    begun: AtomicUsize,
    done: AtomicUsize,
    rows: AtomicU64,
}

impl Queue {
    async fn new(
        parts: &Arc<dyn PartSource>,
        tables: Vec<TablePart>,
        whole_tables: bool,
    ) -> Result<Arc<Self>> {
        let mut units = Vec::new();
        let mut tallies = Vec::with_capacity(tables.len());
        for (table, part) in tables.into_iter().enumerate() {
            let segments = parts.segments(&part.part).await?.len();
            if whole_tables {
                units.push(Unit { table, segments: 0..segments });
            } else {
                units.extend((0..segments).map(|at| Unit { table, segments: at..at + 1 }));
            }
            tallies.push(Tally {
                table: part,
                segments,
                begun: AtomicUsize::new(0),
                done: AtomicUsize::new(0),
                rows: AtomicU64::new(0),
            });
        }
        Ok(Arc::new(Self { tables: tallies, units, next: AtomicUsize::new(0) }))
    }

    fn next(&self) -> Option<(&Tally, &Unit)> {
        let unit = self.units.get(self.next.fetch_add(1, Relaxed))?;
        Some((self.tables.get(unit.table)?, unit))
    }
}

async fn run(
    connect: &ConnectOptions,
    parts: &Arc<dyn PartSource>,
    queue: Arc<Queue>,
    jobs: usize,
    observer: &Arc<dyn Observer>,
) -> Result<Loaded> {
    let mut writers = JoinSet::new();
    for _ in 0..jobs.min(queue.units.len()) {
        let writer = Writer {
            connect: connect.clone(),
            parts: Arc::clone(parts),
            queue: Arc::clone(&queue),
            observer: Arc::clone(observer),
        };
        writers.spawn(writer.work());
    }
    let mut loaded = Loaded::default();
    while let Some(ended) = writers.join_next().await {
        let ended =
            ended.map_err(|error| Error::new(ErrorKind::Failed, "load rows").because(error))?;
        loaded.bytes += ended?;
    }
    for tally in &queue.tables {
        let rows = tally.rows.load(Relaxed);
        if rows != tally.table.rows {
            return Err(Error::new(ErrorKind::Integrity, "load rows")
                .with("table", format!("{}.{}", tally.table.schema, tally.table.table))
                .with("rows copied out", tally.table.rows)
                .with("rows loaded", rows));
        }
        loaded.rows += rows;
    }
    Ok(loaded)
}

struct Writer {
    connect: ConnectOptions,
    parts: Arc<dyn PartSource>,
    queue: Arc<Queue>,
    observer: Arc<dyn Observer>,
}

impl Writer {
    async fn work(self) -> Result<u64> {
        let mut client = Client::connect(&self.connect).await?;
        prepare_writing(&mut client).await?;
        let mut bytes = 0;
        while let Some((tally, unit)) = self.queue.next() {
            self.begin(tally);
            for position in unit.segments.clone() {
                bytes += self.segment(&mut client, tally, position).await.map_err(|error| {
                    let table = &tally.table;
                    error.with("table", format!("{}.{}", table.schema, table.table))
                })?;
                self.end(tally);
            }
        }
        client.close().await;
        Ok(bytes)
    }

    fn begin(&self, tally: &Tally) {
        if tally.begun.fetch_add(1, Relaxed) == 0 {
            self.observer.on_event(&Event::PartStarted {
                part: tally.table.part.clone(),
                expected_bytes: Some(tally.table.bytes),
            });
        }
    }

    fn end(&self, tally: &Tally) {
        if tally.done.fetch_add(1, Relaxed) + 1 == tally.segments {
            self.observer.on_event(&Event::PartFinished {
                part: tally.table.part.clone(),
                rows: Some(tally.rows.load(Relaxed)),
                bytes: tally.table.bytes,
            });
        }
    }

    async fn segment(&self, client: &mut Client, tally: &Tally, position: usize) -> Result<u64> {
        let table = &tally.table;
        let mut stream = self.parts.read(&table.part, position).await?;
        let encoding = quote_literal(table.encoding());
        let sql = format!("COPY {} FROM STDIN (ENCODING {encoding})", table.copy_into());
        let mut copy = client.copy_in(&sql).await?;
        let mut bytes = 0;
        while let Some(piece) = stream.try_next().await? {
            copy.write(&piece).await?;
            bytes += piece.len() as u64;
            self.observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
        }
        tally.rows.fetch_add(copy.finish().await?, Relaxed);
        Ok(bytes)
    }
}

/// Orders an extension's tables so that what they reference comes first; a cycle keeps its
/// order.
fn in_reference_order(tables: Vec<TablePart>) -> Vec<TablePart> {
    let known: BTreeSet<u32> =
        tables.iter().filter_map(|table| Some(table.extension.as_ref()?.0)).collect();
    let mut waiting = tables;
    let mut ordered = Vec::new();
    let mut placed = BTreeSet::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|table| {
            table.extension.as_ref().is_none_or(|(_, after)| {
                after.iter().all(|oid| placed.contains(oid) || !known.contains(oid))
            })
        });
        let table = waiting.remove(ready.unwrap_or(0));
        placed.extend(table.extension.as_ref().map(|(oid, _)| *oid));
        ordered.push(table);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, oid: u32, after: &[u32]) -> TablePart {
        TablePart {
            part: PartName::new(name),
            bytes: 0,
            schema: "s".into(),
            table: name.into(),
            columns: Vec::new(),
            encoding: "UTF8".into(),
            rows: 0,
            load_through: None,
            extension: Some((oid, after.to_vec())),
        }
    }

    #[test]
    fn referenced_tables_come_first_and_cycles_end() {
        let tables = vec![table("a", 1, &[2]), table("b", 2, &[3, 99]), table("c", 3, &[])];
        let names: Vec<String> =
            in_reference_order(tables).into_iter().map(|table| table.table).collect();
        assert_eq!(names, ["c", "b", "a"]);
        assert_eq!(in_reference_order(vec![table("a", 1, &[2]), table("b", 2, &[1])]).len(), 2);
    }
}
