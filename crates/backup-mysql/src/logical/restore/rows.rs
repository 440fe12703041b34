//! Loading rows, several segments at a time.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use backup_core::port::{Observer, PartSource};
use backup_core::{Error, ErrorKind, ErrorStatus, Event, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::enums::{self, Empties};
use super::insert::Inserts;
use super::part::TablePart;
use super::session::writing;
use crate::catalog::server::Server;
use crate::wire::code;
use crate::{Client, ConnectOptions, error_code, quote_name};

/// How often a segment is tried again that a deadlock, or a lock, kept out.
const ATTEMPTS: u32 = 5;
/// The longest statement of rows, where it is not the server's own limit.
const LONGEST_STATEMENT: usize = 1 << 20;

/// The longest packet of a file.
const LONGEST_PIECE: usize = 256 << 10;

/// What Vitess passes on in one message, at PlanetScale.
const LONGEST_MESSAGE: usize = 64 << 20;

/// How rows are handed to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `LOAD DATA LOCAL INFILE`.
    Load,
    /// INSERT statements: of about `longest` bytes, where one row does not take more, and of at
    /// most `limit`, the server's `max_allowed_packet`.
    Insert { longest: usize, limit: usize },
    /// As those, of at most [`MOST_ROWS`] rows, each a transaction of its own.
    Pieces { longest: usize, limit: usize },
}

/// How rows are loaded.
pub(super) struct Manner<'a> {
    pub(super) way: Way,
    pub(super) jobs: NonZeroUsize,
    pub(super) observer: &'a dyn Observer,
}

/// How many rows one statement inserts where statements are limited: a tenth of what Vitess takes.
const MOST_ROWS: usize = 10_000;

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Asks the server which way it takes.
pub(super) async fn way(client: &mut Client, server: &Server) -> Result<Way> {
    if server.vitess {
        return Ok(Way::Pieces { longest: LONGEST_STATEMENT, limit: LONGEST_MESSAGE });
    }
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('local_infile', 'max_allowed_packet')";
    let rows = client.query(sql).await?;
    let variables: BTreeMap<String, String> =
        rows.iter().map(|row| (row.text(0), row.text(1))).collect();
    if variables.get("local_infile").is_some_and(|value| value == "ON" || value == "1") {
        return Ok(Way::Load);
    }
    let most = variables.get("max_allowed_packet").and_then(|text| text.parse::<usize>().ok());
    let limit = most.unwrap_or(LONGEST_STATEMENT);
    Ok(Way::Insert { longest: limit.saturating_sub(1024).min(LONGEST_STATEMENT), limit })
}

