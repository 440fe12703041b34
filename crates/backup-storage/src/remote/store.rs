//! The adapter: one request per call, one attempt per request.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use opendal::{Entry, Metadata, Operator};

use super::answer::{Answer, convert};

/// A store behind an opendal operator.
pub(crate) struct RemoteStore {
    operator: Operator,
    /// The same, but asking again for a page that failed.
    listing: Operator,
    location: String,
    absence: Absence,
    near: bool,
    /// Cleared once the store said that it knows no conditions.
    conditional: AtomicBool,
}

/// How sure "not found" is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is.
    Certain,
    /// Only with the code `NoSuchKey`: status 404 also comes from missing buckets and from
    /// whatever else answers HTTP.
    ByCode,
}

impl RemoteStore {
    pub(super) fn new(
        operator: Operator,
        listing: Operator,
        location: String,
        absence: Absence,
        near: bool,
    ) -> Self {
        let conditional = AtomicBool::new(true);
        Self { operator, listing, location, absence, near, conditional }
    }

    async fn put(
        &self,
        name: &ObjectName,
        body: Bytes,
        conditional: bool,
    ) -> opendal::Result<Metadata> {
        self.operator.write_with(name.as_str(), body).if_not_exists(conditional).await
    }

    /// Returns an operator that asks again for whatever failed temporarily.
    pub(crate) fn patient(&self) -> Operator {
        self.listing.clone()
    }

    /// Returns the names of everything that is there, of whatever shape.
    pub(crate) async fn foreign_names(&self) -> Result<Vec<String>> {
        let failed = |error: opendal::Error| not_listed(&self.location, &error);
        let mut entries = self.listing.lister_with("/").recursive(true).await.map_err(failed)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.try_next().await.map_err(failed)? {
            if entry.metadata().is_file() {
                names.push(entry.path().to_owned());
            }
        }
        Ok(names)
    }

    /// Reads what has a name of whatever shape; nothing where it is not there.
    pub(crate) async fn foreign_read(&self, name: &str) -> Result<Option<Bytes>> {
        match self.operator.read(name).await {
            Ok(buffer) => Ok(Some(buffer.to_bytes())),
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(convert("read object", None, &error).with("store", &self.location)),
        }
    }

    /// Turns a failed request into an error; nothing but a confirmed absence is `NotFound`.
    fn failed(&self, operation: &'static str, name: &ObjectName, error: &opendal::Error) -> Error {
        let converted = convert(operation, Some(name), error).with("store", &self.location);
        if self.absence == Absence::Certain && error.kind() == opendal::ErrorKind::NotFound {
            return converted.into_kind(ErrorKind::NotFound);
        }
        converted
    }

    /// Finds out why a request without a body in its answer failed, by one that has one.
    async fn explain(&self, name: &ObjectName, error: opendal::Error) -> Error {
        let operation = "stat object";
        let unclear = self.absence == Absence::ByCode
            && !error.is_temporary()
            && Answer::of(&error).code.is_none();
        if !unclear {
            return self.failed(operation, name, &error);
        }
        match self.operator.read_with(name.as_str()).range(0..1).await {
            Err(explained) if explained.kind() != opendal::ErrorKind::RangeNotSatisfied => {
                self.failed(operation, name, &explained)
            }
            // It can be read, so it came while we asked, or the store contradicts itself.
            _ => self
                .failed(operation, name, &error)
                .into_kind(ErrorKind::StoreUnavailable)
                .temporary(),
        }
    }

    /// Decides what a range that came back short, or not at all, means.
    async fn short_range(&self, name: &ObjectName, range: Range<u64>, got: usize) -> Error {
        let size = match self.stat(name).await {
            Ok(object) => object.size,
            Err(error) => return error,
        };
        let error = Error::new(ErrorKind::StoreUnavailable, "read part of object")
            .with("object", name)
            .with("store", &self.location)
            .with("range", format!("{}..{}", range.start, range.end))
            .with("size", size);
        if range.start > range.end || range.end > size {
            return error.into_kind(ErrorKind::Integrity).hint(
                "The object is shorter than it should be; run `verify` to see what is damaged.",
            );
        }
        error.with("received", got).because("the store sent another number of bytes").temporary()
    }
}

