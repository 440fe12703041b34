//! A drill's throw-away directory.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    DrillOptions, DrillTarget, IndexCheck, PartSource, RestoreOptions, RestoreReport, Restored,
    Scratch, Target,
};
use backup_core::{ByteSize, Error, ErrorKind, Finding, Result, Secret, Snapshot};

use super::target::{TreeTarget, blocking};

const PREFIX: &str = "backup-drill-files-";
/// Locked as long as somebody uses the folder.
const LOCK: &str = "lock";
/// Inodes, directories and the like: a hundredth more than the files themselves.
const MARGIN: u64 = 100;

/// Makes throw-away directories below a folder.
#[derive(Clone, Debug)]
pub struct ScratchTree {
    parent: PathBuf,
}

impl ScratchTree {
    /// Puts them below that folder.
    #[must_use]
    pub fn below(parent: impl Into<PathBuf>) -> Self {
        Self { parent: parent.into() }
    }
}

#[async_trait]
impl DrillTarget for ScratchTree {
    fn describe(&self) -> String {
        format!("a throw-away directory under {}", self.parent.display())
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        let parent = self.parent.clone();
        let swept = blocking(move || Ok(sweep(&parent))).await?;
        Ok(swept.iter().map(|name| Finding::swept(name)).collect())
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        let (parent, bytes) = (self.parent.clone(), snapshot.restored_bytes());
        let folder = blocking(move || {
            room(&parent, bytes)?;
            Folder::create(&parent)
        })
        .await?;
        Ok(Box::new(Place { folder, options: options.clone() }))
    }
}

/// Fails where the disk cannot hold the tree.
fn room(parent: &Path, bytes: u64) -> Result<()> {
    let Ok(disk) = rustix::fs::statvfs(parent) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = bytes.saturating_add(bytes / MARGIN);
    if free > needed {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "make room for a drill")
        .with("folder", parent.display())
        .with("free", ByteSize(free))
        .with("needed", ByteSize(needed))
        .hint("Make room, or name a folder with more of it: --to DIR, or drill.to."))
}

/// A folder that only its user may enter; removed with everything in it on drop.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn create(parent: &Path) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Unsupported, "make throw-away directory")
                .with("folder", parent.display())
                .because(error)
                .hint("Check that the folder exists and is writable, or name another: --to DIR.")
        };
        // Another container may have the same process number and share the folder.
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed(error)),
            }
            let lock = File::create(path.join(LOCK));
            let lock = lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(failed)?;
            return Ok(Self { path, _lock: lock });
        }
    }

    fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is removed by the sweep of a later drill.
        let _ = remove(&self.path);
    }
}

/// Removes a folder, directories that may not be written to included.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the folders of drills that nobody holds any more.
fn sweep(parent: &Path) -> Vec<String> {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(io::Result::ok);
    let mut removed = Vec::new();
    for entry in entries {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        // One that is just being made has no lock yet; it is left to a later drill.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() && remove(&entry.path()).is_ok() {
            removed.push(entry.path().display().to_string());
        }
    }
    removed
}

struct Place {
    folder: Folder,
    options: DrillOptions,
}

#[async_trait]
impl Scratch for Place {
    fn location(&self) -> String {
        self.folder.tree().display().to_string()
    }

    fn server_version(&self) -> String {
        String::new()
    }

    fn url(&self) -> Secret {
        Secret::new(format!("file://{}", self.folder.tree().display()))
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let options = RestoreOptions {
            jobs: self.options.jobs,
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: false,
            no_privileges: false,
            create_roles: false,
            role_map: Vec::new(),
            without_extensions: Vec::new(),
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            files: <_>::default(),
            observer: Arc::clone(&self.options.observer),
        };
        TreeTarget::new(self.folder.tree(), options).restore(snapshot, parts).await
    }

    async fn examine(
        &mut self,
        _snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
    ) -> Result<Restored> {
        let (jobs, observer) = (self.options.jobs.get(), &self.options.observer);
        let tree = super::examine(&self.folder.tree(), parts, jobs, observer).await?;
        Ok(Restored { tree: Some(tree), ..Restored::default() })
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        let unavailable = Some("a tree of files has none".to_owned());
        Ok(IndexCheck { unavailable, ..IndexCheck::default() })
    }

    async fn ask(&mut self, _sql: &str, _limit: Duration) -> Result<Option<String>> {
        Err(Error::new(ErrorKind::Unsupported, "ask tree of files")
            .hint("Only a database answers SQL; let a program look at the files (drill.smoke)."))
    }

    async fn remove(self: Box<Self>) -> Result<()> {
        let path = self.folder.path.clone();
        blocking(move || {
            drop(self);
            if path.exists() {
                return Err(Error::new(ErrorKind::Failed, "remove throw-away directory")
                    .with("directory", path.display())
                    .hint("It holds restored files: remove it by hand."));
            }
            Ok(())
        })
        .await
    }
}
