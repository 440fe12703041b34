//! Files out of a snapshot, many at a time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backup_core::port::{Observer, PartSource, SegmentInfo};
use backup_core::{Error, ErrorKind, Event, PartName, Result};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{place, sparse};
use crate::physical::files::address::PIECE;
use crate::physical::files::row::{Kind, Row};

/// Pieces of one file that are written by one task.
const PIECES: u64 = 32;

/// The file that makes a directory a cluster: written when all else is durable.
pub(super) const CONTROL: &str = "global/pg_control";

/// Writes the files of a snapshot below a directory.
pub(super) struct FileRestorer {
    pub(super) parts: Arc<dyn PartSource>,
    pub(super) root: PathBuf,
    pub(super) jobs: usize,
    /// Whether what is there already is compared first.
    pub(super) delta: bool,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tally: Tally,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Bytes that were there already.
    pub(super) kept: AtomicU64,
}

/// One task.
enum Job {
    /// Pieces of a file of its own, from this one on.
    Pieces { row: Arc<Row>, first: u64 },
    /// Small files that lie in one segment.
    Bundle { at: u64, rows: Vec<Row> },
}

impl FileRestorer {
    /// Restores a group of files; calls `seen` for each path. The control file is held back and
    /// returned.
    pub(super) async fn group(
        &self,
        list: &PartName,
        mut seen: impl FnMut(&str) + Send,
    ) -> Result<Option<Bytes>> {
        let group = list.as_str().strip_prefix("files/").unwrap_or_default();
        let data = PartName::new(format!("data/{group}"));
        let segments = self.parts.segments(&data).await?;
        let mut control = None;
        for position in 0..self.parts.segments(list).await?.len() {
            let lines = read_whole(&*self.parts, list, position).await?;
            let rows = Row::read_all(&lines)?;
            let mut jobs = Vec::new();
            for row in rows {
                seen(&row.path);
                if row.path == CONTROL {
                    control = Some(self.control(&data, &segments, &row).await?);
                } else {
                    self.plan(row, &mut jobs)?;
                }
            }
            let (data, segments) = (&data, segments.as_slice());
            // Half of them wait for the disk.
            stream::iter(jobs.into_iter().map(Ok))
                .try_for_each_concurrent(self.jobs * 2, |job| self.run(data, segments, job))
                .await?;
        }
        Ok(control)
    }

