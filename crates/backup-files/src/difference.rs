//! What changed from one list to another.

use std::cmp::Ordering;

use backup_core::Result;

use crate::entry::{Entry, Kind};
use crate::list::ListReader;

/// How an entry of one list stands to that of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the later list has it.
    Added(Box<Entry>),
    /// Only the earlier list has it.
    Removed(Box<Entry>),
    /// Both have it, and it is of another kind, or has other contents.
    Changed(Box<Entry>, Box<Entry>),
    /// Only mode, owners, time, attributes or its other names differ.
    Metadata(Box<Entry>, Box<Entry>),
}

/// Compares two lists, entry by entry; holds one segment of each.
pub struct Comparison {
    before: ListReader,
    after: ListReader,
    waiting: (Option<Entry>, Option<Entry>),
    begun: bool,
    /// Entries that are the same in both.
    pub same: u64,
}

impl Comparison {
    /// Compares an earlier list with a later one.
    #[must_use]
    pub fn new(before: ListReader, after: ListReader) -> Self {
        Self { before, after, waiting: (None, None), begun: false, same: 0 }
    }

    /// Returns the next entry that differs; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        if !self.begun {
            self.begun = true;
            self.waiting = (self.before.next().await?, self.after.next().await?);
        }
        let order = self.after.order();
        loop {
            let ordering = match &self.waiting {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => order.compare(&before.path, &after.path),
            };
            let before = match ordering {
                Ordering::Greater => None,
                _ => std::mem::replace(&mut self.waiting.0, self.before.next().await?),
            };
            let after = match ordering {
                Ordering::Less => None,
                _ => std::mem::replace(&mut self.waiting.1, self.after.next().await?),
            };
            let change = match (before.map(Box::new), after.map(Box::new)) {
                (Some(before), None) => Change::Removed(before),
                (None, Some(after)) => Change::Added(after),
                (Some(before), Some(after)) if other_contents(&before, &after) => {
                    Change::Changed(before, after)
                }
                (Some(before), Some(after)) if other_metadata(&before, &after) => {
                    Change::Metadata(before, after)
                }
                _ => {
                    self.same += 1;
                    continue;
                }
            };
            return Ok(Some(change));
        }
    }
}

fn other_contents(before: &Entry, after: &Entry) -> bool {
    match (&before.kind, &after.kind) {
        (Kind::File(a), Kind::File(b)) => (a.size, a.hash) != (b.size, b.hash),
        (a, b) => a != b,
    }
}

fn other_metadata(before: &Entry, after: &Entry) -> bool {
    let key = |e: &Entry| (e.mode, e.owner, e.group, e.modified);
    key(before) != key(after) || before.attributes != after.attributes
}
