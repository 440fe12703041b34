//! Walks a tree in order, in a thread of its own, and says what is there.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;
use tokio::sync::mpsc::Sender;

use crate::attributes;
use crate::beneath::Folders;
use crate::entry::{Entry, FileData, Kind, Moment};
use crate::select::Selection;

/// Entries that are told at once.
const BATCH: usize = 512;
/// What changed so shortly ago, in seconds, may change again without its times saying so: within the
/// same tick of a clock; or by a program that writes through a map of it, until the system has written
/// those pages to the disk and watches them again, which by default takes it 35 seconds.
pub(crate) const SETTLED: i64 = 60;

/// Something that was come across.
#[derive(Debug)]
pub(crate) enum Seen {
    /// An entry; of a file its contents and attributes are not read yet.
    Found(Found),
    /// It is there and cannot be looked at: path and why.
    Unreadable(Vec<u8>, io::Error),
    /// It went while it was looked at.
    Vanished(Vec<u8>),
    /// Left out by a pattern.
    Excluded,
    /// A socket, which only means something to a program that runs.
    Socket(Vec<u8>),
    /// A directory whose contents are left out because of a marker.
    Marked(Vec<u8>),
    /// A directory on another file system.
    Mounted(Vec<u8>),
}

/// An entry as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) device: u64,
    pub(crate) names: u64,
}

impl Found {
    /// Whether it is a file that may have other names.
    pub(super) fn has_other_names(&self) -> bool {
        self.names > 1 && self.entry.file().is_some()
    }
}

/// Walks the whole tree; ends early when nobody listens any more. What changed within the last
/// `settled` seconds is told as unsettled.
pub(crate) fn walk(
    root: &Arc<OwnedFd>,
    selection: &Selection,
    settled: i64,
    to: &Sender<Vec<Seen>>,
) {
    let mut walk = Walk { folders: Folders::new(root), selection, settled, to, batch: Vec::new() };
    if walk.all(root).is_some() {
        walk.send();
    }
}

struct Walk<'a> {
    folders: Folders,
    selection: &'a Selection,
    settled: i64,
    to: &'a Sender<Vec<Seen>>,
    batch: Vec<Seen>,
}

/// A directory that is being walked: names that are left, last first.
struct Level {
    path: Vec<u8>,
    names: Vec<Box<[u8]>>,
    /// Whether everything in it is wanted, because a pattern names a directory around it.
    taken: bool,
}

/// The other side hung up.
type Heard<T> = Option<T>;

