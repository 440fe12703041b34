//! A list, cut into segments.
//!
//! Where a segment ends follows from the paths alone, so that a change leaves the other segments
//! as they were. What begins with the same path as a segment of the snapshot before has its
//! address; others lie in between.

use std::collections::BTreeMap;

use backup_core::port::PartSink;
use backup_core::{Error, ErrorKind, Layout, PartName, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::read::Around;
use super::{BY_KEY, Encoder, LIST, ListReader, ORDER, Order};
use crate::entry::Entry;

/// A segment may end from here on …
const SHORTEST: usize = 96 << 10;
/// … before an entry whose hash has these bits clear: one in a thousand …
const ENDS: u64 = 0x3ff;
/// … and ends here at the latest.
const LONGEST: usize = 512 << 10;
/// So long are its paths together, at most, once they are read.
const LONGEST_PATHS: usize = 4 << 20;
/// Between segments of a first list there is room for so many.
const ROOM: u64 = 1 << 32;

/// Writes the list of a snapshot.
pub(crate) struct ListWriter<'a> {
    sink: &'a dyn PartSink,
    name: PartName,
    order: Order,
    encoder: Encoder,
    address: u64,
}

impl<'a> ListWriter<'a> {
    pub(crate) async fn begin(sink: &'a dyn PartSink) -> Result<Self> {
        Self::ordered(sink, Order::Tree).await
    }

    /// Begins a list that is ordered so.
    pub(crate) async fn ordered(sink: &'a dyn PartSink, order: Order) -> Result<Self> {
        let name = PartName::new(LIST);
        sink.begin_part(&name, Layout::Segments).await?;
        Ok(Self { sink, name, order, encoder: Encoder::new(order), address: 0 })
    }

    /// Appends an entry; `base` is the list before.
    pub(crate) async fn push(
        &mut self,
        entry: &Entry,
        base: Option<&mut ListReader>,
    ) -> Result<()> {
        let length = self.encoder.bytes().len();
        let long = length >= LONGEST || self.encoder.paths() >= LONGEST_PATHS;
        let ends = long || length >= SHORTEST && xxh3_64(&entry.path) & ENDS == 0;
        if ends && !self.encoder.is_empty() {
            self.flush().await?;
        }
        if self.encoder.is_empty() {
            let around = base.map(|base| base.around(&entry.path)).unwrap_or_default();
            self.address = next_address(self.address, around)?;
        }
        self.encoder.push(entry);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let bytes = self.encoder.take();
        let mut segment = self.sink.segment(&self.name, self.address).await?;
        segment.write(&bytes).await?;
        segment.finish().await
    }

    pub(crate) async fn finish(mut self, mut attributes: BTreeMap<String, String>) -> Result<()> {
        if self.order == Order::Keys {
            attributes.insert(ORDER.to_owned(), BY_KEY.to_owned());
        }
        if !self.encoder.is_empty() {
            self.flush().await?;
        }
        self.sink.finish_part(&self.name, attributes).await
    }
}

fn next_address(last: u64, around: Around) -> Result<u64> {
    if let Some(at) = around.at.filter(|at| *at > last) {
        return Ok(at);
    }
    let next = match around.after.filter(|after| *after > last) {
        Some(after) => last.checked_add(((after - last) / 2).max(1)),
        None => last.checked_add(ROOM),
    };
    next.ok_or_else(|| Error::new(ErrorKind::Failed, "place list of files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_and_new_ones_lie_between() {
        let place = |last, at, after| next_address(last, Around { at, after }).unwrap();
        assert_eq!(place(0, None, None), ROOM);
        assert_eq!(place(ROOM, Some(3 * ROOM), Some(4 * ROOM)), 3 * ROOM);
        assert_eq!(place(ROOM, None, Some(3 * ROOM)), 2 * ROOM);
        assert_eq!(place(5, None, Some(6)), 6, "without room, whatever is free");
        assert_eq!(place(9, Some(7), Some(8)), 9 + ROOM, "never back");
        assert!(next_address(u64::MAX, Around::default()).is_err());
    }
}
