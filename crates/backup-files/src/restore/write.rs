//! Writes entries below a root. Blocking; follows no link.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backup_core::{Error, ErrorKind, Finding, Result};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawMode, Stat, StatxAttributes, StatxFlags, fstat, ftruncate,
    linkat, makedev, mkdirat, mknodat, openat, readlinkat, renameat, statat, statx, symlinkat,
    unlinkat,
};
use rustix::io::Errno;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::place::{RESTORE, failed};
use crate::beneath::Folders;
use crate::entry::{Entry, FileData, Kind, PIECE, Place as Stored, show, split};

/// What a file is called until it is whole, where another is in its place.
const PART: &str = ".backup-restore-";

/// Where to write, and how.
pub(super) struct Place {
    pub(super) root: Arc<OwnedFd>,
    pub(super) shown: PathBuf,
    /// The file system that the root is on: nothing is removed on another.
    pub(super) device: u64,
    /// Something may be there already.
    pub(super) delta: bool,
    /// With `delta`: how many names the snapshot has for those files that have several, by number.
    pub(super) names: HashMap<u64, u64>,
    /// What is in the way of something of another kind may be removed, with what it holds.
    pub(super) delete: bool,
    /// Owners are left to whoever restores.
    pub(super) no_owner: bool,
    pub(super) tally: Tally,
}

/// What was done, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) owners: AtomicU64,
    pub(super) devices: AtomicU64,
    pub(super) attributes: AtomicU64,
    pub(super) refused: Mutex<Vec<String>>,
    spared: Mutex<Vec<String>>,
}

impl Tally {
    fn wrote(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Remembers a place that another file system is mounted at.
    pub(super) fn spare(&self, path: &[u8]) {
        if let Ok(mut spared) = self.spared.lock() {
            spared.push(show(path));
        }
    }

    /// Returns what a person should know.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        let owners = self.owners.load(Ordering::Relaxed);
        if owners > 0 {
            all.push(Finding::warning(format!(
                "The owners of {owners} entries were not set, and set-user-id bits left out: that \
                 takes root."
            )));
        }
        let devices = self.devices.load(Ordering::Relaxed);
        if devices > 0 {
            all.push(Finding::warning(format!(
                "{devices} devices were left out: making them takes root."
            )));
        }
        let attributes = self.attributes.load(Ordering::Relaxed);
        if attributes > 0 {
            let names = self.refused.lock().map(|names| names.join(", ")).unwrap_or_default();
            all.push(Finding::warning(format!(
                "{attributes} extended attributes were refused by this file system or need \
                 rights: {names}."
            )));
        }
        let spared = self.spared.lock().map(|names| names.clone()).unwrap_or_default();
        if !spared.is_empty() {
            all.push(Finding::warning(format!(
                "Other file systems are mounted below the directory, and nothing was removed \
                 there: {}.",
                spared.join(", ")
            )));
        }
        all
    }
}

/// Writes into one tree; remembers the directory it wrote to last.
pub(super) struct Writer<'a> {
    place: &'a Place,
    folders: Folders,
}

