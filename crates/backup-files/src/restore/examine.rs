//! A restored tree next to the list it was made from.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use backup_core::port::{Observer, PartSource, RestoredTree};
use backup_core::{Event, Result, TreeEvidence};
use futures::{StreamExt, stream};
use rustix::fs::{AtFlags, Mode, OFlags, openat, readlinkat, statat};

use super::chosen::Chosen;
use super::place::failed;
use super::target::blocking;
use super::write::hash;
use crate::attributes;
use crate::backup::walk::{self, Seen};
use crate::beneath::{Folders, open_root};
use crate::entry::{Entry, Kind, split};
use crate::select::{Selection, Wanted};

const BATCH: usize = 1024;
/// So many differences are told.
const TOLD: usize = 20;

/// Compares a tree with the list of the snapshot that was restored there whole: each entry's kind,
/// contents and metadata, and that there are no others. Changes nothing.
pub async fn examine(
    root: &Path,
    parts: &Arc<dyn PartSource>,
    jobs: usize,
    observer: &Arc<dyn Observer>,
) -> Result<RestoredTree> {
    let shown = root.to_owned();
    let fd =
        blocking(move || open_root(&shown).map_err(|e| failed("open tree", &shown, e))).await?;
    let owners = rustix::process::geteuid().is_root();
    let mut examined = RestoredTree { owners, ..RestoredTree::default() };
    let chosen = Chosen::open(parts, Wanted::default()).await?;
    let batches = stream::try_unfold(chosen, |mut chosen| async move {
        let batch = chosen.batch(BATCH).await?;
        Ok::<_, backup_core::Error>((!batch.is_empty()).then_some((batch, chosen)))
    });
    let compared = batches.map(|batch| {
        let fd = Arc::clone(&fd);
        async move {
            let batch = batch?;
            blocking(move || {
                let mut folders = Folders::new(&fd);
                let compare = |entry: Entry| {
                    let found = compare(&mut folders, &entry, owners);
                    (entry, found)
                };
                Ok(batch.into_iter().map(compare).collect::<Vec<_>>())
            })
            .await
        }
    });
    let mut compared = std::pin::pin!(compared.buffered(jobs));
    let mut inodes: HashMap<u64, u64> = HashMap::new();
    while let Some(batch) = compared.next().await {
        for (entry, found) in batch? {
            count(&mut examined.listed, &entry);
            let found = found.and_then(|inode| same_names(&mut inodes, &entry, inode));
            if let Err(what) = found {
                examined.different += 1;
                if examined.differences.len() < TOLD {
                    examined.differences.push(format!("{}: {what}", entry.shown()));
                }
            }
            let bytes = entry.file().map_or(0, |data| data.size);
            observer.on_event(&Event::Progress { bytes });
        }
    }
    // Of a bucket's keys the list has no folders, and its sum is of the objects as they were.
    let entries = examined.listed.entries();
    if let Some(listed) = super::keys::listed(parts).await? {
        examined.listed = listed;
    }
    let (to, mut seen) = tokio::sync::mpsc::channel(4);
    let root = Arc::clone(&fd);
    let walking = tokio::task::spawn_blocking(move || {
        walk::walk(&root, &Selection::default(), walk::SETTLED, &to);
    });
    while let Some(batch) = seen.recv().await {
        let found = batch.iter().filter(|seen| matches!(seen, Seen::Found(_) | Seen::Socket(_)));
        examined.there += found.count() as u64;
    }
    let _ = walking.await;
    examined.there = (examined.there + examined.listed.entries()).saturating_sub(entries);
    Ok(examined)
}

fn count(tree: &mut TreeEvidence, entry: &Entry) {
    match &entry.kind {
        Kind::Directory => tree.directories += 1,
        Kind::Link(_) => tree.links += 1,
        Kind::File(data) => {
            tree.files += 1;
            tree.bytes += data.size;
        }
        _ => tree.others += 1,
    }
    tree.fingerprint += entry.fingerprint();
}

