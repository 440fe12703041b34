//! Where the real servers of the tests live, and whether a test may do without them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The folder that `cargo xtask tools` fills: `$BACKUP_TOOLS`, or `/var/cache/backup-tools` for
/// root, or `~/.cache/backup-tools`.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(chosen) = std::env::var_os("BACKUP_TOOLS").filter(|value| !value.is_empty()) {
        return PathBuf::from(chosen);
    }
    if is_root() {
        return PathBuf::from("/var/cache/backup-tools");
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into()));
    cache.map_or_else(|| home().join(".cache"), PathBuf::from).join("backup-tools")
}

/// True when `BACKUP_REQUIRE_SERVERS=1`: a missing server is then a failure, not a skip.
#[must_use]
pub fn servers_required() -> bool {
    std::env::var("BACKUP_REQUIRE_SERVERS").is_ok_and(|value| value == "1")
}

/// Decides what a missing server means: a visible skip, or a failure where servers are required.
///
/// # Panics
/// When `BACKUP_REQUIRE_SERVERS=1`.
#[track_caller]
#[allow(clippy::panic, clippy::print_stderr, reason = "fixtures fail the test that uses them")]
pub fn skip(what: &str) {
    if servers_required() {
        panic!("{what} is missing but BACKUP_REQUIRE_SERVERS=1; run `cargo xtask tools`");
    }
    eprintln!("skipped: {what} is missing; `cargo xtask tools` installs it");
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The first program of that name on the path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}