impl<'a> Writer<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        Self { place, folders: Folders::new(&place.root) }
    }

    /// Makes a directory; its metadata comes last.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let (place, (folder, name)) = (self.place, split(path));
        let parent = self.parent(folder, path)?;
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) if place.delta => {}
            Err(error) => return Err(place.failed("make directory", path, error)),
        }
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| place.failed("look at directory", path, error))?;
        if kind(&stat) == FileType::Directory {
            return Ok(());
        }
        unlinkat(parent, name, AtFlags::empty())
            .and_then(|()| mkdirat(parent, name, Mode::RWXU))
            .map_err(|error| place.failed("make directory", path, error))
    }

    /// Writes a file whose contents are at hand, unless it is there already.
    pub(super) fn file(&mut self, entry: &Entry, data: &FileData, contents: &[u8]) -> Result<()> {
        if xxh3_64(contents) != data.hash && data.size > 0 {
            return Err(other_contents(entry));
        }
        let Some(file) = self.begin(entry, data)? else { return Ok(()) };
        file.put(0, contents)?;
        self.end(file)
    }

    /// Returns those files that are not there with their contents; the others get their metadata.
    pub(super) fn missing(
        &mut self,
        files: Vec<(Entry, FileData)>,
    ) -> Result<Vec<(Entry, FileData)>> {
        let place = self.place;
        let mut missing = Vec::new();
        for (entry, data) in files {
            let (folder, name) = split(&entry.path);
            let parent = self.parent(folder, &entry.path)?;
            let there = place
                .same_file(parent, name, &data)
                .map_err(|error| place.lost("read file", &entry.path, error))?;
            match there {
                Some(file) => {
                    place.tally.kept.fetch_add(1, Ordering::Relaxed);
                    place.describe(&file, &entry)?;
                }
                None => missing.push((entry, data)),
            }
        }
        Ok(missing)
    }

    /// Begins to write a file; nothing when it is there already, with these contents.
    pub(super) fn begin(&mut self, entry: &Entry, data: &FileData) -> Result<Option<Open>> {
        let (place, (folder, name)) = (self.place, split(&entry.path));
        let parent = self.parent(folder, &entry.path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut temporary = None;
        let fd = match openat(parent, name, flags, mode) {
            Ok(fd) => fd,
            Err(Errno::EXIST) if place.delta => {
                if let Some(there) = place
                    .same_file(parent, name, data)
                    .map_err(|error| place.lost("read file", &entry.path, error))?
                {
                    place.tally.kept.fetch_add(1, Ordering::Relaxed);
                    place.describe(&there, entry)?;
                    return Ok(None);
                }
                self.clear(entry)?;
                let parent = self.parent(folder, &entry.path)?;
                let part = format!("{PART}{:016x}", xxh3_64(name));
                // Left by a restore that was broken off.
                let _ = unlinkat(parent, part.as_str(), AtFlags::empty());
                let fd = openat(parent, part.as_str(), flags, mode)
                    .map_err(|error| place.failed("create file", &entry.path, error))?;
                temporary = Some(part);
                fd
            }
            Err(error) => return Err(place.failed("create file", &entry.path, error)),
        };
        Ok(Some(Open {
            file: File::from(fd),
            entry: entry.clone(),
            data: data.clone(),
            shown: place.shown(&entry.path),
            temporary,
        }))
    }

    /// Ends a file that was written whole: gives it its metadata, then its name.
    pub(super) fn end(&mut self, open: Open) -> Result<()> {
        let (place, path) = (self.place, &open.entry.path);
        if open.data.holes.last().is_some_and(|(at, length)| at + length == open.data.size) {
            ftruncate(&open.file, open.data.size)
                .map_err(|error| place.failed("write file", path, error))?;
        }
        place.describe(&open.file, &open.entry)?;
        if let Some(part) = open.temporary {
            let (folder, name) = split(path);
            let parent = self.parent(folder, path)?;
            renameat(parent, part.as_str(), parent, name)
                .map_err(|error| place.failed("put file in place", path, error))?;
        }
        place.tally.wrote(open.data.size);
        Ok(())
    }

    /// Makes a link, a pipe or a device.
    pub(super) fn other(&mut self, entry: &Entry) -> Result<()> {
        let (place, path, (folder, name)) = (self.place, &entry.path, split(&entry.path));
        if place.delta && self.is_there(entry)? {
            place.tally.kept.fetch_add(1, Ordering::Relaxed);
            let parent = self.parent(folder, path)?;
            return place.describe_name(parent, name, entry);
        }
        if place.delta {
            self.remove(entry)?;
        }
        let parent = self.parent(folder, path)?;
        let mode = Mode::from_raw_mode(entry.mode as RawMode);
        let made = match &entry.kind {
            Kind::Link(target) => symlinkat(target.as_slice(), parent, name),
            Kind::Pipe => mknodat(parent, name, FileType::Fifo, mode, 0),
            Kind::Character(major, minor) => {
                let device = makedev(*major, *minor);
                mknodat(parent, name, FileType::CharacterDevice, mode, device)
            }
            Kind::Block(major, minor) => {
                mknodat(parent, name, FileType::BlockDevice, mode, makedev(*major, *minor))
            }
            Kind::File(_) | Kind::Directory => Ok(()),
        };
        match made {
            Ok(()) => {}
            Err(Errno::PERM | Errno::ACCESS)
                if matches!(entry.kind, Kind::Character(..) | Kind::Block(..)) =>
            {
                place.tally.devices.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => return Err(place.failed("make entry", path, error)),
        }
        place.tally.wrote(0);
        place.describe_name(parent, name, entry)
    }

    /// Gives a file that is there another name.
    pub(super) fn link(&mut self, first: &[u8], entry: &Entry) -> Result<()> {
        let place = self.place;
        let (folder, name) = split(first);
        let mut others = Folders::new(&place.root);
        let from =
            others.open(folder).map_err(|error| place.lost("open directory", first, error))?;
        let wanted = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| place.failed("find first name", first, error))?;
        let (to_folder, to_name) = split(&entry.path);
        let parent = self.parent(to_folder, &entry.path)?;
        if place.delta {
            if let Ok(there) = statat(parent, to_name, AtFlags::SYMLINK_NOFOLLOW)
                && (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino)
            {
                place.tally.kept.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            self.remove(entry)?;
        }
        let parent = self.parent(to_folder, &entry.path)?;
        linkat(from, name, parent, to_name, AtFlags::empty())
            .map_err(|error| place.failed("link file", &entry.path, error))?;
        place.tally.wrote(0);
        Ok(())
    }

    /// Gives a directory its metadata.
    pub(super) fn finish_directory(&mut self, entry: &Entry) -> Result<()> {
        let place = self.place;
        let folder = self
            .folders
            .open(&entry.path)
            .map_err(|error| place.lost("open directory", &entry.path, error))?;
        place.describe(folder, entry)
    }

    /// Removes an entry, with everything below it that is on the file system of the root; returns
    /// whether nothing of it is left.
    pub(super) fn remove_all(&mut self, path: &[u8]) -> Result<bool> {
        let (place, (folder, name)) = (self.place, split(path));
        let parent = self.parent(folder, path)?;
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::ISDIR | Errno::PERM) => {}
            // A file that something is mounted over.
            Err(Errno::BUSY) => {
                place.tally.spare(path);
                return Ok(false);
            }
            Err(error) => return Err(place.failed("remove entry", path, error)),
        }
        let names = self
            .folders
            .open(path)
            .and_then(|fd| {
                if fstat(fd)?.st_dev != place.device || is_mounted(fd) {
                    return Ok(None);
                }
                let mut names = Vec::new();
                for entry in rustix::fs::Dir::read_from(fd)? {
                    let name = entry?.file_name().to_bytes().to_vec();
                    if !matches!(name.as_slice(), b"." | b"..") {
                        names.push(name);
                    }
                }
                Ok(Some(names))
            })
            .map_err(|error| place.lost("read directory", path, error))?;
        let Some(names) = names else {
            self.folders.forget(path);
            place.tally.spare(path);
            return Ok(false);
        };
        let mut gone = true;
        for name in names {
            let mut below = path.to_vec();
            below.push(b'/');
            below.extend_from_slice(&name);
            gone &= self.remove_all(&below)?;
        }
        self.folders.forget(path);
        if !gone {
            return Ok(false);
        }
        let parent = self.parent(folder, path)?;
        unlinkat(parent, name, AtFlags::REMOVEDIR)
            .map(|()| true)
            .map_err(|error| place.failed("remove directory", path, error))
    }

    /// Whether what is in an entry's place is what it should be, metadata apart.
    fn is_there(&mut self, entry: &Entry) -> Result<bool> {
        let (place, (folder, name)) = (self.place, split(&entry.path));
        let parent = self.parent(folder, &entry.path)?;
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(place.failed("look at entry", &entry.path, error)),
        };
        let device = |major: u32, minor: u32| stat.st_rdev == makedev(major, minor);
        Ok(match &entry.kind {
            Kind::Link(target) => {
                kind(&stat) == FileType::Symlink
                    && readlinkat(parent, name, Vec::new())
                        .is_ok_and(|found| found.as_bytes() == target.as_slice())
            }
            Kind::Pipe => kind(&stat) == FileType::Fifo,
            Kind::Character(a, b) => kind(&stat) == FileType::CharacterDevice && device(*a, *b),
            Kind::Block(a, b) => kind(&stat) == FileType::BlockDevice && device(*a, *b),
            Kind::File(_) | Kind::Directory => false,
        })
    }

    /// Clears the way for what is renamed over it: only a directory is in the way.
    fn clear(&mut self, entry: &Entry) -> Result<()> {
        let (folder, name) = split(&entry.path);
        let parent = self.parent(folder, &entry.path)?;
        match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if kind(&stat) == FileType::Directory => self.remove(entry),
            _ => Ok(()),
        }
    }

    /// Removes what is in an entry's place; a directory only when that was asked for.
    fn remove(&mut self, entry: &Entry) -> Result<()> {
        let (place, (folder, name)) = (self.place, split(&entry.path));
        let parent = self.parent(folder, &entry.path)?;
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) if place.delete => {
                match self.remove_all(&entry.path)? {
                    true => Ok(()),
                    false => Err(Error::new(ErrorKind::Conflict, RESTORE)
                        .with("path", place.shown(&entry.path).display())
                        .because(
                            "another file system is mounted where the snapshot has something else",
                        )
                        .hint("Unmount it, or restore into another directory.")),
                }
            }
            Err(Errno::ISDIR) => Err(Error::new(ErrorKind::Conflict, RESTORE)
                .with("path", place.shown(&entry.path).display())
                .because("a directory is in the place of something else")
                .hint("Move it away, or pass --delete to have it removed with what it holds.")),
            Err(error) => Err(place.failed("remove entry", &entry.path, error)),
        }
    }

    fn parent(&mut self, folder: &[u8], path: &[u8]) -> Result<BorrowedFd<'_>> {
        let place = self.place;
        self.folders.open(folder).map_err(|error| place.lost("open directory", path, error))
    }
}

