//! The temporary folder of one throw-away server, and what killed drills left of theirs.

use std::fs::File;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};

use super::server;
use super::user::ServerUser;

/// What every such folder's name begins with. Short: the path of a socket must be.
const PREFIX: &str = "backup-drill-";

/// The file in it that is locked as long as somebody uses the folder.
const LOCK: &str = "lock";

/// A folder that only the server's user may enter; removed with everything in it on drop.
#[derive(Debug)]
pub(super) struct DrillFolder {
    path: PathBuf,
    /// Held while this lives, whatever ends the process; given up after the folder is removed.
    _lock: File,
}

impl DrillFolder {
    /// Makes one under `parent`, and a lock in it by which it can be told apart from a leftover.
    pub(super) fn create(parent: &Path, user: ServerUser) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Unsupported, "create folder of throw-away server")
                .with("folder", parent.display())
                .hint("Check that the folder exists, is writable and has room, or name another.")
                .because(error)
        };
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error)))?;
        let random = u32::from_le_bytes(random);
        let path = parent.join(format!("{PREFIX}{}-{random:08x}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|error| {
            // Nobody else would remove it.
            let _ = std::fs::remove_dir_all(&path);
            failed(error)
        })?;
        let folder = Self { path, _lock: lock };
        user.own(&folder.path).map_err(failed)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Removes the folder; the error says what is left.
    pub(super) fn remove(self) -> Result<()> {
        let path = self.path.clone();
        drop(self);
        if path.exists() {
            return Err(Error::new(ErrorKind::Failed, "remove folder of throw-away server")
                .with("folder", path.display())
                .hint("It holds restored rows: remove it by hand."));
        }
        Ok(())
    }
}

impl Drop for DrillFolder {
    fn drop(&mut self) {
        // Files of a restore that was given up may still appear for a moment. A leftover is removed
        // by the sweep of a later drill.
        for _ in 0..20 {
            match std::fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(std::time::Duration::from_millis(25));
                }
                _ => break,
            }
        }
    }
}

/// Stops the servers and removes the folders of drills that nobody holds any more.
pub(super) fn sweep(parent: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().filter_map(std::io::Result::ok);
    let mut removed = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Some(_held) = leftover(&entry.path(), &name) else { continue };
        server::end_orphan(&entry.path().join("data"));
        // Another user's folder stays, which is right.
        if std::fs::remove_dir_all(entry.path()).is_ok() {
            removed.push(entry.path().display().to_string());
        }
    }
    removed
}

/// Returns the lock of a folder that nobody uses, so that nobody else removes it meanwhile. A
/// process number tells nothing: in a container every program has the same. Only a folder that
/// was left before it got its lock is told by it.
fn leftover(folder: &Path, name: &str) -> Option<Option<File>> {
    let process = name.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<u32>().ok()?;
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok().then_some(Some(lock)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Where processes cannot be looked up nothing is a leftover.
            let known = Path::new("/proc/self").exists();
            (known && !Path::new("/proc").join(process.to_string()).exists()).then_some(None)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_that_nobody_holds_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let user = ServerUser::choose().unwrap();
        let mine = DrillFolder::create(parent.path(), user).unwrap();
        // No process has that number: the kernel's greatest is 4194304.
        let gone = parent.path().join(format!("{PREFIX}4194999-00000000"));
        std::fs::create_dir(&gone).unwrap();
        std::fs::create_dir(parent.path().join("backup-drill-notes")).unwrap();
        // Left by a program of the same number, as it is in a container that was started again.
        let same = parent.path().join(format!("{PREFIX}{}-00000000", std::process::id()));
        std::fs::create_dir(&same).unwrap();
        File::create(same.join(LOCK)).unwrap();
        let mut swept = sweep(parent.path());
        swept.sort();
        let mut expected = [gone, same].map(|path| path.display().to_string());
        expected.sort();
        assert_eq!(swept, expected);
        assert!(mine.path().exists() && parent.path().join("backup-drill-notes").exists());
        let path = mine.path().to_owned();
        mine.remove().unwrap();
        assert!(!path.exists());
    }
}
