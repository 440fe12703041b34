//! Where bytes rest.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::{ObjectName, Result};

/// A flat namespace of immutable objects.
///
/// Contract:
/// - An object appears whole or not at all, and is durable when `create` returns.
/// - Nothing is ever overwritten by us: names are random or content-bound; where
///   [`StoreCapabilities::create_if_absent`] is true, `create` of an existing name fails with
///   `Conflict` and changes nothing, even when many race.
/// - `get`, `get_range` and `stat` of an absent name fail with `NotFound`, and only a
///   *confirmed* absence does; everything else is `StoreUnavailable`.
/// - A short read is an error, never a short result.
/// - Adapters retry what is temporary themselves; the error that leaves is final for now.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Returns where it is, for people, without secrets.
    fn location(&self) -> String;

    /// Returns what this very store was found to do.
    fn capabilities(&self) -> StoreCapabilities;

    /// Writes an object; see the contract.
    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()>;

    /// Reads a whole object.
    async fn get(&self, name: &ObjectName) -> Result<Bytes>;

    /// Reads exactly the bytes of `range` (half open); a range past the end is `Integrity`.
    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes>;

    /// Returns an object's size and time.
    async fn stat(&self, name: &ObjectName) -> Result<Object>;

    /// Lists every object whose name starts with `prefix` (a folder with its `/`, with or without
    /// the beginning of a name in it; empty: everything), in any order; objects that appear meanwhile may be missing, others may not.
    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>>;

    /// Deletes an object; an absent one is success.
    async fn delete(&self, name: &ObjectName) -> Result<()>;

    /// Returns the requests made so far.
    fn requests(&self) -> RequestCounts;
}

/// One object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, by the store's clock.
    pub modified: Timestamp,
}

/// What a store can do; data, not guesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCapabilities {
    /// `create` of an existing name is refused atomically. Probed on the actual store.
    pub create_if_absent: bool,
    /// Reads are cheap and fast (local disk, same host), so that delta bases may be fetched.
    pub near: bool,
}

/// How often a store was asked, and how much went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Writes.
    pub creates: u64,
    /// Reads, whole and ranged.
    pub gets: u64,
    /// Stats.
    pub stats: u64,
    /// Listings (pages where the store pages).
    pub lists: u64,
    /// Deletions.
    pub deletes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Bytes read.
    pub bytes_read: u64,
}
