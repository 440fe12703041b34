//! Room for the next round, without a price for whoever creates the next file.

use std::path::Path;

use anyhow::{Context, Result};

/// Empties every file below a folder, and leaves them: for minutes after files were deleted, ext4
/// looks at each of their inodes anew whenever a file is created, and the tool whose turn it is
/// would pay for that. They go when the benchmark is over.
pub(crate) fn retire(folder: &Path) -> Result<()> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?
    {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            retire(&path)?;
        } else if kind.is_file() {
            std::fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&path)
                .with_context(|| format!("emptying {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_emptied_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        let file = folder.path().join("below/file");
        std::fs::write(&file, "bytes").unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join("link")).unwrap();
        retire(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
    }
}