/// Whether all names of one file are still one file.
fn same_names(
    inodes: &mut HashMap<u64, u64>,
    entry: &Entry,
    inode: u64,
) -> std::result::Result<(), String> {
    let Some(number) = entry.file().and_then(|data| data.linked) else { return Ok(()) };
    match *inodes.entry(number).or_insert(inode) {
        first if first == inode => Ok(()),
        _ => Err("it is no longer one file with its other names".to_owned()),
    }
}

/// Returns the inode of what is there, or how it differs.
fn compare(folders: &mut Folders, entry: &Entry, owners: bool) -> std::result::Result<u64, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let (folder, name) = split(&entry.path);
    // The root has no name below itself.
    let name = if name.is_empty() { b"." } else { name };
    let parent = folders.open(folder).map_err(|error| told(&error))?;
    let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        // Only root makes devices.
        Err(rustix::io::Errno::NOENT)
            if !owners && matches!(entry.kind, Kind::Character(..) | Kind::Block(..)) =>
        {
            return Ok(0);
        }
        looked => looked.map_err(|error| told(&error))?,
    };
    let there = walk::entry(entry.path.clone(), Kind::Pipe, &stat, walk::SETTLED);
    let mode = if owners { 0o7777 } else { 0o1777 };
    let is_link = matches!(entry.kind, Kind::Link(_));
    if !is_link && there.mode & mode != entry.mode & mode {
        return Err(format!("mode {:o}, not {:o}", there.mode, entry.mode));
    }
    if owners && (there.owner, there.group) != (entry.owner, entry.group) {
        let wanted = (entry.owner, entry.group);
        return Err(format!(
            "owners {}:{}, not {}:{}",
            there.owner, there.group, wanted.0, wanted.1
        ));
    }
    if there.modified != entry.modified {
        return Err("another time".to_owned());
    }
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    use rustix::fs::FileType;
    let wanted = match &entry.kind {
        Kind::Directory => FileType::Directory,
        Kind::File(_) => FileType::RegularFile,
        Kind::Link(_) => FileType::Symlink,
        Kind::Pipe => FileType::Fifo,
        Kind::Character(..) => FileType::CharacterDevice,
        Kind::Block(..) => FileType::BlockDevice,
    };
    if kind != wanted {
        return Err(format!("{kind:?}, not {wanted:?}"));
    }
    match &entry.kind {
        Kind::Link(target) => {
            let found = readlinkat(parent, name, Vec::new()).map_err(|error| told(&error))?;
            if found.as_bytes() != target.as_slice() {
                return Err("it points elsewhere".to_owned());
            }
        }
        Kind::File(_) | Kind::Directory => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = openat(parent, name, flags, Mode::empty()).map_err(|error| told(&error))?;
            let file = File::from(file);
            if let Kind::File(data) = &entry.kind {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                if size != data.size {
                    return Err(format!("{size} bytes, not {}", data.size));
                }
                if hash(&file, data).map_err(|error| told(&error))? != Some(data.hash) {
                    return Err("other contents".to_owned());
                }
            }
            let mut wanted = entry.attributes.clone();
            let mut found = attributes::read(&file).map_err(|error| told(&error))?;
            if !owners {
                let free = |all: &mut attributes::Attributes| {
                    all.retain(|(name, _)| {
                        name.starts_with(b"user.") || name.starts_with(b"system.")
                    });
                };
                free(&mut wanted);
                free(&mut found);
            }
            if found != wanted {
                return Err("other extended attributes".to_owned());
            }
        }
        Kind::Pipe => {}
        Kind::Character(major, minor) | Kind::Block(major, minor) => {
            if stat.st_rdev != rustix::fs::makedev(*major, *minor) {
                return Err("another device".to_owned());
            }
        }
    }
    Ok(stat.st_ino)
}
