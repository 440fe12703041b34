//! Rows on their way into a segment.

use backup_core::port::{Observer, SegmentSink};
use backup_core::{Event, Fingerprint, Result};

use crate::catalog::tables::Table;
use crate::logical::fingerprint::of;
use crate::logical::rate::RateLimit;
use crate::logical::text::push_row;

/// Text that is gathered before it is handed on.
const PIECE: usize = 256 << 10;

/// Writes rows, counts them, and remembers what they are.
pub(super) struct Pour<'a> {
    segment: Box<dyn SegmentSink>,
    rate: &'a RateLimit,
    observer: &'a dyn Observer,
    text: Vec<u8>,
    poured: Poured,
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Poured {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) sum: Fingerprint,
}

impl<'a> Pour<'a> {
    pub(super) fn new(
        segment: Box<dyn SegmentSink>,
        rate: &'a RateLimit,
        observer: &'a dyn Observer,
    ) -> Self {
        let text = Vec::with_capacity(PIECE + PIECE / 4);
        Self { segment, rate, observer, text, poured: Poured::default() }
    }

    /// Returns how many rows there are so far.
    pub(super) fn rows(&self) -> u64 {
        self.poured.rows
    }

    /// Takes a row of the table.
    pub(super) async fn row(&mut self, table: &Table, mut row: Vec<Option<Vec<u8>>>) -> Result<()> {
        // A table whose columns are all computed still has rows.
        if table.stored().next().is_none() {
            row.clear();
        }
        let begin = self.text.len();
        push_row(&mut self.text, &row);
        self.poured.rows += 1;
        self.poured.sum += of(self.text.get(begin..self.text.len() - 1).unwrap_or_default());
        if self.text.len() >= PIECE { self.hand_on().await } else { Ok(()) }
    }

    async fn hand_on(&mut self) -> Result<()> {
        let bytes = self.text.len();
        self.poured.bytes += bytes as u64;
        self.rate.take(bytes).await;
        self.segment.write(&self.text).await?;
        self.observer.on_event(&Event::Progress { bytes: bytes as u64 });
        self.text.clear();
        Ok(())
    }

    /// Ends the segment.
    pub(super) async fn end(mut self) -> Result<Poured> {
        self.hand_on().await?;
        self.segment.finish().await?;
        Ok(self.poured)
    }
}
