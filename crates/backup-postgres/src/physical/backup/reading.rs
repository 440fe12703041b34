//! Reading one file of the data directory into the snapshot, but for what is as it was.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use backup_core::{Error, ErrorKind, Result};

use super::copied::Copied;
use super::group::{GroupWriter, MOST_PIECE};
use super::patch::Patch;
use super::proof::COPY;
use super::read::{self, Opened};
use crate::logical::rate::RateLimit;
use crate::physical::changes::{Change, ChangedBlocks};
use crate::physical::files::name::classify;

/// What is needed to read a file.
pub(super) struct Reading<'a> {
    pub(super) root: &'a Path,
    pub(super) copied: &'a Copied,
    pub(super) rate: &'a RateLimit,
    /// What changed since the base, where there is one.
    pub(super) changed: Option<&'a ChangedBlocks>,
    pub(super) block_bytes: u64,
    /// Bytes that were read.
    pub(super) read: &'a AtomicU64,
}

/// Copies one file, but for what is as it was; nothing where it has vanished.
pub(super) async fn file(reading: &Reading<'_>, group: &GroupWriter<'_>, path: &str) -> Result<()> {
    let place = reading.root.join(path);
    match blocking(move || read::open(&place)).await? {
        Some(opened) => opened_file(reading, group, path, &opened).await,
        None => Ok(()),
    }
}

/// As [`file`], of a file that is open: whether it vanishes meanwhile does not matter.
pub(super) async fn opened_file(
    reading: &Reading<'_>,
    group: &GroupWriter<'_>,
    path: &str,
    opened: &Opened,
) -> Result<()> {
    let place = reading.root.join(path);
    let (_, relation) = classify(path);
    let mut writer = group.file(path.to_owned(), relation, opened.mode, opened.bytes)?.unchecked();
    let before = reading.changed.zip(group.before(relation)).zip(relation);
    let (mut offset, mut bytes) = (0, Vec::new());
    while offset < opened.bytes {
        let left = opened.bytes - offset;
        if let Some(((changed, (_, base)), relation)) = before {
            let piece = offset / MOST_PIECE as u64;
            let kept = base.piece_bytes(piece);
            let segment = reading.copied.segment_bytes;
            let change = match kept == left.min(MOST_PIECE as u64) {
                true => {
                    changed.of_piece(group.group, relation, piece, segment, reading.block_bytes)
                }
                false => Change::Unknown,
            };
            match change {
                Change::Nothing => {
                    if writer.keep(base).await? {
                        offset += kept;
                        continue;
                    }
                }
                // Where the rest of the piece is had for less than reading it all.
                Change::Few(pages) if group.sink.wants_base() => {
                    let patch = Patch { reading, group, relation, file: &opened.file, offset };
                    if let Some(bytes) = patch.piece(path, piece, pages).await? {
                        offset += bytes.len() as u64;
                        writer.write(&bytes).await?;
                        continue;
                    }
                }
                Change::Few(_) | Change::Unknown => {}
            }
        }
        let (file, shown) = (opened.file.clone(), place.clone());
        // Read into the same memory again: fresh pages cost time.
        bytes = blocking(move || {
            read::piece(&file, &shown, offset, left, &mut bytes)?;
            Ok(bytes)
        })
        .await?;
        if bytes.is_empty() {
            // It was cut meanwhile; the WAL says so.
            break;
        }
        if let (Some(relation), Some(rules)) = (relation, reading.copied.rules) {
            let copied = reading.copied;
            let bad = read::check(copied, relation, &opened.file, offset, &mut bytes, rules);
            copied.damaged(path, &bad)?;
        }
        reading.rate.take(bytes.len()).await;
        reading.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        offset += bytes.len() as u64;
        writer.write(&bytes).await?;
    }
    writer.finish().await
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Failed, COPY).because(error))?
}
