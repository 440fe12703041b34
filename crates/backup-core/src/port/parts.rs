//! How an engine and a repository exchange the bytes of one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Layout, Part, PartName, Result, Snapshot};

/// Takes the parts of one snapshot from an engine.
///
/// Contract: `begin_part` before its segments, `finish_part` after all of them have finished;
/// a part that was begun and not finished makes the commit fail. Segments of one part, and of
/// many parts, may be open at the same time and finish in any order; each open segment may
/// hold up to one chunk in memory.
#[async_trait]
pub trait PartSink: Send + Sync {
    /// Returns the part of that name in the snapshot that serves as base, so that an engine
    /// can keep the same addresses.
    fn previous(&self, name: &PartName) -> Option<Part>;

    /// Returns the snapshot that serves as base, where it can be read.
    async fn base(&self) -> Result<Option<BaseSnapshot>> {
        Ok(None)
    }

    /// Returns whether reading the base costs less than it saves. It may change from one piece to
    /// the next: ask for each.
    fn wants_base(&self) -> bool {
        false
    }

    /// Takes the base's segment at `address` over into a part that was begun, as it is and
    /// unread. `false`: there is none, or it cannot be relied on; it has to be written.
    async fn keep(&self, part: &PartName, address: u64) -> Result<bool> {
        let _ = (part, address);
        Ok(false)
    }

    /// Takes several of the base's segments over, as [`PartSink::keep`] does: all of them, or, with
    /// `false`, none.
    async fn keep_all(&self, part: &PartName, addresses: &[u64]) -> Result<bool> {
        let _ = (part, addresses);
        Ok(false)
    }

    /// Begins a part; a name may be used once.
    async fn begin_part(&self, name: &PartName, layout: Layout) -> Result<()>;

    /// Opens the segment at `address` of a part. Addresses order the segments at restore and
    /// must be unique in the part; a [`Layout::Stream`] part has the one segment 0.
    async fn segment(&self, part: &PartName, address: u64) -> Result<Box<dyn SegmentSink>>;

    /// Ends a part, recording what the engine wants back.
    async fn finish_part(
        &self,
        name: &PartName,
        attributes: BTreeMap<String, String>,
    ) -> Result<()>;

    /// Forgets every part, finished or not, for an engine that has to begin again; all segments
    /// must have been finished or dropped. Bytes that were stored are not stored again.
    async fn start_over(&self) -> Result<()>;
}

/// An earlier snapshot of the same source, and its parts.
#[derive(Clone)]
pub struct BaseSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What it holds.
    pub parts: Arc<dyn PartSource>,
}

/// Takes the bytes of one segment. Dropping it without `finish` abandons it, which makes its
/// part fail to finish.
#[async_trait]
pub trait SegmentSink: Send {
    /// Appends bytes; waits when the path behind is full.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Ends the segment. Its last bytes may still be on their way; the commit waits for them.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// Gives the parts of a snapshot back.
///
/// Contract: every byte was authenticated and hashed right before it is handed out; a stream
/// that cannot be completed ends with an error, never early.
#[async_trait]
pub trait PartSource: Send + Sync {
    /// Returns all parts.
    fn parts(&self) -> &[Part];

    /// Returns a part's segments in address order.
    async fn segments(&self, part: &PartName) -> Result<Vec<SegmentInfo>>;

    /// Reads one segment, by its position in `segments`.
    async fn read(
        &self,
        part: &PartName,
        position: usize,
    ) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// Returns whether a segment, by its position, consists of exactly these bytes, without
    /// reading it; `false` also when that cannot be told.
    async fn matches(&self, part: &PartName, position: usize, bytes: Bytes) -> Result<bool> {
        let _ = (part, position, bytes);
        Ok(false)
    }
}

/// One segment of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its address.
    pub address: u64,
    /// Its bytes.
    pub bytes: u64,
}
