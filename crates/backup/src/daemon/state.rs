//! The daemon's directory, and that only one daemon uses it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use backup_config::{Environment, Settings};
use backup_core::{Error, ErrorKind, Result};

/// Returns where a daemon with these settings keeps what it remembers; creates nothing.
pub fn state_directory(settings: &Settings, environment: &Environment) -> Result<PathBuf> {
    if let Some(state) = &settings.daemon.state {
        return Ok(state.clone());
    }
    usual_directory(environment)
}

/// Returns where a daemon keeps what it remembers when its configuration says nothing, or cannot
/// be read.
pub(super) fn usual_directory(environment: &Environment) -> Result<PathBuf> {
    if let Some(given) = environment.get("BACKUPD_STATE")? {
        return Ok(PathBuf::from(given));
    }
    // systemd names one, or several.
    if let Some(given) = environment.get("STATE_DIRECTORY")? {
        return Ok(PathBuf::from(given.split(':').next().unwrap_or(given)));
    }
    if let Some(home) = environment.get("XDG_STATE_HOME")? {
        return Ok(Path::new(home).join("backupd"));
    }
    match environment.get("HOME")? {
        Some(home) => Ok(Path::new(home).join(".local/state/backupd")),
        None => Err(Error::new(ErrorKind::ConfigInvalid, "find directory of the daemon")
            .because("none is configured and HOME is not set")
            .hint("Set BACKUPD_STATE, or daemon.state in backup.toml.")),
    }
}

/// What fails where another daemon runs.
pub(super) const ANOTHER: &str = "start daemon";

/// The directory, held by this process until it ends, however it ends.
#[derive(Debug)]
pub(super) struct StateDirectory {
    pub(super) path: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Creates the directory, readable by its owner alone, and locks it. `Conflict` when another
    /// daemon runs there.
    pub(super) fn lock(path: PathBuf) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::ConfigInvalid, "use directory of the daemon")
                .with("directory", path.display())
                .because(error)
                .hint("Make it writable for this user, or set BACKUPD_STATE to another.")
        };
        fs::create_dir_all(&path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Not ours to change where somebody else made it; then it is as safe as they want it.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
        }
        let lock = File::create(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
            Err(TryLockError::WouldBlock) => Err(Error::new(ErrorKind::Conflict, ANOTHER)
                .with("directory", path.display())
                .because("another backupd runs there")
                .hint("Stop that one, or give this one a directory of its own (BACKUPD_STATE).")),
        }
    }
}