/// A file that is being written.
pub(super) struct Open {
    file: File,
    entry: Entry,
    data: FileData,
    shown: PathBuf,
    temporary: Option<String>,
}

impl Open {
    /// Writes bytes at an offset, but for those that are in holes.
    pub(super) fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        for (hole, length) in &self.data.holes {
            if hole + length <= at {
                continue;
            }
            if *hole >= end {
                break;
            }
            self.write(offset, bytes, at, (*hole).max(at))?;
            at = (hole + length).min(end);
        }
        self.write(offset, bytes, at, end)
    }

    fn write(&self, offset: u64, bytes: &[u8], from: u64, to: u64) -> Result<()> {
        let range = (from - offset) as usize..(to.max(from) - offset) as usize;
        let bytes = bytes.get(range).unwrap_or_default();
        self.file.write_all_at(bytes, from).map_err(|e| failed("write file", &self.shown, e))
    }
}

impl Place {
    pub(super) fn shown(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.shown.clone() } else { self.shown.join(show(path)) }
    }

    pub(super) fn failed(&self, operation: &str, path: &[u8], error: Errno) -> Error {
        failed(operation, &self.shown(path), error.into())
    }

    pub(super) fn lost(&self, operation: &str, path: &[u8], error: io::Error) -> Error {
        failed(operation, &self.shown(path), error)
    }

    /// Returns the file of that name, open, if it has just these contents, and no more names than in
    /// the snapshot: what is written to it would be written to those as well.
    fn same_file(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        data: &FileData,
    ) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            // A link, a socket, or not for us to read: it is replaced.
            Err(_) => return Ok(None),
        };
        let stat = fstat(&file)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let most = match data.linked.map(|number| self.names.get(&number).copied()) {
            None => 1,
            Some(Some(count)) if count > 1 => count,
            // Its other names were outside the tree or left out, and may well be here.
            Some(_) => u64::MAX,
        };
        let shared = stat.st_nlink > most;
        if kind(&stat) != FileType::RegularFile || size != data.size || shared {
            return Ok(None);
        }
        Ok((hash(&file, data)? == Some(data.hash)).then_some(file))
    }
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether a directory is where something is mounted, be it of the same file system. Older systems do
/// not tell.
fn is_mounted(directory: BorrowedFd<'_>) -> bool {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    statx(directory, c"", flags, StatxFlags::empty())
        .is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Returns the hash of a file's contents, by the holes that its data says it has; nothing when
/// there is something in one. Those of a file in a bundle are part of its hash.
pub(super) fn hash(mut file: &File, data: &FileData) -> io::Result<Option<u64>> {
    if data.size == 0 {
        return Ok(Some(0));
    }
    let mut hash = Xxh3Default::new();
    let whole = matches!(data.place, Stored::Bundle { .. });
    let mut pieces = data.pieces().peekable();
    let mut bytes = Vec::new();
    for piece in 0..data.size.div_ceil(PIECE) {
        bytes.clear();
        (&mut file).take(data.piece_length(piece)).read_to_end(&mut bytes)?;
        if pieces.next_if_eq(&piece).is_some() || whole {
            hash.update(&bytes);
        } else if bytes.iter().any(|byte| *byte != 0) {
            return Ok(None);
        }
    }
    Ok(Some(hash.digest()))
}

pub(super) fn other_contents(entry: &Entry) -> Error {
    Error::new(ErrorKind::Integrity, "compare file with list").with("path", entry.shown())
}
