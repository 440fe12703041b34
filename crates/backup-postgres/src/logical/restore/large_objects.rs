//! Writing large objects.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use backup_core::port::{Observer, PartSource, RestoreOptions};
use backup_core::{Error, ErrorKind, Event, PartName, Result};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::read_part;
use super::stream::json_lines;
use crate::logical::catalog::large_objects::LargeObject;
use crate::logical::names::{LARGE_OBJECT_METADATA, LARGE_OBJECTS};
use crate::logical::roles::RoleMap;
use crate::logical::session::prepare_writing;
use crate::{Client, ConnectOptions};

/// Objects created by one statement.
const CREATE_BATCH: usize = 1000;
/// Statements sent at once.
const STATEMENT_BATCH: usize = 200;
/// Hexadecimal digits written by one call.
const CALL: usize = 512 << 10;
/// Bytes of statements sent at once.
const SEND: usize = 1 << 20;

/// Reads the metadata of all large objects.
pub(crate) async fn metadata(parts: &dyn PartSource) -> Result<Vec<LargeObject>> {
    match read_part(parts, LARGE_OBJECT_METADATA).await? {
        Some(bytes) => json_lines(&bytes, LARGE_OBJECT_METADATA),
        None => Ok(Vec::new()),
    }
}

/// Creates and fills all large objects; returns how many, and their bytes.
pub(super) async fn restore(
    connect: &ConnectOptions,
    parts: &Arc<dyn PartSource>,
    options: &RestoreOptions,
) -> Result<(usize, u64)> {
    let objects = metadata(&**parts).await?;
    if objects.is_empty() {
        return Ok((0, 0));
    }
    let mut client = Client::connect(connect).await?;
    prepare_writing(&mut client).await?;
    for batch in objects.chunks(CREATE_BATCH) {
        let oids: Vec<String> = batch.iter().map(|object| object.oid.to_string()).collect();
        let sql = format!(
            "SELECT pg_catalog.lo_create(o) FROM pg_catalog.unnest('{{{}}}'::pg_catalog.oid[]) o",
            oids.join(",")
        );
        client.query(&sql).await?;
    }
    let bytes = fill(connect, parts, options).await?;
    let map = RoleMap::new(&options.role_map);
    let rename = |role: &str| map.name(role).to_owned();
    let statements: Vec<String> = objects
        .iter()
        .flat_map(|object| object.statements(rename, !options.no_owner, !options.no_privileges))
        .collect();
    for batch in statements.chunks(STATEMENT_BATCH) {
        client.execute(&batch.join("; ")).await?;
    }
    client.close().await;
    Ok((objects.len(), bytes))
}

async fn fill(
    connect: &ConnectOptions,
    parts: &Arc<dyn PartSource>,
    options: &RestoreOptions,
) -> Result<u64> {
    let part = PartName::new(LARGE_OBJECTS);
    let segments = parts.segments(&part).await?.len();
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..options.jobs.get().min(segments) {
        let (connect, parts, next) = (connect.clone(), Arc::clone(parts), Arc::clone(&next));
        let observer = Arc::clone(&options.observer);
        writers.spawn(async move {
            let mut client = Client::connect(&connect).await?;
            prepare_writing(&mut client).await?;
            let mut bytes = 0;
            loop {
                let position = next.fetch_add(1, Relaxed);
                if position >= segments {
                    client.close().await;
                    return Ok::<u64, Error>(bytes);
                }
                bytes += segment(&mut client, &*parts, position, &*observer).await?;
            }
        });
    }
    let mut bytes = 0;
    while let Some(ended) = writers.join_next().await {
        bytes += ended.map_err(|error| {
            Error::new(ErrorKind::Failed, "load large objects").because(error)
        })??;
    }
    Ok(bytes)
}

