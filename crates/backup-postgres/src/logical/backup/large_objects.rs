//! Large objects: their pages as segments of oid ranges, their metadata as JSON lines.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use backup_core::port::{Observer, PartSink};
use backup_core::{Error, ErrorKind, Event, Fingerprint, Layout, PartName, Result};
use futures::future::try_join_all;

use super::stream;
use crate::Client;
use crate::logical::catalog::database::Database;
use crate::logical::catalog::large_objects::{self, LargeObject, Summary};
use crate::logical::fingerprint::RowHasher;
use crate::logical::names::{LARGE_OBJECT_METADATA, LARGE_OBJECTS};
use crate::logical::rate::RateLimit;

/// Oids per segment when nothing is known: few, since one object may hold 4 TiB.
const DEFAULT_RANGE: u64 = 1024;
/// The longest segment wanted, in bytes of pages.
const LONGEST_SEGMENT: u64 = 16 << 20;
/// Metadata rows read at once.
const METADATA_BATCH: usize = 10_000;

/// What was copied.
#[derive(Default)]
pub(super) struct Copied {
    pub(super) count: u64,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Whether the fingerprint is of the server's own pages.
    pub(super) direct: bool,
}

/// Copies all large objects; `pieces` reads them through functions even where the server's
/// pages could be read.
pub(super) async fn write(
    holder: &mut Client,
    readers: &mut [Client],
    database: &Database,
    sink: &dyn PartSink,
    observer: &dyn Observer,
    rate: &RateLimit,
    pieces: bool,
) -> Result<Copied> {
    let mut summary = large_objects::summary(holder).await?;
    if summary.count == 0 {
        return Ok(Copied::default());
    }
    summary.direct &= !pieces;
    let count = metadata(holder, sink, observer).await?;
    let pages = Pages {
        part: PartName::new(LARGE_OBJECTS),
        summary,
        range: choose_range(summary, sink),
        next: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        fingerprint: Mutex::default(),
        block_size: database.block_size,
        sink,
        observer,
        rate,
    };
    pages.write(readers).await?;
    let fingerprint = *pages.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Copied { count, fingerprint: Some(fingerprint), direct: summary.direct })
}

async fn metadata(
    holder: &mut Client,
    sink: &dyn PartSink,
    observer: &dyn Observer,
) -> Result<u64> {
    let mut lines = Vec::new();
    let mut count = 0;
    let mut start = 0;
    loop {
        let batch = large_objects::metadata(holder, start, METADATA_BATCH).await?;
        let Some(last) = batch.last() else { break };
        start = u64::from(last.oid) + 1;
        count += batch.len() as u64;
        for object in &batch {
            lines.extend(line(object)?);
        }
    }
    let attributes = stream::attributes([("count", count.to_string())]);
    stream::write(sink, observer, LARGE_OBJECT_METADATA, &lines, attributes).await?;
    Ok(count)
}

fn line(object: &LargeObject) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(object).map_err(|error| {
        Error::new(ErrorKind::Failed, "describe large object")
            .with("oid", object.oid)
            .because(error)
    })?;
    line.push(b'\n');
    Ok(line)
}

/// A power of two that stays the same from one snapshot to the next.
fn choose_range(summary: Summary, sink: &dyn PartSink) -> u64 {
    let previous = sink.previous(&PartName::new(LARGE_OBJECTS));
    let recorded = previous.and_then(|part| part.attributes.get("range")?.parse::<u64>().ok());
    if let Some(range) = recorded.filter(|range| range.is_power_of_two()) {
        return range;
    }
    let span = (summary.highest - summary.lowest + 1).max(1);
    let per_oid = (summary.bytes / span).max(1);
    let mut range = DEFAULT_RANGE;
    while range > 1 && range.saturating_mul(per_oid) > LONGEST_SEGMENT {
        range /= 2;
    }
    // Few objects far apart would make many empty segments.
    while span / range > summary.count.saturating_mul(4).max(64) {
        range *= 2;
    }
    range
}

struct Pages<'a> {
    part: PartName,
    summary: Summary,
    range: u64,
    /// The next segment's position, counted from the one that holds the lowest oid.
    next: AtomicU64,
    bytes: AtomicU64,
    fingerprint: Mutex<Fingerprint>,
    block_size: u64,
    sink: &'a dyn PartSink,
    observer: &'a dyn Observer,
    rate: &'a RateLimit,
}

impl Pages<'_> {
    async fn write(&self, readers: &mut [Client]) -> Result<()> {
        self.observer.on_event(&Event::PartStarted {
            part: self.part.clone(),
            expected_bytes: Some(self.summary.bytes),
        });
        self.sink.begin_part(&self.part, Layout::Segments).await?;
        try_join_all(readers.iter_mut().map(|reader| self.work(reader))).await?;
        let attributes = stream::attributes([
            ("range", self.range.to_string()),
            ("count", self.summary.count.to_string()),
        ]);
        self.sink.finish_part(&self.part, attributes).await?;
        self.observer.on_event(&Event::PartFinished {
            part: self.part.clone(),
            rows: Some(self.summary.count),
            bytes: self.bytes.load(Relaxed),
        });
        Ok(())
    }

    async fn work(&self, reader: &mut Client) -> Result<()> {
        let first = self.summary.lowest / self.range;
        let last = self.summary.highest / self.range;
        loop {
            let position = first + self.next.fetch_add(1, Relaxed);
            if position > last {
                return Ok(());
            }
            self.segment(reader, position * self.range).await?;
        }
    }

    async fn segment(&self, reader: &mut Client, start: u64) -> Result<()> {
        let end = Some(start + self.range);
        let sql = large_objects::copy_query(self.summary.direct, self.block_size, start, end);
        let mut sink = self.sink.segment(&self.part, start).await?;
        let mut copy = reader.copy_out(&sql).await?;
        let mut buffer = Vec::new();
        let mut hasher = RowHasher::default();
        loop {
            buffer.clear();
            let more = copy.read(&mut buffer).await?;
            if !buffer.is_empty() {
                self.rate.take(buffer.len()).await;
                hasher.feed(&buffer);
                sink.write(&buffer).await?;
                self.bytes.fetch_add(buffer.len() as u64, Relaxed);
                self.observer.on_event(&Event::Progress { bytes: buffer.len() as u64 });
            }
            if !more {
                drop(copy);
                *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) +=
                    hasher.finish()?;
                return sink.finish().await;
            }
        }
    }
}