    /// Makes directories, links and empty files at once; the rest becomes tasks.
    fn plan(&self, row: Row, jobs: &mut Vec<Job>) -> Result<()> {
        let path = self.root.join(&row.path);
        let made = match (&row.kind, &row.link) {
            (Kind::Directory, _) => place::private(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(row.mode))),
            (Kind::Link, Some(target)) => match fs::read_link(&path) {
                Ok(old) if old.as_os_str() == target.as_str() => Ok(()),
                _ => std::os::unix::fs::symlink(target, &path),
            },
            (Kind::Link, None) => Err(io::Error::from(io::ErrorKind::InvalidData)),
            (Kind::File, _) => {
                let made = prepare(&path, row.bytes, row.mode);
                self.tally.files.fetch_add(1, Ordering::Relaxed);
                if let Some(at) = row.at.filter(|_| row.bytes > 0) {
                    match (row.offset, jobs.last_mut()) {
                        (Some(_), Some(Job::Bundle { at: same, rows })) if *same == at => {
                            rows.push(row);
                        }
                        (Some(_), _) => jobs.push(Job::Bundle { at, rows: vec![row] }),
                        (None, _) => {
                            let row = Arc::new(row);
                            let count = row.bytes.div_ceil(PIECE as u64);
                            for first in (0..count).step_by(PIECES as usize) {
                                jobs.push(Job::Pieces { row: Arc::clone(&row), first });
                            }
                        }
                    }
                }
                made
            }
        };
        made.map_err(|error| place::failed("create file", &path, error))
    }

    async fn run(&self, data: &PartName, segments: &[SegmentInfo], job: Job) -> Result<()> {
        match job {
            Job::Bundle { at, rows } => self.bundle(data, segments, at, rows).await,
            Job::Pieces { row, first } => self.pieces(data, segments, &row, first).await,
        }
    }

    async fn pieces(
        &self,
        data: &PartName,
        segments: &[SegmentInfo],
        row: &Row,
        first: u64,
    ) -> Result<()> {
        let path = self.root.join(&row.path);
        let opened = File::options().read(true).write(true).open(&path);
        let file = Arc::new(opened.map_err(|error| place::failed("open file", &path, error))?);
        let count = row.bytes.div_ceil(PIECE as u64);
        // What is there already is overwritten where it differs. A log's segments are used again by
        // the server, which counts on their room on the disk.
        let with_holes = !self.delta && !row.path.starts_with("pg_wal/");
        let mut changed = false;
        for piece in first..count.min(first + PIECES) {
            let address = row.at.unwrap_or_default() + piece;
            let (position, info) = find(segments, address, row)?;
            let offset = piece * PIECE as u64;
            if info.bytes != (row.bytes - offset).min(PIECE as u64) {
                return Err(damaged(row).because("a piece has another length than listed"));
            }
            let mut there = None;
            if self.delta {
                there = self.there(&file, offset, info.bytes).await?;
                if let Some(there) = &there
                    && self.parts.matches(data, position, there.clone()).await?
                {
                    self.kept(info.bytes);
                    continue;
                }
            }
            let bytes = read_whole(&*self.parts, data, position).await?;
            let length = bytes.len() as u64;
            if length != info.bytes {
                return Err(damaged(row).because("a piece came back with another length"));
            }
            let (file, shown) = (Arc::clone(&file), path.clone());
            blocking(move || {
                let written = match there {
                    Some(there) => sparse::patch(&file, &bytes, &there, offset),
                    None if with_holes => sparse::write(&file, &bytes, offset),
                    None => sparse::whole(&file, &bytes, offset),
                };
                written.map_err(|error| place::failed("write file", &shown, error))
            })
            .await?;
            self.wrote(length);
            changed = true;
        }
        if changed {
            // The disk works meanwhile, and less is left for the end.
            let synced =
                move || file.sync_data().map_err(|e| place::failed("write file", &path, e));
            blocking(synced).await?;
        }
        Ok(())
    }

    async fn bundle(
        &self,
        data: &PartName,
        segments: &[SegmentInfo],
        at: u64,
        rows: Vec<Row>,
    ) -> Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        let (position, info) = find(segments, at, first)?;
        if self.delta {
            let there = self.bundle_there(&rows, info.bytes);
            if let Some(bytes) = there
                && self.parts.matches(data, position, bytes).await?
            {
                self.kept(rows.iter().map(|row| row.bytes).sum());
                return Ok(());
            }
        }
        let bytes = read_whole(&*self.parts, data, position).await?;
        let root = self.root.clone();
        let written = blocking(move || {
            let mut written = 0;
            for row in &rows {
                let start = usize::try_from(row.offset.unwrap_or_default()).unwrap_or(usize::MAX);
                let length = usize::try_from(row.bytes).unwrap_or(usize::MAX);
                let content = start.checked_add(length).and_then(|end| bytes.get(start..end));
                let content = content.ok_or_else(|| damaged(row))?;
                let path = root.join(&row.path);
                let opened = File::options().write(true).open(&path);
                opened
                    .and_then(|mut file| file.write_all(content))
                    .map_err(|error| place::failed("write file", &path, error))?;
                written += row.bytes;
            }
            Ok(written)
        })
        .await?;
        self.wrote(written);
        Ok(())
    }

    /// Returns what the file has in a piece's place; what cannot be read is written anew.
    async fn there(&self, file: &Arc<File>, offset: u64, length: u64) -> Result<Option<Bytes>> {
        let file = Arc::clone(file);
        blocking(move || {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            Ok(file.read_exact_at(&mut bytes, offset).is_ok().then(|| bytes.into()))
        })
        .await
    }

    /// Puts a bundle together from the files that are there.
    fn bundle_there(&self, rows: &[Row], length: u64) -> Option<Bytes> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
        for row in rows {
            if row.offset != Some(bytes.len() as u64) {
                return None;
            }
            bytes.extend(fs::read(self.root.join(&row.path)).ok()?);
        }
        (bytes.len() as u64 == length).then(|| bytes.into())
    }

    async fn control(&self, data: &PartName, segments: &[SegmentInfo], row: &Row) -> Result<Bytes> {
        let (position, _) = find(segments, row.at.unwrap_or_default(), row)?;
        let bytes = read_whole(&*self.parts, data, position).await?;
        let start = usize::try_from(row.offset.unwrap_or_default()).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(row.bytes).unwrap_or(usize::MAX));
        if start > end || end > bytes.len() {
            return Err(damaged(row));
        }
        Ok(bytes.slice(start..end))
    }

    fn wrote(&self, bytes: u64) {
        self.tally.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.observer.on_event(&Event::Progress { bytes });
    }

    fn kept(&self, bytes: u64) {
        self.tally.kept.fetch_add(bytes, Ordering::Relaxed);
        self.observer.on_event(&Event::Progress { bytes });
    }
}

/// Creates a file of that size; one that is there is cut or grown to it.
fn prepare(path: &Path, bytes: u64, mode: u32) -> io::Result<()> {
    let open =
        || File::options().write(true).create(true).truncate(false).mode(mode & 0o777).open(path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                place::private(parent)?;
            }
            open()?
        }
        opened => opened?,
    };
    // To set what is there already would mark the file as changed, to be made durable again.
    if file.metadata()?.len() == bytes { Ok(()) } else { file.set_len(bytes) }
}

/// Reads a segment that fits into memory.
pub(super) async fn read_whole(
    parts: &dyn PartSource,
    part: &PartName,
    position: usize,
) -> Result<Bytes> {
    let mut chunks = parts.read(part, position).await?;
    let Some(first) = chunks.next().await.transpose()? else { return Ok(Bytes::new()) };
    let Some(second) = chunks.next().await.transpose()? else { return Ok(first) };
    let mut whole = [first, second].concat();
    while let Some(next) = chunks.next().await.transpose()? {
        whole.extend_from_slice(&next);
    }
    Ok(whole.into())
}

fn find(segments: &[SegmentInfo], address: u64, row: &Row) -> Result<(usize, SegmentInfo)> {
    let position = segments
        .binary_search_by_key(&address, |segment| segment.address)
        .map_err(|_| damaged(row).because("its bytes are not in the snapshot"))?;
    let info = segments.get(position).copied().ok_or_else(|| damaged(row))?;
    Ok((position, info))
}

fn damaged(row: &Row) -> Error {
    Error::new(ErrorKind::Integrity, "restore file").with("file", &row.path)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Failed, "write files").because(error))?
}
