//! A list, segment after segment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::vec::IntoIter;

use backup_core::port::{PartSource, SegmentInfo};
use backup_core::{Error, ErrorKind, PartName, Result};
use futures::StreamExt;

use super::{LIST, Order, decode};
use crate::entry::Entry;

/// No segment of a list is longer: what is longer was not written here.
const LONGEST: u64 = 64 << 20;

/// Reads the entries of a snapshot in order; holds one segment at a time.
pub struct ListReader {
    parts: Arc<dyn PartSource>,
    name: PartName,
    order: Order,
    segments: Vec<SegmentInfo>,
    position: usize,
    entries: IntoIter<Entry>,
    last: Option<Vec<u8>>,
    /// Where segments began that were opened and not asked for yet.
    begun: VecDeque<(u64, Vec<u8>)>,
}

impl ListReader {
    /// Opens the list of a snapshot of files; `Integrity` where it has none.
    pub async fn open(parts: Arc<dyn PartSource>) -> Result<Self> {
        let name = PartName::new(LIST);
        let segments = parts.segments(&name).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => error.into_kind(ErrorKind::Integrity),
            _ => error,
        })?;
        let order = parts.parts().iter().find(|part| part.name == name).map(Order::of);
        Ok(Self {
            parts,
            name,
            order: order.unwrap_or_default(),
            segments,
            position: 0,
            entries: Vec::new().into_iter(),
            last: None,
            begun: VecDeque::new(),
        })
    }

    /// Returns how its entries are ordered.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns the next entry; nothing after the last.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            match self.segment().await? {
                Some(entries) => self.entries = entries.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// Returns the entries of the next segment; nothing after the last.
    pub(crate) async fn segment(&mut self) -> Result<Option<Vec<Entry>>> {
        let Some(info) = self.segments.get(self.position).copied() else { return Ok(None) };
        if info.bytes > LONGEST {
            return Err(Error::new(ErrorKind::Integrity, "read list of files")
                .with("segment", info.address)
                .because("it is too long"));
        }
        let mut stream = self.parts.read(&self.name, self.position).await?;
        let mut bytes = Vec::with_capacity(info.bytes as usize);
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        self.position += 1;
        let (order, entries) = decode::ordered(&bytes)?;
        if order != self.order {
            return Err(Error::new(ErrorKind::Integrity, "read list of files")
                .with("segment", info.address)
                .because("it is ordered otherwise than its part says"));
        }
        if let Some((first, last)) = entries.first().zip(entries.last()) {
            if let Some(before) = &self.last {
                decode::check_order(order, before, &first.path)?;
            }
            self.begun.push_back((info.address, first.path.clone()));
            self.last = Some(last.path.clone());
        }
        Ok(Some(entries))
    }

    /// Returns the addresses of segments that begin before, at and after a path, as far as they
    /// are known.
    pub(super) fn around(&mut self, path: &[u8]) -> Around {
        use std::cmp::Ordering;
        while let Some((_, begin)) = self.begun.front() {
            match self.order.compare(begin, path) {
                Ordering::Less => {
                    self.begun.pop_front();
                }
                Ordering::Equal => {
                    let at = self.begun.pop_front().map(|(address, _)| address);
                    return Around { at, after: self.after() };
                }
                Ordering::Greater => break,
            }
        }
        Around { at: None, after: self.after() }
    }

    fn after(&self) -> Option<u64> {
        let unread = || self.segments.get(self.position).map(|info| info.address);
        self.begun.front().map(|(address, _)| *address).or_else(unread)
    }
}

/// Where the segments of an earlier list are, seen from a path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// The one that begins there.
    pub(super) at: Option<u64>,
    /// The next one.
    pub(super) after: Option<u64>,
}
