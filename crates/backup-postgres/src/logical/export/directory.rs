//! The folder an export goes to.

use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

/// Bytes collected before a write.
const BUFFER: usize = 1 << 20;

/// A folder that was empty.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Creates it; an existing one must be empty.
    pub(super) async fn create(path: PathBuf) -> Result<Self> {
        tokio::fs::create_dir_all(&path).await.map_err(|error| failed(&path, error))?;
        let mut entries = tokio::fs::read_dir(&path).await.map_err(|error| failed(&path, error))?;
        let first = entries.next_entry().await.map_err(|error| failed(&path, error))?;
        if let Some(entry) = first {
            return Err(Error::new(ErrorKind::Conflict, "export into folder")
                .with("folder", path.display())
                .with("holds", entry.file_name().to_string_lossy())
                .hint("Name a new or an empty folder."));
        }
        Ok(Self(path))
    }

    /// Opens a new file in it.
    pub(super) async fn open(&self, name: &str) -> Result<Output> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|error| failed(parent, error))?;
        }
        let mut open = File::options();
        open.write(true).create_new(true);
        // Rows are as private as the database they come from.
        #[cfg(unix)]
        open.mode(0o600);
        let file = open.open(&path).await.map_err(|error| failed(&path, error))?;
        Ok(Output { path, writer: BufWriter::with_capacity(BUFFER, file) })
    }

    /// Writes a whole file and returns its path.
    pub(super) async fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let mut output = self.open(name).await?;
        output.write(bytes).await?;
        output.finish().await
    }
}

/// A file being written.
pub(super) struct Output {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl Output {
    /// Appends bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).await.map_err(|error| failed(&self.path, error))
    }

    /// Makes the file durable and returns its path.
    pub(super) async fn finish(mut self) -> Result<PathBuf> {
        self.writer.flush().await.map_err(|error| failed(&self.path, error))?;
        let synced = self.writer.into_inner().sync_all().await;
        synced.map_err(|error| failed(&self.path, error))?;
        Ok(self.path)
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "write export")
        .with("path", path.display())
        .hint("Check that the folder is writable and has room.")
        .because(error)
}