/// What is done to a table, told by its place among them, once all of its rows are in.
pub(super) type Then<'a> = &'a (dyn Fn(usize) -> BoxFuture<'a, Result<()>> + Sync);

/// What all writers share.
struct Loading<'a, 't> {
    parts: &'a Arc<dyn PartSource>,
    observer: &'a dyn Observer,
    tables: &'a [TablePart],
    queue: Mutex<VecDeque<(usize, usize)>>,
    /// Rows that arrived, by table.
    rows: Vec<AtomicU64>,
    /// Segments that are not in yet, by table.
    left: Vec<AtomicUsize>,
    bytes: AtomicU64,
    way: Way,
    then: Then<'t>,
}

/// Loads the rows of these tables, the largest first, and does to each what comes `then` while others
/// are still loaded. The server's count of each table's rows must be that of the
/// snapshot; whatever it changes or leaves out is an error.
pub(super) async fn load(
    connect: &ConnectOptions,
    facts: &BTreeMap<String, String>,
    parts: &Arc<dyn PartSource>,
    tables: &[TablePart],
    manner: Manner<'_>,
    then: Then<'_>,
) -> Result<Loaded> {
    let Manner { way, jobs, observer } = manner;
    let mut by_size: Vec<usize> = (0..tables.len()).collect();
    by_size.sort_by_key(|at| std::cmp::Reverse(tables.get(*at).map_or(0, |table| table.bytes)));
    let mut queue = VecDeque::new();
    let mut left = vec![0_usize; tables.len()];
    for at in by_size {
        let (Some(table), Some(left)) = (tables.get(at), left.get_mut(at)) else { continue };
        for (position, segment) in parts.segments(&table.part).await?.iter().enumerate() {
            if segment.bytes > 0 {
                queue.push_back((at, position));
                *left += 1;
            }
        }
    }
    let empty = (0..).zip(&left).filter(|(_, left)| **left == 0).map(|(at, _)| then(at));
    let empty: Vec<_> = empty.collect();
    let workers = jobs.get().min(queue.len());
    let loading = Loading {
        parts,
        observer,
        tables,
        queue: Mutex::new(queue),
        rows: tables.iter().map(|_| AtomicU64::new(0)).collect(),
        left: left.into_iter().map(AtomicUsize::new).collect(),
        bytes: AtomicU64::new(0),
        way,
        then,
    };
    let work = (0..workers).map(|_| loading.work(connect, facts));
    futures::future::try_join_all(work).await?;
    let empty = futures::stream::iter(empty).buffer_unordered(jobs.get());
    empty.try_collect::<Vec<()>>().await?;
    let mut done = Loaded { rows: 0, bytes: loading.bytes.load(Ordering::Relaxed) };
    for (table, rows) in tables.iter().zip(&loading.rows) {
        let rows = rows.load(Ordering::Relaxed);
        if rows != table.rows {
            return Err(Error::new(ErrorKind::Integrity, "load rows")
                .with("table", &table.table)
                .with("rows loaded", rows)
                .with("rows in snapshot", table.rows));
        }
        done.rows += rows;
    }
    Ok(done)
}

impl Loading<'_, '_> {
    async fn work(&self, connect: &ConnectOptions, facts: &BTreeMap<String, String>) -> Result<()> {
        let mut client = writing(connect, facts).await?;
        while let Some((at, position)) = self.next() {
            let Some(table) = self.tables.get(at) else { continue };
            let named = |error: Error| {
                Error::new(error.kind(), "load table").with("table", &table.table).because(error)
            };
            let mut attempt = 1;
            let rows = loop {
                match self.segment(&mut client, table, position).await {
                    Ok(rows) => break rows,
                    Err(error)
                        if attempt < ATTEMPTS
                            && is_kept_out(&error)
                            && !matches!(self.way, Way::Pieces { .. }) =>
                    {
                        attempt += 1;
                        // What was inserted before the statement that failed is still there.
                        client.execute("ROLLBACK").await?;
                        if client.warnings() > 0 {
                            return Err(named(
                                error.with("left behind", "rows without a transaction"),
                            ));
                        }
                    }
                    Err(error) => return Err(named(error)),
                }
            };
            if let Some(count) = self.rows.get(at) {
                count.fetch_add(rows, Ordering::Relaxed);
            }
            let last = |left: &AtomicUsize| left.fetch_sub(1, Ordering::AcqRel) == 1;
            if self.left.get(at).is_some_and(last) {
                (self.then)(at).await?;
            }
        }
        client.close().await;
        Ok(())
    }

    fn next(&self) -> Option<(usize, usize)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn segment(
        &self,
        client: &mut Client,
        table: &TablePart,
        position: usize,
    ) -> Result<u64> {
        let stream = self.parts.read(&table.part, position).await?;
        let bytes = match self.way {
            Way::Load => {
                let segments = self.parts.segments(&table.part).await?;
                segments.get(position).map_or(0, |segment| segment.bytes)
            }
            Way::Insert { .. } | Way::Pieces { .. } => 0,
        };
        let rows = match self.way {
            Way::Load => load_file(client, table, stream).await?,
            Way::Insert { longest, limit } | Way::Pieces { longest, limit } => {
                self.insert(client, table, stream, (longest, limit)).await?
            }
        };
        self.observer.on_event(&Event::Progress { bytes });
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(rows)
    }

    async fn insert(
        &self,
        client: &mut Client,
        table: &TablePart,
        mut stream: BoxStream<'static, Result<Bytes>>,
        (longest, limit): (usize, usize),
    ) -> Result<u64> {
        let alone = matches!(self.way, Way::Pieces { .. });
        // Complaints that are not passed on must be errors.
        let mut inserts = Inserts::new(&quote_name(&table.table), table, longest, !alone);
        if alone {
            inserts = inserts.with_rows(MOST_ROWS);
        }
        let (mut rest, mut rows, mut taken) = (Vec::new(), 0_u64, 0_u64);
        if !alone {
            client.execute("START TRANSACTION").await?;
        }
        while let Some(piece) = stream.try_next().await? {
            let mut from = 0;
            for end in memchr::memchr_iter(b'\n', &piece) {
                rest.extend_from_slice(piece.get(from..end).unwrap_or_default());
                from = end + 1;
                rows += 1;
                if let Some(statement) = inserts.add(&rest, table)? {
                    taken += self.give(client, table, &statement, limit).await?;
                }
                rest.clear();
            }
            rest.extend_from_slice(piece.get(from..).unwrap_or_default());
            self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            self.observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
        }
        if let Some(statement) = inserts.take() {
            taken += self.give(client, table, &statement, limit).await?;
        }
        if taken != rows {
            return Err(Error::new(ErrorKind::Integrity, "load rows")
                .with("rows that the server took", taken)
                .with("rows handed over", rows));
        }
        if !alone {
            client.execute("COMMIT").await?;
        }
        if rest.is_empty() { Ok(rows) } else { Err(half_a_row()) }
    }

    /// Gives a statement to the server; one that is a transaction of its own is given again when a
    /// lock kept it out, since nothing of it was done.
    async fn give(
        &self,
        client: &mut Client,
        table: &TablePart,
        statement: &[u8],
        limit: usize,
    ) -> Result<u64> {
        for _ in 1..ATTEMPTS {
            match execute_exact(client, table, statement, limit).await {
                Err(error) if matches!(self.way, Way::Pieces { .. }) && is_kept_out(&error) => {}
                done => return done,
            }
        }
        execute_exact(client, table, statement, limit).await
    }
}

fn half_a_row() -> Error {
    Error::new(ErrorKind::Integrity, "load rows").because("a segment ends inside a row")
}

/// What another writer's lock did; the statement is undone, so that it can be given again.
fn is_kept_out(error: &Error) -> bool {
    error_code(error).is_some_and(|found| matches!(found, code::LOCK_WAIT | 1213))
        && error.status() == ErrorStatus::Temporary
}

async fn load_file(
    client: &mut Client,
    table: &TablePart,
    stream: BoxStream<'static, Result<Bytes>>,
) -> Result<u64> {
    // What reading the snapshot fails with is told as it is, not as the driver's failure.
    let failure: Arc<Mutex<Option<Error>>> = Arc::default();
    let slot = Arc::clone(&failure);
    let empties = Arc::new(Mutex::new(Empties::of(table)));
    let passing = Arc::clone(&empties);
    let file = in_pieces(stream).map(move |piece| {
        if let Ok(piece) = &piece {
            passing.lock().unwrap_or_else(PoisonError::into_inner).feed(piece);
        }
        piece.map_err(|error| {
            let said = std::io::Error::other(error.to_string());
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            said
        })
    });
    let sql = format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' \
         LINES TERMINATED BY '\\n' {}",
        quote_name(&table.table),
        table.load_columns()
    );
    let loaded = client.load(&sql, file.boxed()).await;
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let loaded = loaded?;
    if !loaded.is_exact() {
        let empty = empties.lock().unwrap_or_else(PoisonError::into_inner).count;
        let only_warned = loaded.skipped == 0 && loaded.deleted == 0;
        if !only_warned || !is_harmless(client, table, loaded.warnings, empty).await? {
            return Err(complaint(client, loaded.skipped, loaded.warnings).await);
        }
    }
    Ok(loaded.records)
}

