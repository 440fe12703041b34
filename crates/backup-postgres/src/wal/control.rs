//! Which cluster a data directory is.

use std::path::Path;

use backup_core::{Error, ErrorKind, Result};

use super::page::u64_at;

/// Returns the system identifier in the bytes of a `pg_control` file.
#[must_use]
pub fn system_identifier(control: &[u8]) -> Option<u64> {
    u64_at(control, 0).filter(|system| *system != 0)
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
