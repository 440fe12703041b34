//! The book of operations under way, as files.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::port::{Handle, HandleBook, Wanted};
use backup_core::{Error, ErrorKind, Result, SourceName};
use serde::{Deserialize, Serialize};

/// One file an operation, below a folder a source. Whoever writes one holds a lock on a file of its
/// own for as long as it lives: an entry whose writer's lock can be had is abandoned.
#[derive(Debug)]
pub struct FileBook {
    directory: PathBuf,
    owner: Mutex<Option<Owner>>,
}

#[derive(Debug)]
struct Owner {
    name: String,
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    owner: String,
    handle: Handle,
}

impl FileBook {
    /// Keeps it in this directory, which is made when the first operation is begun.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), owner: Mutex::new(None) }
    }

    fn folder(&self, source: &SourceName) -> PathBuf {
        self.directory.join(source.as_str())
    }

    fn path(&self, source: &SourceName, key: &str) -> PathBuf {
        self.folder(source).join(format!("{key}.json"))
    }

    /// Returns the name under which this process writes; the lock is taken first.
    fn owner(&self) -> io::Result<String> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = owner.as_ref() {
            return Ok(owner.name.clone());
        }
        fs::create_dir_all(&self.directory)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name = format!("owner-{:016x}", u64::from_le_bytes(random));
        let path = self.directory.join(&name);
        let file = File::options().write(true).create_new(true).open(&path)?;
        file.lock()?;
        *owner = Some(Owner { name: name.clone(), path, _file: file });
        Ok(name)
    }

    fn write(&self, source: &SourceName, key: &str, handle: &Handle) -> io::Result<()> {
        let entry = Entry { owner: self.owner()?, handle: handle.clone() };
        let folder = self.folder(source);
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_vec_pretty(&entry).map_err(io::Error::other)?;
        let mut file = tempfile_in(&folder, key)?;
        file.1.write_all(&text)?;
        file.1.sync_all()?;
        fs::rename(&file.0, self.path(source, key))?;
        File::open(&folder)?.sync_all()
    }

    /// Whether the writer of an entry has died.
    fn is_dead(&self, owner: &str, own: &str) -> bool {
        if owner == own {
            return false;
        }
        match File::options().write(true).open(self.directory.join(owner)) {
            Ok(file) => !matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn take_over(&self, source: &SourceName, wanted: Wanted) -> io::Result<Vec<(String, Handle)>> {
        let folder = self.folder(source);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let own = self.owner()?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let Some(key) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"))
            else {
                continue;
            };
            // One that vanishes meanwhile was struck out.
            let Ok(text) = fs::read(&path) else { continue };
            let Ok(entry) = serde_json::from_slice::<Entry>(&text) else {
                tracing::warn!(path = %path.display(), "an entry of the book of operations cannot be read");
                continue;
            };
            if wanted(&entry.handle) && self.is_dead(&entry.owner, &own) {
                let dead = self.directory.join(&entry.owner);
                self.write(source, key, &entry.handle)?;
                // Nobody holds it; other entries of that owner count as abandoned without it too.
                let _ = fs::remove_file(dead);
                found.push((key.to_owned(), entry.handle));
            }
        }
        found.sort_by_key(|(_, handle)| handle.begun_at);
        Ok(found)
    }

    /// Where a pin is a file of the snapshot's id; ids are the vendor's, so that its name has their
    /// letters by number.
    fn pin_of(&self, source: &SourceName, id: &str) -> PathBuf {
        let name: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.folder(source).join(PINS).join(name)
    }

    fn write_pin(&self, source: &SourceName, id: &str) -> io::Result<()> {
        let folder = self.folder(source).join(PINS);
        fs::create_dir_all(&folder)?;
        // The name says it all: half a file is as good.
        File::create(self.pin_of(source, id))?.sync_all()?;
        File::open(&folder)?.sync_all()?;
        File::open(self.folder(source))?.sync_all()
    }

    fn read_pins(&self, source: &SourceName) -> io::Result<Vec<String>> {
        let mut pins = Vec::new();
        for entry in fs::read_dir(self.folder(source).join(PINS))? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(id_of).ok_or_else(|| {
                io::Error::other(format!("the file {} is none of ours", name.display()))
            })?;
            pins.push(id);
        }
        pins.sort();
        Ok(pins)
    }

    fn failed(&self, operation: &str, error: io::Error) -> Error {
        Error::new(ErrorKind::Failed, operation)
            .with("directory", self.directory.display())
            .because(error)
            .hint("Nothing is begun at a provider that is not written down first; make the directory writable.")
    }
}

