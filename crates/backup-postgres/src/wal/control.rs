//! Which cluster a data directory is.

use std::path::Path;

use backup_core::{Error, ErrorKind, Result};

use super::page::{u32_at, u64_at};

/// Returns the system identifier in the bytes of a `pg_control` file.
#[must_use]
pub fn system_identifier(control: &[u8]) -> Option<u64> {
    u64_at(control, 0).filter(|system| *system != 0)
}

/// Where a control file says what its cluster last ran with; the same since version 12.
const SETTINGS: [(&str, usize); 5] = [
    ("max_connections", 180),
    ("max_worker_processes", 184),
    ("max_wal_senders", 188),
    ("max_prepared_transactions", 192),
    ("max_locks_per_transaction", 196),
];
/// The versions of control files that are known: PostgreSQL 12, 13 to 16, 17, 18.
const VERSIONS: [u32; 4] = [1201, 1300, 1700, 1800];

/// Returns the settings in the bytes of a `pg_control` file that a server needs at least as high
/// to recover while it can be read; `None` for a file of a version that is not known.
#[must_use]
pub fn needed_settings(control: &[u8]) -> Option<Vec<(&'static str, u32)>> {
    u32_at(control, 8).filter(|version| VERSIONS.contains(version))?;
    SETTINGS.iter().map(|(name, at)| Some((*name, u32_at(control, *at)?))).collect()
}

/// Returns the system identifier of a data directory, or of the one that a path inside `pg_wal`
/// belongs to; `None` where there is no `pg_control`.
///
/// # Errors
/// `Failed` if the file is there and cannot be read.
pub fn system_of_directory(directory: &Path) -> Result<Option<u64>> {
    let path = directory.join("global/pg_control");
    match std::fs::read(&path) {
        Ok(control) => Ok(system_identifier(&control)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(ErrorKind::Failed, "read pg_control")
            .with("file", path.display())
            .because(error)),
    }
}