#[async_trait]
impl Store for RemoteStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { create_if_absent: self.conditional.load(Relaxed), near: self.near }
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let operation = "create object";
        let mut written = if self.conditional.load(Relaxed) {
            let first = self.put(name, body.clone(), true).await;
            if first.as_ref().is_err_and(knows_no_conditions) {
                tracing::warn!(store = %self.location, "the store knows no conditional writes");
                self.conditional.store(false, Relaxed);
            }
            first
        } else {
            self.put(name, body.clone(), false).await
        };
        if written.as_ref().is_err_and(knows_no_conditions) {
            written = self.put(name, body, false).await;
        }
        let metadata = written.map_err(|error| self.failed(operation, name, &error))?;
        if self.absence == Absence::ByCode && metadata.etag().is_none() {
            return Err(Error::new(ErrorKind::StoreUnavailable, operation)
                .with("object", name)
                .with("store", &self.location)
                .because("the answer has no ETag, so it is not from an object store")
                .hint("Check that `endpoint` is the S3 endpoint, and that no proxy answers for it.")
                .temporary());
        }
        Ok(())
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        match self.operator.read(name.as_str()).await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => Err(self.failed("read object", name, &error)),
        }
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        // No store can be asked for nothing; whether the place exists can be.
        if range.start >= range.end {
            let object = self.stat(name).await?;
            if range.start == range.end && range.end <= object.size {
                return Ok(Bytes::new());
            }
            return Err(self.short_range(name, range, 0).await);
        }
        let wanted = range.end - range.start;
        match self.operator.read_with(name.as_str()).range(range.clone()).await {
            Ok(body) if body.len() as u64 == wanted => Ok(body.to_bytes()),
            Ok(body) => Err(self.short_range(name, range, body.len()).await),
            Err(error) if may_be_past_end(&error) => Err(self.short_range(name, range, 0).await),
            Err(error) => Err(self.failed("read part of object", name, &error)),
        }
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        match self.operator.stat(name.as_str()).await {
            Ok(metadata) => object(&self.location, name.clone(), &metadata),
            Err(error) => Err(self.explain(name, error).await),
        }
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        let location = self.location.clone();
        let root = if prefix.is_empty() { "/" } else { prefix };
        let entries = self.listing.lister_with(root).recursive(true).await;
        let entries = entries.map_err(|error| not_listed(&location, &error))?;
        let objects = entries.filter_map(move |entry| {
            std::future::ready(match entry {
                Ok(entry) => {
                    object_name(&entry).map(|name| object(&location, name, entry.metadata()))
                }
                Err(error) => Some(Err(not_listed(&location, &error))),
            })
        });
        Ok(objects.boxed())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let deleted = self.operator.delete(name.as_str()).await;
        deleted.map_err(|error| self.failed("delete object", name, &error))
    }

    fn requests(&self) -> RequestCounts {
        RequestCounts::default()
    }
}

/// The pages were asked for again already.
fn not_listed(location: &str, error: &opendal::Error) -> Error {
    convert("list objects", None, error).with("store", location).persistent()
}

fn object(location: &str, name: ObjectName, metadata: &Metadata) -> Result<Object> {
    // A missing time must not make an object look old enough to delete.
    let Some(modified) = metadata.last_modified() else {
        return Err(Error::new(ErrorKind::StoreUnavailable, "read time of object")
            .with("object", name)
            .with("store", location)
            .because("the store does not say when it was written"));
    };
    Ok(Object { name, size: metadata.content_length(), modified: modified.into_inner() })
}

/// Returns an entry's name; directories and strangers' files are no objects.
fn object_name(entry: &Entry) -> Option<ObjectName> {
    if entry.metadata().is_dir() { None } else { entry.path().parse().ok() }
}

fn knows_no_conditions(error: &opendal::Error) -> bool {
    error.kind() == opendal::ErrorKind::Unsupported
        || Answer::of(error).code.as_deref() == Some("NotImplemented")
}

fn may_be_past_end(error: &opendal::Error) -> bool {
    error.kind() == opendal::ErrorKind::RangeNotSatisfied
        || Answer::of(error).status.as_deref() == Some("416")
        || error.message().contains("too little data")
        // How Azurite describes the part that such a range has.
        || error.message().contains("content range is invalid")
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore").field("location", &self.location).finish_non_exhaustive()
    }
}
