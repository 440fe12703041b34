//! Reading rows: every reader takes segments from the queue until it is empty.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use backup_core::port::{Observer, PartSink};
use backup_core::{Event, Fingerprint, Layout, PartName, Result, TableEvidence};
use futures::future::try_join_all;
use tokio::sync::OnceCell;

use super::queue::{Job, Queue};
use crate::logical::fingerprint::RowHasher;
use crate::logical::names::table_part;
use crate::logical::ranges::Segment;
use crate::logical::rate::RateLimit;
use crate::{Client, quote_ident, quote_literal};

/// What readers share.
pub(super) struct Reading<'a> {
    pub(super) queue: &'a Queue,
    pub(super) sink: &'a dyn PartSink,
    pub(super) observer: &'a dyn Observer,
    pub(super) rate: &'a RateLimit,
    pub(super) encoding: &'a str,
}

/// What is counted of one table while it is read.
#[derive(Default)]
struct Tally {
    begun: OnceCell<()>,
    done: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    longest: AtomicU64,
    fingerprint: Mutex<Fingerprint>,
}

impl Tally {
    fn add(&self, fingerprint: Fingerprint) {
        let sum = self.fingerprint.lock();
        *sum.unwrap_or_else(PoisonError::into_inner) += fingerprint;
    }

    fn fingerprint(&self) -> Fingerprint {
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading<'_> {
    /// Reads every table; returns their evidence in reading order.
    pub(super) async fn run(&self, readers: &mut [Client]) -> Result<Vec<TableEvidence>> {
        let jobs = self.queue.jobs();
        let tallies: Vec<Tally> = jobs.iter().map(|_| Tally::default()).collect();
        try_join_all(readers.iter_mut().map(|reader| self.work(reader, &tallies))).await?;
        let evidence = jobs.iter().zip(&tallies).map(|(job, tally)| TableEvidence {
            schema: job.table.schema.clone(),
            name: job.table.name.clone(),
            rows: tally.rows.load(Relaxed),
            bytes: tally.bytes.load(Relaxed),
            fingerprint: Some(tally.fingerprint()),
            root: job.table.load_through.as_ref().map(|(schema, name)| format!("{schema}.{name}")),
        });
        Ok(evidence.collect())
    }

    async fn work(&self, reader: &mut Client, tallies: &[Tally]) -> Result<()> {
        let mut buffer = Vec::new();
        while let Some((position, segment)) = self.queue.next() {
            let (Some(job), Some(tally)) = (self.queue.jobs().get(position), tallies.get(position))
            else {
                break;
            };
            let part = table_part(&job.table.schema, &job.table.name);
            tally.begun.get_or_try_init(|| self.begin(&part, job)).await?;
            self.segment(reader, job, &part, segment, tally, &mut buffer).await.map_err(
                |error| error.with("table", job.table.label()).with("segment", segment.start),
            )?;
            if tally.done.fetch_add(1, Relaxed) + 1 == job.segments {
                self.finish(part, job, tally).await?;
            }
        }
        Ok(())
    }

    async fn begin(&self, part: &PartName, job: &Job) -> Result<()> {
        self.observer.on_event(&Event::PartStarted {
            part: part.clone(),
            expected_bytes: Some(job.table.extent.bytes),
        });
        self.sink.begin_part(part, Layout::Segments).await
    }

    async fn segment(
        &self,
        reader: &mut Client,
        job: &Job,
        part: &PartName,
        segment: Segment,
        tally: &Tally,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let sql = copy_query(job, segment, self.encoding);
        let mut sink = self.sink.segment(part, segment.start).await?;
        let mut copy = reader.copy_out(&sql).await?;
        let mut bytes = 0;
        let mut hasher = RowHasher::default();
        loop {
            buffer.clear();
            let more = copy.read(buffer).await?;
            if !buffer.is_empty() {
                self.rate.take(buffer.len()).await;
                hasher.feed(buffer);
                sink.write(buffer).await?;
                bytes += buffer.len() as u64;
                self.observer.on_event(&Event::Progress { bytes: buffer.len() as u64 });
            }
            if !more {
                break;
            }
        }
        let rows = copy.rows().unwrap_or(0);
        drop(copy);
        tally.add(hasher.finish()?);
        sink.finish().await?;
        tally.rows.fetch_add(rows, Relaxed);
        tally.bytes.fetch_add(bytes, Relaxed);
        tally.longest.fetch_max(bytes, Relaxed);
        Ok(())
    }

    async fn finish(&self, part: PartName, job: &Job, tally: &Tally) -> Result<()> {
        let (rows, bytes) = (tally.rows.load(Relaxed), tally.bytes.load(Relaxed));
        let attributes = attributes(job, rows, tally.longest.load(Relaxed), self.encoding);
        self.sink.finish_part(&part, attributes).await?;
        self.observer.on_event(&Event::PartFinished { part, rows: Some(rows), bytes });
        Ok(())
    }
}

/// What a table's part records: `schema`, `table`, `columns` (JSON array), `rows`, `range`
/// (blocks per segment), `longest_segment` (bytes), `encoding`, and where they apply
/// `extension`, `after` (JSON array of oids to load first), `oid`, `load_through` (JSON array
/// of schema and name) and `unlogged`.
fn attributes(job: &Job, rows: u64, longest: u64, encoding: &str) -> BTreeMap<String, String> {
    let table = &job.table;
    let json = |value: serde_json::Value| value.to_string();
    let mut out = super::stream::attributes([
        ("schema", table.schema.clone()),
        ("table", table.name.clone()),
        ("columns", json(table.columns.clone().into())),
        ("rows", rows.to_string()),
        ("range", job.range.to_string()),
        ("longest_segment", longest.to_string()),
        ("encoding", encoding.to_owned()),
    ]);
    if let Some(extension) = &table.extension {
        out.insert("extension".to_owned(), extension.clone());
        out.insert("oid".to_owned(), table.oid.to_string());
        out.insert("after".to_owned(), json(table.references.clone().into()));
    }
    if let Some((schema, name)) = &table.load_through {
        let names = vec![schema.clone(), name.clone()];
        out.insert("load_through".to_owned(), json(names.into()));
    }
    if table.unlogged {
        out.insert("unlogged".to_owned(), "true".to_owned());
    }
    out
}

/// Returns the statement that reads one segment.
fn copy_query(job: &Job, segment: Segment, encoding: &str) -> String {
    let table = &job.table;
    let columns: Vec<String> = table.columns.iter().map(|name| quote_ident(name)).collect();
    let columns = columns.join(", ");
    let options = format!("TO STDOUT (ENCODING {})", quote_literal(encoding));
    let configuration = table.config.as_deref().unwrap_or_default();
    if segment.is_whole() && configuration.is_empty() {
        let list = if columns.is_empty() { columns } else { format!(" ({columns})") };
        return format!("COPY {}{list} {options}", table.sql());
    }
    let condition = match segment.condition() {
        Some(condition) => format!("WHERE {condition}"),
        None => configuration.to_owned(),
    };
    format!("COPY (SELECT {columns} FROM ONLY {} {condition}) {options}", table.sql())
}
