//! Whether a directory may be restored into.

use std::io;
use std::path::Path;

use backup_core::{Error, ErrorKind, Result};

pub(super) const RESTORE: &str = "restore into directory";

/// Refuses a directory that is not empty, unless what is there is to be changed.
pub(super) fn check(root: &Path, delta: bool) -> Result<()> {
    let mut entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_parent(root),
        Err(error) => return Err(failed("look at directory", root, error)),
    };
    if delta || entries.next().is_none() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, RESTORE)
        .with("directory", root.display())
        .because("it is not empty")
        .hint(
            "Name a new or an empty directory; or pass --delta to write what differs from the \
             snapshot into this one (a restore that was broken off goes on that way).",
        ))
}

fn check_parent(root: &Path) -> Result<()> {
    let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => Err(Error::new(ErrorKind::NotFound, RESTORE)
            .with("directory", root.display())
            .because("the directory around it is not there")
            .hint("Create it, or name another place.")),
        _ => Ok(()),
    }
}

/// Returns the error for a call of the system that failed.
pub(super) fn failed(operation: &str, path: &Path, error: io::Error) -> Error {
    let full =
        error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded;
    let made = Error::new(ErrorKind::Failed, operation).with("path", path.display()).because(error);
    if full {
        made.hint(
            "The disk is full. Make room, or name another place, and run the same restore with \
             --delta: what is there already is not written again.",
        )
    } else {
        made
    }
}
