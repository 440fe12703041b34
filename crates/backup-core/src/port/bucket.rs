//! Somebody's bucket: a source of objects, and a place to put them back.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::Result;

/// Somewhere with keys, below a prefix that no key shows.
///
/// Contract:
/// - Keys are any text; one that the service cannot be asked for by its address is `Unsupported`, and
///   is never taken for another.
/// - An absent key is `NotFound`, and only a *confirmed* absence is.
/// - An object appears whole or not at all; an upload that is dropped leaves the key as it was.
/// - Adapters retry what is temporary themselves; what cannot be reached is `SourceUnavailable`.
#[async_trait]
pub trait Bucket: Send + Sync + Debug {
    /// Returns where it is, for people, without secrets.
    fn location(&self) -> String;

    /// Returns what names the service: two buckets of one name at two services are two.
    fn service(&self) -> String;

    /// Returns the bucket's name with the prefix below it.
    fn name(&self) -> String;

    /// Lists every object, ascending by the bytes of their keys, page by page as it is read.
    async fn list(&self) -> Result<BoxStream<'static, Result<ListedObject>>>;

    /// Reads an object: whole, or exactly the bytes of a range, which is not empty. With `of`, the
    /// ETag of a version, a newer one is `Conflict`. One that its owner put out of reach (an
    /// archive, no permission) is `Unsupported`.
    async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        of: Option<&str>,
    ) -> Result<ReadObject>;

    /// Writes an object at once, in the place of one that is there.
    async fn put(&self, key: &str, body: Bytes, about: &ObjectAbout) -> Result<()>;

    /// Begins an object of that size that is written piece by piece.
    async fn upload(
        &self,
        key: &str,
        size: u64,
        about: &ObjectAbout,
    ) -> Result<Box<dyn ObjectUpload>>;

    /// Deletes an object; an absent one is success.
    async fn delete(&self, key: &str) -> Result<()>;
}

/// An object that is being written.
#[async_trait]
pub trait ObjectUpload: Send {
    /// Appends bytes.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object appear.
    async fn finish(self: Box<Self>) -> Result<()>;

    /// Lets go of what was written.
    async fn abandon(self: Box<Self>);
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key, below the prefix.
    pub key: String,
    /// Its size; unknown where the listing does not tell.
    pub size: Option<u64>,
    /// What tells its version from others.
    pub etag: Option<String>,
    /// When it was written, by the service's clock.
    pub modified: Timestamp,
}

/// What was read of an object, and what is known of it.
#[derive(Clone, Debug)]
pub struct ReadObject {
    /// The bytes asked for.
    pub bytes: Bytes,
    /// The size of the whole object.
    pub size: u64,
    /// What tells its version from others.
    pub etag: Option<String>,
    /// When it was written, by the service's clock.
    pub modified: Option<Timestamp>,
    /// What is said about it.
    pub about: ObjectAbout,
}

/// What is said about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectAbout {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`; the bytes are as they are stored, encoded.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// Metadata of its owner, by name.
    pub metadata: Vec<(String, String)>,
    /// The version that the service keeps it under, where it does.
    pub version: Option<String>,
}
