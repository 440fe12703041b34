//! A private folder for files that other programs must read.

use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};

/// A folder only we may enter; removed with everything in it on drop.
#[derive(Debug)]
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Makes one under `parent`.
    pub(crate) fn create(parent: &Path) -> Result<Self> {
        let failed = |error: std::io::Error, path: &Path| {
            Error::new(ErrorKind::Failed, "create temporary folder")
                .with("path", path.display())
                .hint("Check that the temporary folder exists, is writable and has room.")
                .because(error)
        };
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Failed, "name temporary folder").because(error.to_string())
        })?;
        let path = parent.join(format!("backup-restore-{:016x}", u64::from_le_bytes(random)));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| failed(error, &path))?;
        Ok(Self(path))
    }

    /// Writes a file into it and returns its path.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).map_err(|error| {
            Error::new(ErrorKind::Failed, "write temporary file")
                .with("path", path.display())
                .because(error)
        })?;
        Ok(path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Nobody is left to tell; a leftover folder holds no secret.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_with_its_files_when_dropped() {
        let folder = TemporaryFolder::create(&std::env::temp_dir()).unwrap();
        let path = folder.write("a", b"x").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        drop(folder);
        assert!(!path.parent().unwrap().exists());
    }
}
