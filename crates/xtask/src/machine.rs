//! Facts about this machine: who runs, and what is on the path.

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

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}
