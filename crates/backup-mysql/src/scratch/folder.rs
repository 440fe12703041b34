//! The temporary folder of one throw-away server, and what killed drills left of theirs.

use std::fs::File;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};

use super::user::ServerUser;

/// What every such folder's name begins with. Short: the path of a socket must be.
const PREFIX: &str = "backup-mdrill-";
/// The file in it that is locked as long as somebody uses the folder.
const LOCK: &str = "lock";

/// A folder that only the server's user may enter; removed with everything in it on drop.
#[derive(Debug)]
pub(super) struct DrillFolder {
    path: PathBuf,
    /// Held while this lives, whatever ends the process.
    _lock: File,
}

impl DrillFolder {
    /// Makes one under `parent`.
    pub(super) fn create(parent: &Path, user: ServerUser) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Unsupported, "create folder of throw-away server")
                .with("folder", parent.display())
                .hint("Check that the folder exists, is writable and has room, or name another.")
                .because(error)
        };
        let mut random = [0_u8; 6];
        getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error)))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = parent.join(format!("{PREFIX}{name}"));
        let mut builder = std::fs::DirBuilder::new();
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
        // Files of a server that was just killed may still appear for a moment. A leftover is
        // removed by the sweep of a later drill.
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
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        super::server::end_orphan(&entry.path());
        // Another user's folder stays, which is right.
        if std::fs::remove_dir_all(entry.path()).is_ok() {
            removed.push(entry.path().display().to_string());
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_that_nobody_holds_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let user = ServerUser::choose().unwrap();
        let mine = DrillFolder::create(parent.path(), user).unwrap();
        let left = parent.path().join(format!("{PREFIX}00"));
        std::fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let other = parent.path().join("backup-mdrill-notes");
        std::fs::create_dir(&other).unwrap();
        assert_eq!(sweep(parent.path()), [left.display().to_string()]);
        assert!(mine.path().exists() && other.exists());
        let path = mine.path().to_owned();
        mine.remove().unwrap();
        assert!(!path.exists());
    }
}
