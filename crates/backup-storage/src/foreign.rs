//! Folders and buckets that somebody else writes: names of any shape, read only.

use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};
use bytes::Bytes;

use crate::options::StoreOptions;
use crate::remote::{RemoteStore, open_azure, open_google, open_s3};
use crate::url::StoreUrl;

/// Somebody else's folder or bucket. Nothing is ever written there.
#[derive(Debug)]
pub struct Foreign(Place);

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Bucket(Box<RemoteStore>),
}

impl Foreign {
    /// Opens it by a URL as [`open`](crate::open) takes; sends nothing. An unusable URL is
    /// `ConfigInvalid`.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        Ok(Self(match StoreUrl::parse(url)? {
            StoreUrl::Disk(root) => Place::Folder(root),
            StoreUrl::S3(s3) => Place::Bucket(Box::new(open_s3(&s3, options)?)),
            StoreUrl::Azure(azure) => Place::Bucket(Box::new(open_azure(&azure, options)?)),
            StoreUrl::Google(google) => Place::Bucket(Box::new(open_google(&google, options)?)),
            StoreUrl::Memory | StoreUrl::Sftp(_) => {
                return Err(Error::new(ErrorKind::ConfigInvalid, "open folder of others").hint(
                    "Name a directory, or a bucket: s3://bucket/prefix, azure://… or gs://….",
                ));
            }
        }))
    }

    /// Returns the names of all files below it, with `/` between folders. `StoreUnavailable` where
    /// they cannot be listed.
    pub async fn names(&self) -> Result<Vec<String>> {
        match &self.0 {
            Place::Bucket(store) => store.foreign_names().await,
            Place::Folder(root) => {
                let root = root.clone();
                let listed = tokio::task::spawn_blocking(move || walk(&root));
                listed
                    .await
                    .map_err(|error| Error::new(ErrorKind::Failed, "list folder").because(error))?
            }
        }
    }

    /// Reads a file; nothing where there is none of that name.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        match &self.0 {
            Place::Bucket(store) => store.foreign_read(name).await,
            Place::Folder(root) => match tokio::fs::read(root.join(name)).await {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unreadable(root, error)),
            },
        }
    }
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&folder, error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if let Ok(name) = entry.path().strip_prefix(root) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    Ok(names)
}

fn unreadable(folder: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::StoreUnavailable, "read folder")
        .with("folder", folder.display())
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_any_shape_are_listed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("archive/main/17-1/0000000100000000");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("00000001000000000000000A-ff.zst"), b"x").unwrap();
        std::fs::write(folder.path().join("B C"), b"y").unwrap();
        let url = folder.path().display().to_string();
        let foreign = Foreign::open(&url, &StoreOptions::default()).unwrap();
        let mut names = foreign.names().await.unwrap();
        names.sort();
        let first = "archive/main/17-1/0000000100000000/00000001000000000000000A-ff.zst";
        assert_eq!(names, ["B C", first]);
        assert_eq!(foreign.read("B C").await.unwrap().unwrap(), "y");
        assert_eq!(foreign.read("b c").await.unwrap(), None);
    }
}
