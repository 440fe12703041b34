//! The temporary folder of one cluster, owned by whoever runs the server.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::tools;

const PREFIX: &str = "backup-pg-";

/// A folder that is removed on drop, and by the next test run when this one was killed.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
}

impl Home {
    /// Makes an empty folder with a path short enough for a Unix socket.
    pub(super) fn create() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        sweep(&base);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir(&path)?;
        let home = Self { path };
        std::fs::set_permissions(&home.path, std::fs::Permissions::from_mode(0o755))?;
        home.own(&home.path)?;
        Ok(home)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Writes a file the server may read and nobody else.
    pub(super) fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        std::fs::write(path, text)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        self.own(path)
    }

    /// Gives everything inside to whoever runs the server, with the modes it insists on.
    pub(super) fn own_all(&self) -> io::Result<()> {
        std::fs::set_permissions(self.data(), std::fs::Permissions::from_mode(0o700))?;
        let Some((user, group)) = server_user() else { return Ok(()) };
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                lchown(entry.path(), Some(user), Some(group))?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(())
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        match server_user() {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A leftover is removed by the sweep of a later run.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// User and group `nobody` when this process is root; PostgreSQL refuses to run as root.
pub(super) fn server_user() -> Option<(u32, u32)> {
    if !tools::is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("nobody:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Removes folders whose test process is gone (killed, so that nothing was dropped).
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let Some((pid, _)) = rest.split_once('-') else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            // The server ended with its test; a folder of another user stays, which is right.
            if entry.metadata().is_ok_and(|folder| folder.is_dir() && may_remove(folder.uid())) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn may_remove(owner: u32) -> bool {
    tools::is_root() || std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == owner)
}
