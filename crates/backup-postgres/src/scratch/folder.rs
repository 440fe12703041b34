//! The temporary folder of one throw-away server, and what killed drills left of theirs.

use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};

use super::server;
use super::user::ServerUser;

/// What every such folder's name begins with. Short: the path of a socket must be.
const PREFIX: &str = "backup-drill-";

/// A folder that only the server's user may enter; removed with everything in it on drop.
#[derive(Debug)]
pub(super) struct DrillFolder(PathBuf);

impl DrillFolder {
    /// Makes one under `parent`, named after this process so that it can be told apart from a
    /// leftover.
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
        let folder = Self(path);
        user.own(&folder.0).map_err(failed)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Removes the folder; the error says what is left.
    pub(super) fn remove(self) -> Result<()> {
        let path = self.0.clone();
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
        // A leftover is removed by the sweep of a later drill.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Stops the servers and removes the folders of drills whose process is gone.
pub(super) fn sweep(parent: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().filter_map(std::io::Result::ok);
    let mut removed = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_leftover(&name) || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        server::end_orphan(&entry.path().join("data"));
        // Another user's folder stays, which is right.
        if std::fs::remove_dir_all(entry.path()).is_ok() {
            removed.push(entry.path().display().to_string());
        }
    }
    removed
}

fn is_leftover(name: &str) -> bool {
    let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    let process = process.and_then(|(process, _)| process.parse::<u32>().ok());
    // Where processes cannot be looked up nothing is a leftover.
    process.is_some_and(|process| {
        Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_processes_that_are_gone_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let user = ServerUser::choose().unwrap();
        let mine = DrillFolder::create(parent.path(), user).unwrap();
        // No process has that number: the kernel's greatest is 4194304.
        let gone = parent.path().join(format!("{PREFIX}4194999-00000000"));
        std::fs::create_dir(&gone).unwrap();
        std::fs::create_dir(parent.path().join("backup-drill-notes")).unwrap();
        assert_eq!(sweep(parent.path()), [gone.display().to_string()]);
        assert!(mine.path().exists() && parent.path().join("backup-drill-notes").exists());
        let path = mine.path().to_owned();
        mine.remove().unwrap();
        assert!(!path.exists());
    }
}
