//! Listing objects.

use std::collections::VecDeque;
use std::sync::Arc;

use backup_core::port::Object;
use backup_core::{ObjectName, Result};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::SftpStore;
use super::error::{is_absence, is_failure, refused};
use super::read::object;
use super::session::Session;

impl SftpStore {
    /// Walks below `prefix`, one directory at a time. What has no object's name is passed over.
    pub(super) async fn walk(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        let session = self.sessions.get().await?;
        // What follows the last `/` is the beginning of names in that folder.
        let (start, begins) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let mut pending = VecDeque::from([(start.to_owned(), begins.to_owned())]);
        let mut found = Vec::new();
        while let Some((directory, begins)) = pending.pop_front() {
            let (objects, directories) = self.read_directory(&session, &directory, &begins).await?;
            found.extend(objects.into_iter().map(Ok));
            pending.extend(directories.into_iter().map(|name| (name, String::new())));
        }
        Ok(stream::iter(found).boxed())
    }

    async fn read_directory(
        &self,
        session: &Arc<Session>,
        directory: &str,
        begins: &str,
    ) -> Result<(Vec<Object>, Vec<String>)> {
        let operation = "list objects";
        let path = match directory {
            "" => self.root.clone(),
            directory => format!("{}/{directory}", self.root),
        };
        let mut fs = session.sftp.fs();
        let mut found = (Vec::new(), Vec::new());
        let opened = match self.ask(session, operation, &path, fs.open_dir(&path)).await? {
            Ok(opened) => opened,
            Err(error) if is_absence(&error) => return Ok(found),
            // It may be a file, or lead through one.
            Err(error) if is_failure(&error) && self.is_no_directory(session, &path).await => {
                return Ok(found);
            }
            Err(error) => return Err(refused(operation, &path, &error)),
        };
        let mut entries = std::pin::pin!(opened.read_dir());
        loop {
            let next = self.ask(session, operation, &path, entries.try_next()).await?;
            let Some(entry) = next.map_err(|error| refused(operation, &path, &error))? else {
                return Ok(found);
            };
            let Some(name) = name_of(directory, entry.filename().to_str()) else { continue };
            if !name.file_name().starts_with(begins) {
                continue;
            }
            match entry.file_type() {
                Some(kind) if kind.is_dir() => found.1.push(name.as_str().to_owned()),
                Some(kind) if kind.is_file() => {
                    found.0.push(object(&self.location, name, entry.metadata())?);
                }
                _ => {}
            }
        }
    }

    async fn is_no_directory(&self, session: &Arc<Session>, path: &str) -> bool {
        let mut fs = session.sftp.fs();
        match self.ask(session, "list objects", path, fs.metadata(path)).await {
            Ok(Ok(metadata)) => metadata.file_type().is_some_and(|kind| !kind.is_dir()),
            // No path through a file can be asked about either.
            Ok(Err(error)) => is_failure(&error),
            Err(_) => false,
        }
    }
}

fn name_of(directory: &str, file: Option<&str>) -> Option<ObjectName> {
    let file = file.filter(|file| !matches!(*file, "." | ".."))?;
    let name = if directory.is_empty() { file.to_owned() } else { format!("{directory}/{file}") };
    name.parse().ok()
}
