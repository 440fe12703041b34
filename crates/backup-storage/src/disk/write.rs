//! Writing and deleting objects.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind as Io, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use backup_core::{Error, ErrorKind, ObjectName, Result};

use super::Disk;
use super::error::{is_absence, unavailable};

/// Where unfinished objects are; no object's name has capital letters.
const TEMPORARY: &str = "TMP";
/// How old an unfinished object must be to belong to nobody.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// Objects are written in pieces of so many bytes: for a larger one the kernel looks for memory in
/// larger blocks, which on a virtual machine the host may first have to give, ten times as slowly.
const PIECE: usize = 256 << 10;

impl Disk {
    /// Remembers which directory the root is, if it is there.
    pub(super) fn look(&self) {
        if let Ok(metadata) = self.root.metadata() {
            // Only the first counts.
            let _ = self.seen.set((metadata.dev(), metadata.ino()));
        }
    }

    /// Fails if the root is another directory than it was: below an unmounted volume's place, what
    /// is written would be hidden as soon as it is mounted again.
    fn demand_root(&self) -> Result<()> {
        // The first object makes it.
        let Some((device, inode)) = self.seen.get() else { return Ok(()) };
        let gone = |error| {
            unavailable("write object", &self.root, error).hint(
                "The directory went away while this program used it: is its volume still mounted? \
                 Nothing is written in its place.",
            )
        };
        let metadata = self.root.metadata().map_err(gone)?;
        // A network filesystem that is mounted again has another device number.
        let same = metadata.ino() == *inode
            && (metadata.dev() == *device
                || fs::read_dir(&self.root).is_ok_and(|mut entries| entries.next().is_some()));
        if same { Ok(()) } else { Err(gone(io::Error::other("another directory is there"))) }
    }

    pub(super) fn create(&self, name: &ObjectName, body: &[u8]) -> Result<()> {
        self.demand_root()?;
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.root);
        let temporary = self.root.join(TEMPORARY);
        self.ensure(&temporary)?;
        self.ensure(parent)?;
        if !self.swept.swap(true, Relaxed) {
            sweep(&temporary);
        }
        let unfinished = temporary.join(random_file_name()?);
        let result = write_file(&unfinished, body)
            .map_err(|error| unavailable("write object", &path, error))
            .and_then(|()| self.publish(&unfinished, &path));
        // After a rename it is gone; anything else is swept up another day.
        let _ = fs::remove_file(&unfinished);
        // Who took the name may have died before this: then it is made durable here.
        let taken = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict);
        if result.is_ok() || taken {
            sync_directory(parent)
                .map_err(|error| unavailable("make object durable", &path, error))?;
            if self.seen.get().is_none() {
                self.look();
            }
        }
        result
    }

    pub(super) fn delete(&self, name: &ObjectName) -> Result<()> {
        let operation = "delete object";
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if is_absence(&error) => return Ok(()),
            Err(_) if path.is_dir() => return Ok(()),
            Err(error) => return Err(unavailable(operation, &path, error)),
        }
        // What is deleted in order must stay deleted in order.
        sync_directory(path.parent().unwrap_or(&self.root))
            .map_err(|error| unavailable(operation, &path, error))
    }

    /// Gives a durable file its name, unless the name is taken.
    fn publish(&self, unfinished: &Path, path: &Path) -> Result<()> {
        if self.links.load(Relaxed) {
            match fs::hard_link(unfinished, path) {
                Err(error) if has_no_links(&error) => self.links.store(false, Relaxed),
                // On a network filesystem the reply to a link that was made may get lost and the
                // request be repeated; then our own file has two names.
                Err(error) if error.kind() == Io::AlreadyExists => {
                    return if is_linked(unfinished) { Ok(()) } else { Err(taken(path)) };
                }
                Err(error) => return Err(unavailable("name object", path, error)),
                Ok(()) => return Ok(()),
            }
        }
        // Without hard links two racing writers may both succeed, which is why
        // create-if-absent is no longer declared.
        if path.exists() {
            return Err(taken(path));
        }
        fs::rename(unfinished, path).map_err(|error| unavailable("name object", path, error))
    }

    /// Makes a directory, those above it, and their entries durable, once per process: another
    /// process may have made them and crashed before its own sync.
    fn ensure(&self, directory: &Path) -> Result<()> {
        if self.is_settled(directory) {
            return Ok(());
        }
        let mut above = None;
        if directory != self.root {
            above = directory.parent();
        } else if !directory.is_dir() {
            above = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        }
        if let Some(parent) = above {
            if parent.starts_with(&self.root) || !parent.is_dir() {
                self.ensure(parent)?;
            }
            make_directory(directory)?;
            sync_directory(parent)
                .map_err(|error| unavailable("make directory durable", parent, error))?;
        }
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(directory.to_owned());
        Ok(())
    }

    fn is_settled(&self, directory: &Path) -> bool {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(directory)
    }
}

fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == Io::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == Io::AlreadyExists => {
            Err(unavailable("create directory", path, io::Error::from(Io::NotADirectory)))
        }
        result => result.map_err(|error| unavailable("create directory", path, error)),
    }
}

fn write_file(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for piece in body.chunks(PIECE) {
        file.write_all(piece)?;
    }
    // The size is part of what this makes durable.
    file.sync_data()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some network filesystems cannot sync a directory; their servers do.
        Err(error) if matches!(error.kind(), Io::InvalidInput | Io::Unsupported) => Ok(()),
        result => result,
    }
}

fn taken(path: &Path) -> Error {
    Error::new(ErrorKind::Conflict, "create object")
        .with("path", path.display())
        .because("it exists already")
}

fn is_linked(unfinished: &Path) -> bool {
    unfinished.metadata().is_ok_and(|metadata| metadata.nlink() > 1)
}

fn has_no_links(error: &io::Error) -> bool {
    // FAT and some network filesystems answer EPERM (unlike EACCES, which is about the
    // directory), others that they cannot.
    const EPERM: i32 = 1;
    error.raw_os_error() == Some(EPERM) || error.kind() == Io::Unsupported
}

/// Removes what crashed writers left; failing to is no reason not to write.
fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_abandoned(&path).unwrap_or(false) {
            let removed = fs::remove_file(&path);
            tracing::info!(path = %path.display(), ?removed, "removed a crashed writer's file");
        }
    }
}

fn is_abandoned(path: &Path) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(path.symlink_metadata()?.modified()?);
    Ok(age.is_ok_and(|age| age > ABANDONED))
}

fn random_file_name() -> Result<String> {
    let random = getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Failed, "name temporary file").because(error.to_string())
    })?;
    Ok(format!("{}-{random:016x}", std::process::id()))
}
