//! Facts about this machine: who runs, what is on the path, where tools are kept.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The user id of this process.
pub(crate) fn uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid())
}

/// True when this process may do everything.
pub(crate) fn is_root() -> bool {
    uid() == 0
}

/// The first executable of that name on the path, `sbin` folders included.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Where downloaded servers and tools live: outside the clone, readable by an unprivileged user.
pub(crate) fn tools_folder() -> PathBuf {
    if let Some(chosen) = std::env::var_os("BACKUP_TOOLS").filter(|value| !value.is_empty()) {
        return PathBuf::from(chosen);
    }
    if is_root() {
        return PathBuf::from("/var/cache/backup-tools");
    }
    cache_home().join("backup-tools")
}

/// The user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`).
pub(crate) fn cache_home() -> PathBuf {
    match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(chosen) => PathBuf::from(chosen),
        None => {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache")
        }
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}