impl Walk<'_> {
    fn all(&mut self, root: &Arc<OwnedFd>) -> Heard<()> {
        let stat = match fstat(root) {
            Ok(stat) => stat,
            Err(error) => return self.tell(Seen::Unreadable(Vec::new(), error.into())),
        };
        let device = stat.st_dev;
        let taken = self.selection.include.is_empty();
        let mut levels = Vec::new();
        self.enter(&mut levels, Vec::new(), stat, taken)?;
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                levels.pop();
                continue;
            };
            let taken = level.taken;
            let path = join(&level.path, &name);
            let parent = match self.folders.open(&level.path) {
                Ok(parent) => parent,
                Err(error) => {
                    let seen = lost(path, error);
                    self.tell(seen)?;
                    continue;
                }
            };
            let stat = match statat(parent, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(error) => {
                    let seen = lost(path, error.into());
                    self.tell(seen)?;
                    continue;
                }
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            let is_directory = kind == FileType::Directory;
            if self.selection.leaves_out(&path, is_directory) {
                self.tell(Seen::Excluded)?;
                continue;
            }
            let taken = taken || self.selection.takes(&path, is_directory);
            if is_directory {
                if self.selection.one_file_system && stat.st_dev != device {
                    self.tell(Seen::Mounted(path.clone()))?;
                    self.tell(Seen::Found(found(path, Kind::Directory, &stat, self.settled)))?;
                } else {
                    self.enter(&mut levels, path, stat, taken)?;
                }
                continue;
            }
            if !taken {
                self.tell(Seen::Excluded)?;
                continue;
            }
            let device_number =
                || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            let kind = match kind {
                FileType::RegularFile => {
                    let size = u64::try_from(stat.st_size).unwrap_or(0);
                    Kind::File(FileData { size, ..FileData::default() })
                }
                FileType::Symlink => match readlinkat(parent, &*name, Vec::new()) {
                    Ok(target) => Kind::Link(target.into_bytes()),
                    Err(error) => {
                        let seen = lost(path, error.into());
                        self.tell(seen)?;
                        continue;
                    }
                },
                FileType::Fifo => Kind::Pipe,
                FileType::CharacterDevice => {
                    let (major, minor) = device_number();
                    Kind::Character(major, minor)
                }
                FileType::BlockDevice => {
                    let (major, minor) = device_number();
                    Kind::Block(major, minor)
                }
                FileType::Socket => {
                    self.tell(Seen::Socket(path))?;
                    continue;
                }
                _ => {
                    let error = io::Error::other("it is of a kind that is not known");
                    self.tell(Seen::Unreadable(path, error))?;
                    continue;
                }
            };
            self.tell(Seen::Found(found(path, kind, &stat, self.settled)))?;
        }
        Some(())
    }

    /// Opens a directory, tells of it, and reads its names.
    fn enter(
        &mut self,
        levels: &mut Vec<Level>,
        path: Vec<u8>,
        stat: Stat,
        taken: bool,
    ) -> Heard<()> {
        let read = self.folders.open(&path).and_then(|fd| {
            // What is told is what was opened: it may have been replaced since it was listed.
            let stat = fstat(fd)?;
            Ok((stat, attributes::read(fd)?, names(fd)?))
        });
        let (stat, attributes, mut names) = match read {
            Ok(read) => read,
            Err(error) => {
                let gone = error.kind() == io::ErrorKind::NotFound;
                let seen = lost(path.clone(), error);
                self.tell(seen)?;
                if !gone {
                    self.tell(Seen::Found(found(path, Kind::Directory, &stat, self.settled)))?;
                }
                return Some(());
            }
        };
        let mut entry = found(path.clone(), Kind::Directory, &stat, self.settled);
        entry.entry.attributes = attributes;
        self.tell(Seen::Found(entry))?;
        let markers: HashSet<&[u8]> = self.selection.markers.iter().map(String::as_bytes).collect();
        if !markers.is_empty() && names.iter().any(|name| markers.contains(&**name)) {
            names.retain(|name| markers.contains(&**name));
            self.tell(Seen::Marked(path.clone()))?;
        }
        levels.push(Level { path, names, taken });
        Some(())
    }

    fn tell(&mut self, seen: Seen) -> Heard<()> {
        self.batch.push(seen);
        if self.batch.len() < BATCH {
            return Some(());
        }
        self.send()
    }

    fn send(&mut self) -> Heard<()> {
        self.to.blocking_send(std::mem::take(&mut self.batch)).ok()
    }
}

/// The names in a directory, the last first.
fn names(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<Vec<Box<[u8]>>> {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.into());
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn lost(path: Vec<u8>, error: io::Error) -> Seen {
    match error.kind() {
        io::ErrorKind::NotFound => Seen::Vanished(path),
        _ => Seen::Unreadable(path, error),
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn found(path: Vec<u8>, kind: Kind, stat: &Stat, settled: i64) -> Found {
    Found { entry: entry(path, kind, stat, settled), device: stat.st_dev, names: stat.st_nlink }
}

/// What the system says of an entry; whether it is unsettled goes by so many seconds.
pub(crate) fn entry(path: Vec<u8>, kind: Kind, stat: &Stat, settled: i64) -> Entry {
    let moment = |seconds: i64, nanos| {
        // Where time began before 1970, nanoseconds still count upwards.
        Moment { seconds, nanos: u32::try_from(nanos).unwrap_or(0) }
    };
    let modified = moment(stat.st_mtime, stat.st_mtime_nsec);
    let changed = moment(stat.st_ctime, stat.st_ctime_nsec);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let limit = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(settled);
    Entry {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        owner: stat.st_uid,
        group: stat.st_gid,
        modified,
        changed,
        inode: stat.st_ino,
        unsettled: changed.seconds >= limit,
        attributes: Vec::new(),
    }
}

/// Whether nothing was written to a file between two looks.
pub(super) fn is_same(a: &Stat, b: &Stat) -> bool {
    let key =
        |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec, s.st_ctime, s.st_ctime_nsec, s.st_ino);
    key(a) == key(b)
}

/// Whether an error of the system says that something is not there. A stale handle of a network file
/// system does not: what it was for may well be there.
pub(super) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_is_not_a_file_that_went() {
        assert!(is_gone(Errno::NOENT) && !is_gone(Errno::STALE));
        let stale = || io::Error::from(Errno::STALE);
        assert!(matches!(lost(b"f".to_vec(), stale()), Seen::Unreadable(..)));
        let gone = lost(b"f".to_vec(), Errno::NOENT.into());
        assert!(matches!(gone, Seen::Vanished(_)));
    }
}
