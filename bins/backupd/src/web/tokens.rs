//! The file that holds what is kept of tokens: it outlives a lost catalog.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use backup_api::port::TokenRecord;
use backup_core::{Error, ErrorKind, Result};

use super::ledger::{read, write};

/// `tokens.json` in the daemon's directory, readable by its owner alone.
#[derive(Debug)]
pub(super) struct TokenFile(PathBuf);

impl TokenFile {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.join("tokens.json"))
    }

    /// Returns what is kept; nothing when there is no file yet.
    pub(super) fn load(&self) -> Result<Vec<TokenRecord>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed("read tokens", error)),
        }
    }

    /// Changes what is kept, all or nothing, one process at a time.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Vec<TokenRecord>) -> Result<()>,
    ) -> Result<()> {
        let directory = self.0.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(|error| self.failed("make directory", error))?;
        let lock = File::create(directory.join("tokens.lock"));
        let lock = lock.map_err(|error| self.failed("lock tokens", error))?;
        lock.lock().map_err(|error| self.failed("lock tokens", error))?;
        let mut tokens = self.load()?;
        change(&mut tokens)?;
        let text = write(&tokens)?;
        let beside = self.0.with_extension("json.new");
        self.replace(&beside, text.as_bytes()).map_err(|error| self.failed("write tokens", error))
    }

    fn replace(&self, beside: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(beside, &self.0)?;
        // The name is durable when its directory is.
        File::open(self.0.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    fn failed(&self, what: &'static str, error: std::io::Error) -> Error {
        Error::new(ErrorKind::Failed, what).with("file", self.0.display()).because(error)
    }
}