/// Cuts bytes so that no packet is longer than a server takes.
fn in_pieces(
    stream: BoxStream<'static, Result<Bytes>>,
) -> impl futures::Stream<Item = Result<Bytes>> + Send + 'static {
    stream.flat_map(|piece| {
        let pieces: Vec<Result<Bytes>> = match piece {
            Err(error) => vec![Err(error)],
            Ok(mut rest) => {
                let mut pieces = Vec::new();
                while rest.len() > LONGEST_PIECE {
                    pieces.push(Ok(rest.split_to(LONGEST_PIECE)));
                }
                pieces.push(Ok(rest));
                pieces
            }
        };
        futures::stream::iter(pieces)
    })
}

/// Whether all that the server complained of is values of enumerations that are no member, of
/// which so many were handed over.
async fn is_harmless(
    client: &mut Client,
    table: &TablePart,
    warnings: u64,
    empty: u64,
) -> Result<bool> {
    if warnings > empty {
        return Ok(false);
    }
    let shown = client.query("SHOW WARNINGS").await?;
    Ok(shown.iter().all(|row| enums::is_about(table, &row.text(1), &row.text(2))))
}

/// Runs an INSERT and returns how many rows the server took; whatever it complains of is an
/// error.
async fn execute_exact(
    client: &mut Client,
    table: &TablePart,
    statement: &[u8],
    limit: usize,
) -> Result<u64> {
    // The server would hang up, which tells nobody anything.
    if statement.len() >= limit {
        return Err(Error::new(ErrorKind::Failed, "insert row")
            .with("bytes of the statement", statement.len())
            .with("max_allowed_packet", limit)
            .because("a row is longer than the target's server takes in one statement")
            .hint(
                "Raise max_allowed_packet on the target, or switch local_infile on there: files \
                 are taken in pieces.",
            ));
    }
    client.execute_bytes(statement).await?;
    let taken = client.affected_rows();
    match u64::from(client.warnings()) {
        0 => Ok(taken),
        // How many were handed over is not known here; each that is complained of is looked at.
        warnings if is_harmless(client, table, warnings, warnings).await? => Ok(taken),
        warnings => Err(complaint(client, 0, warnings).await),
    }
}

/// Says what the server complained of first.
async fn complaint(client: &mut Client, skipped: u64, warnings: u64) -> Error {
    let shown = client.first("SHOW WARNINGS LIMIT 1").await;
    let first = shown.ok().flatten().map(|row| row.text(2)).unwrap_or_default();
    Error::new(ErrorKind::Failed, "load rows exactly")
        .with("rows left out", skipped)
        .with("values changed", warnings)
        .because(first)
        .hint(
            "The target's table does not take what the source's held; nothing is changed silently.",
        )
}