/// Below the folder of a source: its pins.
const PINS: &str = "pinned";

fn id_of(name: &str) -> Option<String> {
    let pairs = name.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

fn tempfile_in(folder: &Path, key: &str) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!(".{key}.new"));
    Ok((path.clone(), File::create(path)?))
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Without the file its entries are abandoned, as they should be.
        let _ = fs::remove_file(&self.path);
    }
}

#[async_trait]
impl HandleBook for FileBook {
    async fn keep(&self, source: &SourceName, key: &str, handle: &Handle) -> Result<()> {
        self.write(source, key, handle).map_err(|error| self.failed("write down operation", error))
    }

    async fn strike(&self, source: &SourceName, key: &str) -> Result<()> {
        match fs::remove_file(self.path(source, key)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed("strike out operation", error)),
        }
    }

    async fn abandoned(
        &self,
        source: &SourceName,
        wanted: Wanted,
    ) -> Result<Vec<(String, Handle)>> {
        self.take_over(source, wanted)
            .map_err(|error| self.failed("read operations under way", error))
    }

    async fn pin(&self, source: &SourceName, id: &str, pinned: bool) -> Result<()> {
        let written = match pinned {
            true => self.write_pin(source, id),
            false => match fs::remove_file(self.pin_of(source, id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        written.map_err(|error| self.failed("write down pin", error))
    }

    async fn pins(&self, source: &SourceName) -> Result<Vec<String>> {
        match self.read_pins(source) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|error| self.failed("read pins", error)),
        }
    }
}

/// The book of a process that may keep nothing: what would be begun is refused.
#[derive(Debug)]
pub(super) struct NoBook;

fn nowhere(operation: &str, source: &SourceName) -> Error {
    Error::new(ErrorKind::ConfigInvalid, operation)
        .with("source", source)
        .because(
            "what is begun at a provider is written down first, and nothing says where: \
             neither BACKUPD_STATE nor HOME is set",
        )
        .hint("Set BACKUPD_STATE to a directory that outlives this run.")
}

#[async_trait]
impl HandleBook for NoBook {
    async fn keep(&self, source: &SourceName, _: &str, handle: &Handle) -> Result<()> {
        Err(nowhere(handle.intent.verb(), source))
    }

    async fn strike(&self, _: &SourceName, _: &str) -> Result<()> {
        Ok(())
    }

    async fn abandoned(&self, _: &SourceName, _: Wanted) -> Result<Vec<(String, Handle)>> {
        Ok(Vec::new())
    }

    async fn pin(&self, source: &SourceName, _: &str, _: bool) -> Result<()> {
        Err(nowhere("write down pin", source))
    }

    async fn pins(&self, _: &SourceName) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backup_testkit::conformance;

    use super::FileBook;

    #[tokio::test]
    async fn files_keep_the_contract_of_books() {
        let folder = tempfile::tempdir().unwrap();
        conformance::handle_book(|| Arc::new(FileBook::new(folder.path().join("operations"))))
            .await;
        let left: Vec<_> = std::fs::read_dir(folder.path().join("operations")).unwrap().collect();
        assert!(left.iter().all(|entry| entry.as_ref().unwrap().path().is_dir()), "{left:?}");
    }
}