async fn segment(
    client: &mut Client,
    parts: &dyn PartSource,
    position: usize,
    observer: &dyn Observer,
) -> Result<u64> {
    let mut stream = parts.read(&PartName::new(LARGE_OBJECTS), position).await?;
    let mut calls = Calls::default();
    let mut bytes = 0;
    while let Some(piece) = stream.try_next().await? {
        bytes += piece.len() as u64;
        observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
        calls.add(&piece)?;
        if calls.sql.len() >= SEND {
            client.execute(&std::mem::take(&mut calls.sql)).await?;
        }
    }
    calls.finish()?;
    if !calls.sql.is_empty() {
        client.execute(&calls.sql).await?;
    }
    Ok(bytes)
}

/// Turns lines of oid, offset and bytes into calls of `lo_put`, neighbours joined.
#[derive(Default)]
pub(crate) struct Calls {
    /// Statements that are complete.
    pub(crate) sql: String,
    /// A line that is not.
    partial: Vec<u8>,
    oid: u32,
    start: u64,
    digits: String,
}

impl Calls {
    /// Takes the next bytes of the stream.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<()> {
        let Some(end) = piece.iter().rposition(|byte| *byte == b'\n') else {
            self.partial.extend_from_slice(piece);
            return Ok(());
        };
        let (whole, rest) = piece.split_at(end + 1);
        let mut lines = std::mem::take(&mut self.partial);
        lines.extend_from_slice(whole);
        self.partial.extend_from_slice(rest);
        self.lines(&lines)
    }

    /// Ends the stream; a line cut short is an error.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if !self.partial.is_empty() {
            return Err(damaged("the last line is cut short"));
        }
        self.flush();
        Ok(())
    }

    fn lines(&mut self, lines: &[u8]) -> Result<()> {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let (oid, start, digits) = parse(line).ok_or_else(|| damaged("unreadable line"))?;
            let end = self.start + self.digits.len() as u64 / 2;
            let joins = oid == self.oid && start == end && self.digits.len() < CALL;
            if !joins {
                self.flush();
                (self.oid, self.start) = (oid, start);
            }
            self.digits.push_str(digits);
        }
        Ok(())
    }

    /// Ends the call being joined.
    fn flush(&mut self) {
        if !self.digits.is_empty() {
            let _ = writeln!(
                self.sql,
                "SELECT pg_catalog.lo_put({}, {}, '\\x{}'::pg_catalog.bytea);",
                self.oid, self.start, self.digits
            );
            self.digits.clear();
        }
    }
}

/// One line of COPY text: oid, offset, and bytes as `\\x` and hexadecimal digits.
fn parse(line: &[u8]) -> Option<(u32, u64, &str)> {
    let mut fields = std::str::from_utf8(line).ok()?.split('\t');
    let (oid, start, data) = (fields.next()?, fields.next()?, fields.next()?);
    let digits = data.strip_prefix("\\\\x")?;
    let good = fields.next().is_none() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    good.then_some((oid.parse().ok()?, start.parse().ok()?, digits))
}

fn damaged(why: &'static str) -> Error {
    Error::new(ErrorKind::Integrity, "read large objects").because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_pages_are_written_by_one_call() {
        let mut calls = Calls::default();
        let text = b"7\t0\t\\\\x0001\n7\t2\t\\\\xff\n7\t100\t\\\\xaa\n8\t0\t\\\\xbb\n";
        for piece in text.chunks(5) {
            calls.add(piece).unwrap();
        }
        calls.finish().unwrap();
        let lines: Vec<&str> = calls.sql.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "SELECT pg_catalog.lo_put(7, 0, '\\x0001ff'::pg_catalog.bytea);");
        assert!(lines[2].contains("lo_put(8, 0, '\\xbb'"));
    }

    #[test]
    fn a_line_cut_short_is_an_error() {
        let mut calls = Calls::default();
        calls.add(b"7\t0\t\\\\x00").unwrap();
        assert!(calls.finish().is_err());
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for bad in ["7", "7\t0\tdata", "7\t0\t\\\\x0g", "7\t0\t\\\\x00\t1", "x\t0\t\\\\x00"] {
            assert!(Calls::default().add(format!("{bad}\n").as_bytes()).is_err(), "{bad}");
        }
    }
}
