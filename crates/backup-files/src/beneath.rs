//! Paths below a root, opened name by name: no link is ever followed, so that nothing leads out,
//! and no path is too long for the system.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::entry::is_below;

/// Directories that are kept open on the way to one.
const KEPT: usize = 24;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directories below a root, those last used open.
pub(crate) struct Folders {
    root: Arc<OwnedFd>,
    open: Vec<(Vec<u8>, OwnedFd)>,
}

/// Opens the root itself; links to it are followed: its owner named it.
pub(crate) fn open_root(path: &Path) -> io::Result<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(Arc::new(openat(CWD, path, flags, Mode::empty())?))
}

impl Folders {
    pub(crate) fn new(root: &Arc<OwnedFd>) -> Self {
        Self { root: Arc::clone(root), open: Vec::new() }
    }

    /// Opens a directory below the root. A link in its place is `NotADirectory` or `ELOOP`.
    pub(crate) fn open(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        while let Some((open, _)) = self.open.last() {
            if open == path || is_below(path, open) {
                break;
            }
            self.open.pop();
        }
        let done = self.open.last().map_or(0, |(open, _)| open.len());
        let mut at = done;
        while at < path.len() {
            let begin = if at == 0 { 0 } else { at + 1 };
            let rest = path.get(begin..).unwrap_or_default();
            let end = begin + rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let name = path.get(begin..end).unwrap_or_default();
            let parent = self.open.last().map_or_else(|| self.root.as_fd(), |(_, fd)| fd.as_fd());
            let opened = openat(parent, name, DIRECTORY, Mode::empty())?;
            if self.open.len() >= KEPT {
                self.open.remove(0);
            }
            self.open.push((path.get(..end).unwrap_or_default().to_vec(), opened));
            at = end;
        }
        Ok(match self.open.last() {
            Some((_, fd)) => fd.as_fd(),
            None => self.root.as_fd(),
        })
    }

    /// Forgets what is open at a path and below, which was moved or removed.
    pub(crate) fn forget(&mut self, path: &[u8]) {
        self.open.retain(|(open, _)| open != path && !is_below(open, path));
    }
}
