//! Files that only their owner may read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use backup_core::{Error, ErrorKind, Result, Secret};

/// Writes a new file that only its owner can read; an existing one is `Conflict`.
pub(crate) fn write(path: &Path, text: &Secret) -> Result<()> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
            _ => ErrorKind::Failed,
        };
        Error::new(kind, "write private file")
            .with("file", path.display())
            .hint("Choose a path that does not exist yet, in a folder you may write to.")
            .because(error)
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
