//! What of a list is restored: what is wanted, and the directories around it.

use std::collections::VecDeque;
use std::sync::Arc;

use backup_core::Result;
use backup_core::port::PartSource;

use crate::entry::{Entry, Kind, Moment, is_below};
use crate::list::{ListReader, Order};
use crate::select::Wanted;

/// Reads the entries of a snapshot that are wanted, in order, each directory around them before.
pub struct Chosen {
    list: ListReader,
    pub(crate) wanted: Wanted,
    /// Directories around the place in the list that were not wanted themselves.
    around: Vec<Entry>,
    ready: VecDeque<Entry>,
    /// Of a bucket: the folder that the last key was in.
    folder: Vec<u8>,
    /// Keys are given as they are, with all that is said about their objects.
    bare: bool,
}

impl Chosen {
    /// Opens the list of a snapshot; fails as [`ListReader::open`] does. The keys of a bucket are
    /// given as a tree: with the folders that they are in, without what only a bucket keeps.
    pub async fn open(parts: &Arc<dyn PartSource>, wanted: Wanted) -> Result<Self> {
        let list = ListReader::open(Arc::clone(parts)).await?;
        let (around, ready, folder) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut chosen = Self { list, wanted, around, ready, folder, bare: false };
        if chosen.order() == Order::Keys {
            // What no object stands for is the root.
            chosen.take(folder_entry(Vec::new(), <_>::default()));
        }
        Ok(chosen)
    }

    /// Opens the list of a snapshot as [`Chosen::open`] does; the keys of a bucket are given as they
    /// are.
    pub async fn bare(parts: &Arc<dyn PartSource>, wanted: Wanted) -> Result<Self> {
        Ok(Self { bare: true, ..Self::open(parts, wanted).await? })
    }

    /// Returns how the list is ordered.
    #[must_use]
    pub fn order(&self) -> Order {
        self.list.order()
    }

    /// Returns the next entry.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let Some(entry) = self.list.next().await? else { return Ok(None) };
            if self.order() == Order::Keys {
                self.take_key(entry);
            } else {
                self.take(entry);
            }
        }
    }

    /// Fails with `NotFound` where a path or pattern has named nothing; ask at the end.
    pub fn check_fulfilled(&self) -> Result<()> {
        self.wanted.check_fulfilled()
    }

    fn take(&mut self, entry: Entry) {
        while self.around.last().is_some_and(|last| !is_below(&entry.path, &last.path)) {
            self.around.pop();
        }
        let is_directory = entry.kind == Kind::Directory;
        if self.wanted.takes(&entry.path, is_directory) {
            self.ready.extend(self.around.drain(..));
            self.ready.push_back(entry);
        } else if is_directory {
            self.around.push(entry);
        }
    }

    /// Takes an object, each folder that its key is the first in before.
    fn take_key(&mut self, mut entry: Entry) {
        let slashes = entry.path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0);
        let ends: Vec<usize> = slashes.map(|(at, _)| at).collect();
        for end in &ends {
            let folder = entry.path.get(..*end).unwrap_or_default();
            if folder != self.folder && !is_below(&self.folder, folder) {
                self.take(folder_entry(folder.to_vec(), entry.modified));
            }
        }
        let last = ends.last().copied().unwrap_or(0);
        self.folder = entry.path.get(..last).unwrap_or_default().to_vec();
        if self.bare {
            return self.take(entry);
        }
        // A folder that an object stands for is there already.
        let marks = entry.path.ends_with(b"/") && entry.file().is_some_and(|data| data.size == 0);
        if !marks {
            entry.attributes.clear();
            self.take(entry);
        }
    }

    /// Returns up to so many entries; none at the end.
    pub(crate) async fn batch(&mut self, most: usize) -> Result<Vec<Entry>> {
        let mut batch = Vec::new();
        while batch.len() < most {
            match self.next().await? {
                Some(entry) => batch.push(entry),
                None => break,
            }
        }
        Ok(batch)
    }
}

/// A folder that is only part of keys.
fn folder_entry(path: Vec<u8>, modified: Moment) -> Entry {
    Entry {
        path,
        kind: Kind::Directory,
        mode: 0o755,
        owner: 0,
        group: 0,
        modified,
        changed: modified,
        inode: 0,
        unsettled: false,
        attributes: Vec::new(),
    }
}
