//! Loading rows: every writer takes segments from one queue until it is empty.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use backup_core::port::{Observer, PartSource};
use backup_core::{Error, ErrorKind, Event, PartName, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use tokio::task::{JoinHandle, JoinSet};

use super::table::{TablePart, in_reference_order};
use crate::logical::session::prepare_writing;
use crate::{Client, ConnectOptions, quote_literal};

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// How rows are loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Each table's segments one after another.
    pub(super) ordered: bool,
    /// Without firing triggers or checking keys: the tables were there before.
    pub(super) quietly: bool,
}

/// Loads tables with `jobs` writers; with `ordered`, each table's segments one after another,
/// so that rows lie in the order they had; with `quietly`, without firing triggers or checking
/// keys. A table whose rows differ in number from what was
/// copied out is an error.
pub(super) async fn load(
    connect: &ConnectOptions,
    parts: &Arc<dyn PartSource>,
    tables: Vec<TablePart>,
    jobs: usize,
    how: How,
    observer: &Arc<dyn Observer>,
) -> Result<Loaded> {
    let (of_extensions, mut plain): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(TablePart::is_of_extension);
    // Their foreign keys exist already: one after another, referenced tables first.
    let first = Queue::new(parts, in_reference_order(of_extensions), true).await?;
    let mut loaded = run(connect, parts, first, 1, how.quietly, observer).await?;
    plain.sort_by_key(|table| Reverse(table.bytes));
    let queue = Queue::new(parts, plain, how.ordered).await?;
    let rest = run(connect, parts, queue, jobs, how.quietly, observer).await?;
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

    fn next(&self) -> Option<&Unit> {
        self.units.get(self.next.fetch_add(1, Relaxed))
    }
}

async fn run(
    connect: &ConnectOptions,
    parts: &Arc<dyn PartSource>,
    queue: Arc<Queue>,
    jobs: usize,
    quietly: bool,
    observer: &Arc<dyn Observer>,
) -> Result<Loaded> {
    let mut writers = JoinSet::new();
    for _ in 0..jobs.min(queue.units.len()) {
        let writer = Writer {
            connect: connect.clone(),
            parts: Arc::clone(parts),
            queue: Arc::clone(&queue),
            quietly,
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
    quietly: bool,
    observer: Arc<dyn Observer>,
}

impl Writer {
    async fn work(self) -> Result<u64> {
        let mut client = Client::connect(&self.connect).await?;
        prepare_writing(&mut client).await?;
        if self.quietly {
            client.execute("SET session_replication_role = replica").await?;
        }
        let mut bytes = 0;
        let mut unit = None;
        let mut ahead = self.fetch_next(&mut unit);
        while let Some((tally, fetched)) = ahead {
            self.begin(tally);
            let about = |error: Error| {
                let table = &tally.table;
                error.with("table", format!("{}.{}", table.schema, table.table))
            };
            let segment = fetched.wait().await.map_err(about)?;
            // The next one is read while this one is loaded.
            ahead = self.fetch_next(&mut unit);
            bytes += self.segment(&mut client, tally, segment).await.map_err(about)?;
            self.end(tally);
        }
        client.close().await;
        Ok(bytes)
    }

    /// Starts to read the next segment of `unit`, or of the next unit; none when all are taken.
    fn fetch_next(
        &self,
        unit: &mut Option<(usize, std::ops::Range<usize>)>,
    ) -> Option<(&Tally, Fetched)> {
        loop {
            if let Some((table, segments)) = unit
                && let Some(position) = segments.next()
            {
                let tally = self.queue.tables.get(*table)?;
                let (parts, part) = (Arc::clone(&self.parts), tally.table.part.clone());
                return Some((tally, Fetched::begin(parts, part, position)));
            }
            let next = self.queue.next()?;
            *unit = Some((next.table, next.segments.clone()));
        }
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

    async fn segment(
        &self,
        client: &mut Client,
        tally: &Tally,
        (first, mut rest): (Option<Bytes>, Pieces),
    ) -> Result<u64> {
        let table = &tally.table;
        let encoding = quote_literal(table.encoding());
        let sql = format!("COPY {} FROM STDIN (ENCODING {encoding})", table.copy_into());
        let mut copy = client.copy_in(&sql).await?;
        let mut bytes = 0;
        let mut next = first;
        while let Some(piece) = next.take() {
            copy.write(&piece).await?;
            bytes += piece.len() as u64;
            self.observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
            drop(piece);
            next = rest.try_next().await?;
        }
        tally.rows.fetch_add(copy.finish().await?, Relaxed);
        Ok(bytes)
    }
}

type Pieces = BoxStream<'static, Result<Bytes>>;

/// A segment being read: its first piece, and the way to the others. Dropped, it stops.
struct Fetched(JoinHandle<Result<(Option<Bytes>, Pieces)>>);

impl Fetched {
    fn begin(parts: Arc<dyn PartSource>, part: PartName, position: usize) -> Self {
        Self(tokio::spawn(async move {
            let mut pieces = parts.read(&part, position).await?;
            Ok((pieces.try_next().await?, pieces))
        }))
    }

    async fn wait(mut self) -> Result<(Option<Bytes>, Pieces)> {
        let read = (&mut self.0).await;
        read.map_err(|error| Error::new(ErrorKind::Failed, "load rows").because(error))?
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.0.abort();
    }
}
