//! Reading files of a running cluster: pages that look torn are read once more.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};

use super::copied::Copied;
use super::group::MOST_PIECE;
use crate::physical::files::name::Relation;
use crate::physical::page::{BadPage, PageRules};

/// A file as it was when it was opened.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
    pub(super) mode: u32,
}

/// Opens a file; `None` if it has vanished: its removal is in the WAL.
pub(super) fn open(path: &Path) -> Result<Option<Opened>> {
    let opened = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let (bytes, mode) = (metadata.len(), metadata.mode() & 0o7777);
        Ok::<_, io::Error>(Opened { file: Arc::new(file), bytes, mode })
    };
    match opened() {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

/// Reads a piece of at most one MiB into `bytes`, whatever was there; shorter where the file was
/// cut meanwhile.
pub(super) fn piece(
    file: &File,
    path: &Path,
    offset: u64,
    left: u64,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    bytes.resize(usize::try_from(left).map_or(MOST_PIECE, |left| left.min(MOST_PIECE)), 0);
    let mut read = 0;
    while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(path, error)),
        }
    }
    bytes.truncate(read);
    Ok(())
}

/// Checks the pages of a piece. One that does not match is read again: if it changed, the
/// server was writing it, and replaying WAL makes it whole; if not, it is damaged.
pub(super) fn check(
    copied: &Copied,
    relation: Relation,
    file: &File,
    offset: u64,
    bytes: &mut [u8],
    rules: PageRules,
) -> Vec<BadPage> {
    let mut suspects = Vec::new();
    copied.find_bad(relation, offset, bytes, |page| suspects.push(page));
    let first = u64::from(relation.segment) * copied.segment_bytes + offset;
    let first = first / rules.size as u64;
    suspects.retain(|page| {
        let at = usize::try_from((u64::from(page.block) - first) * rules.size as u64);
        let Ok(at) = at else { return true };
        let Some(seen) = bytes.get_mut(at..at + rules.size) else { return true };
        let mut again = vec![0; rules.size];
        if file.read_exact_at(&mut again, offset + at as u64).is_err() || again == *seen {
            return true;
        }
        seen.copy_from_slice(&again);
        // Other bytes that are no better: a failing disk, not a server at work.
        let mut still = false;
        copied.find_bad(relation, offset + at as u64, &again, |_| still = true);
        still
    });
    suspects
}

pub(super) fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::SourceUnavailable, "read file of cluster")
        .with("path", path.display())
        .hint("Run as the user that runs PostgreSQL, which may read the data directory.")
        .because(error)
}
