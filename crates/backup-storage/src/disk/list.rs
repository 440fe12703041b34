//! Listing objects.

use std::collections::VecDeque;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use backup_core::port::Object;
use backup_core::{ObjectName, Result};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::error::{is_absence, unavailable};
use super::read::object;

/// Walks below `prefix`, one directory at a time, as fast as the listing is read. What has no
/// object's name (temporary files, `lost+found`) is passed over.
pub(super) fn walk(root: PathBuf, prefix: &str) -> BoxStream<'static, Result<Object>> {
    // What follows the last `/` is the beginning of names in that folder.
    let (start, begins) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let pending = VecDeque::from([(start.to_owned(), begins.to_owned())]);
    let directories = stream::unfold((root, pending), |(root, mut pending)| async move {
        let (directory, begins) = pending.pop_front()?;
        let at = root.clone();
        let read = tokio::task::spawn_blocking(move || read_directory(&at, &directory, &begins));
        let read = read.await;
        let found = match read {
            Ok(Ok((objects, directories))) => {
                pending.extend(directories.into_iter().map(|name| (name, String::new())));
                objects
            }
            Ok(Err(error)) => vec![Err(error)],
            Err(error) => vec![Err(unavailable("list objects", &root, io::Error::other(error)))],
        };
        Some((stream::iter(found), (root, pending)))
    });
    directories.flatten().boxed()
}

type Found = (Vec<Result<Object>>, Vec<String>);

/// Returns the objects and the directories in `directory`, whose name is relative to `root`, that
/// begin so.
fn read_directory(root: &Path, directory: &str, begins: &str) -> Result<Found> {
    let path = root.join(directory);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Found::default()),
        Err(error) => return Err(unavailable("list objects", &path, error)),
    };
    let mut found = Found::default();
    for entry in entries {
        let entry = entry.map_err(|error| unavailable("list objects", &path, error))?;
        let Some(name) = name_of(directory, &entry) else { continue };
        if !name.file_name().starts_with(begins) {
            continue;
        }
        // `metadata` of the path follows links, as reading does.
        match entry.path().metadata() {
            Ok(metadata) if metadata.is_dir() => found.1.push(name.as_str().to_owned()),
            Ok(metadata) if metadata.is_file() => found.0.push(object(name, &metadata)),
            Ok(_) => {}
            Err(error) if is_absence(&error) => {}
            Err(error) => found.0.push(Err(unavailable("stat object", &entry.path(), error))),
        }
    }
    Ok(found)
}

fn name_of(directory: &str, entry: &DirEntry) -> Option<ObjectName> {
    let file = entry.file_name();
    let file = file.to_str()?;
    let name = if directory.is_empty() { file.to_owned() } else { format!("{directory}/{file}") };
    name.parse().ok()
}
