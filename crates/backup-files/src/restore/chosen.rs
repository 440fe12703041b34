//! What of a list is restored: what is wanted, and the directories around it.

use std::collections::VecDeque;
use std::sync::Arc;

use backup_core::Result;
use backup_core::port::PartSource;

use crate::entry::{Entry, Kind, is_below};
use crate::list::ListReader;
use crate::select::Wanted;

/// Reads the entries of a snapshot that are wanted, in order, each directory around them before.
pub struct Chosen {
    list: ListReader,
    wanted: Wanted,
    /// Directories around the place in the list that were not wanted themselves.
    around: Vec<Entry>,
    ready: VecDeque<Entry>,
}

impl Chosen {
    /// Opens the list of a snapshot; fails as [`ListReader::open`] does.
    pub async fn open(parts: &Arc<dyn PartSource>, wanted: Wanted) -> Result<Self> {
        let list = ListReader::open(Arc::clone(parts)).await?;
        Ok(Self { list, wanted, around: Vec::new(), ready: VecDeque::new() })
    }

    /// Returns the next entry.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let Some(entry) = self.list.next().await? else { return Ok(None) };
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
    }

    /// Returns up to so many entries; none at the end.
    pub(super) async fn batch(&mut self, most: usize) -> Result<Vec<Entry>> {
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
