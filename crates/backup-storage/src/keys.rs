//! Somebody's bucket, by its keys: they have any shape, and come back as they are.
//!
//! opendal's operator tidies paths up: `a//b` and ` a` become other names, `a/` no object. The
//! service below it does not, so that it is asked directly, and the prefix is kept here.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Bucket, ListedObject, ObjectAbout, ObjectUpload, ReadObject};
use backup_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use opendal::options::{ListOptions, ReadOptions, WriteOptions};
use opendal::raw::oio::{self, List, Read, ReadStream, Write};
use opendal::raw::{OpDelete, OpList, OpRead, OpReader, OpWrite, Service};
use opendal::{Buffer, Metadata, Operator};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::options::StoreOptions;
use crate::remote::{in_parts, open_azure, open_google, open_s3, refusal};
use crate::url::StoreUrl;

/// Bytes of a part of an upload, as a rule …
const PART: u64 = 8 << 20;
/// … and how many parts an upload may have, with some to spare.
const PARTS: u64 = 9_000;

/// A bucket, and the prefix of its keys.
pub struct Keys {
    operator: Operator,
    /// The same for uploads in parts.
    in_parts: Operator,
    places: Arc<Semaphore>,
    location: String,
    service: String,
    name: String,
    /// With its `/` at the end; empty for the whole bucket.
    prefix: String,
}

impl Keys {
    /// Opens it by a URL as [`open`](crate::open) takes, of a bucket; sends nothing. An unusable URL
    /// is `ConfigInvalid`.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        let parsed = StoreUrl::parse(url)?;
        let location = parsed.location();
        let mut parts = None;
        let (store, name, prefix) = match parsed {
            StoreUrl::S3(mut s3) => {
                let prefix = std::mem::take(&mut s3.prefix);
                parts = Some(open_s3(&in_parts(&s3, options), options)?.patient());
                (open_s3(&s3, options)?, s3.bucket, prefix)
            }
            StoreUrl::Azure(mut azure) => {
                let prefix = std::mem::take(&mut azure.prefix);
                (open_azure(&azure, options)?, azure.container, prefix)
            }
            StoreUrl::Google(mut google) => {
                let prefix = std::mem::take(&mut google.prefix);
                (open_google(&google, options)?, google.bucket, prefix)
            }
            StoreUrl::Disk(_) | StoreUrl::Memory | StoreUrl::Sftp(_) => {
                return Err(Error::new(ErrorKind::ConfigInvalid, "open bucket")
                    .because("the URL names no bucket")
                    .hint(
                        "Write s3://bucket/prefix, azure://container/prefix or gs://bucket/prefix.",
                    ));
            }
        };
        // What `location` says behind the bucket is the endpoint, or the account.
        let bare = backup_core::port::Store::location(&store);
        let (scheme, place) = bare.split_once("://").unwrap_or(("", &bare));
        let service = place.split_once(" at ").map_or(scheme.to_owned(), |(_, at)| at.to_owned());
        let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}/") };
        Ok(Self {
            in_parts: parts.unwrap_or_else(|| store.patient()),
            operator: store.patient(),
            places: Arc::new(Semaphore::new(options.max_requests.clamp(1, Semaphore::MAX_PERMITS))),
            location,
            service,
            name: format!("{name}/{prefix}").trim_end_matches('/').to_owned(),
            prefix,
        })
    }

    /// Returns the whole key; `Unsupported` for one whose address would mean another.
    fn path(&self, operation: &'static str, key: &str) -> Result<String> {
        let path = format!("{}{key}", self.prefix);
        // Whoever reads a URL resolves such parts.
        let moves = path.split('/').any(|part| matches!(part, "." | ".."));
        if moves || path.is_empty() || path.starts_with('/') {
            return Err(Error::new(ErrorKind::Unsupported, operation)
                .with("key", key.escape_debug())
                .with("bucket", &self.location)
                .because("a URL cannot name such a key")
                .hint("Copy the object to another key with a tool of the service's own."));
        }
        Ok(path)
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map_err(|error| Error::new(ErrorKind::Failed, "wait for bucket").because(error))
    }

    fn failed(&self, operation: &'static str, key: &str, error: &opendal::Error) -> Error {
        failed(&self.location, operation, Some(key), error)
    }
}

fn failed(
    location: &str,
    operation: &'static str,
    key: Option<&str>,
    error: &opendal::Error,
) -> Error {
    let mut made = refusal(operation, error).with("bucket", location).persistent();
    if let Some(key) = key {
        made = made.with("key", key.escape_debug());
    }
    match made.kind() {
        ErrorKind::StoreUnavailable => made.into_kind(ErrorKind::SourceUnavailable),
        _ => made,
    }
}

/// Returns what is said about an object.
fn about(metadata: &Metadata) -> ObjectAbout {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let own = metadata.user_metadata().into_iter().flatten();
    let mut own: Vec<(String, String)> =
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    own.sort();
    ObjectAbout {
        content_type: text(metadata.content_type()),
        content_encoding: text(metadata.content_encoding()),
        content_disposition: text(metadata.content_disposition()),
        cache_control: text(metadata.cache_control()),
        metadata: own,
        version: text(metadata.version()),
    }
}

fn write_options(about: &ObjectAbout) -> WriteOptions {
    let own = about.metadata.iter().cloned().collect();
    WriteOptions {
        content_type: about.content_type.clone(),
        content_encoding: about.content_encoding.clone(),
        content_disposition: about.content_disposition.clone(),
        cache_control: about.cache_control.clone(),
        user_metadata: (!about.metadata.is_empty()).then_some(own),
        concurrent: 1,
        ..WriteOptions::default()
    }
}

#[async_trait]
impl Bucket for Keys {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn service(&self) -> String {
        self.service.clone()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<ListedObject>>> {
        let (location, prefix) = (self.location.clone(), self.prefix.clone());
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        let path = if prefix.is_empty() { "/" } else { &prefix };
        let lister = self
            .operator
            .service()
            .list(self.operator.context(), path, OpList::from(options))
            .map_err(|error| failed(&location, "list bucket", None, &error))?;
        let place = location.clone();
        let entries = stream::try_unfold(lister, move |mut lister| {
            let location = location.clone();
            async move {
                let entry = lister.next().await;
                let entry = entry.map_err(|e| failed(&location, "list bucket", None, &e))?;
                Ok(entry.map(|entry| (entry, lister)))
            }
        });
        let objects = entries.try_filter_map(move |entry| {
            std::future::ready(listed(&prefix, entry).map_err(|error| error.with("bucket", &place)))
        });
        Ok(objects.boxed())
    }

    async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        of: Option<&str>,
    ) -> Result<ReadObject> {
        let operation = "read object of bucket";
        let path = self.path(operation, key)?;
        let _place = self.place().await?;
        let mut options = ReadOptions { if_match: of.map(str::to_owned), ..ReadOptions::default() };
        let whole = range.is_none();
        if let Some(range) = range {
            options.range = range.into();
        }
        let (range, args, _): (_, OpRead, OpReader) = options.into();
        let context = self.operator.context();
        let asked = async {
            let reader = self.operator.service().read(context, &path, args)?;
            if !whole {
                return reader.read(range).await;
            }
            let (answer, mut stream) = reader.open(range).await?;
            Ok((answer, ReadStream::read_all(&mut stream).await?))
        };
        let (answer, body) = asked.await.map_err(|error| self.failed(operation, key, &error))?;
        let metadata = answer.into_metadata().ok_or_else(|| {
            Error::new(ErrorKind::SourceUnavailable, operation)
                .with("bucket", &self.location)
                .because("the answer says nothing about the object")
        })?;
        let size = if whole { body.len() as u64 } else { metadata.content_length() };
        let etag = metadata.etag().map(str::to_owned);
        if of.is_some() && etag.is_some() && of != etag.as_deref() {
            return Err(Error::new(ErrorKind::Conflict, operation)
                .with("key", key.escape_debug())
                .because("it is another version"));
        }
        Ok(ReadObject {
            bytes: body.to_bytes(),
            size,
            etag,
            modified: metadata.last_modified().map(opendal::raw::Timestamp::into_inner),
            about: about(&metadata),
        })
    }

    async fn put(&self, key: &str, body: Bytes, about: &ObjectAbout) -> Result<()> {
        let mut upload = self.begin(&self.operator, key, about).await?;
        upload.send(Buffer::from(body)).await?;
        Box::new(upload).finish().await
    }

    async fn upload(
        &self,
        key: &str,
        size: u64,
        about: &ObjectAbout,
    ) -> Result<Box<dyn ObjectUpload>> {
        let mut upload = self.begin(&self.in_parts, key, about).await?;
        upload.part = size.div_ceil(PARTS).next_multiple_of(1 << 20).max(PART);
        Ok(Box::new(upload))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let operation = "delete object of bucket";
        let path = self.path(operation, key)?;
        let _place = self.place().await?;
        let context = self.operator.context();
        let deleted = async {
            let mut deleter = self.operator.service().delete(context)?;
            oio::Delete::delete(&mut deleter, &path, OpDelete::new()).await?;
            oio::Delete::close(&mut deleter).await
        };
        deleted.await.map_err(|error| self.failed(operation, key, &error))
    }
}

impl Keys {
    async fn begin(&self, operator: &Operator, key: &str, about: &ObjectAbout) -> Result<Upload> {
        let operation = "write object of bucket";
        let path = self.path(operation, key)?;
        let place = self.place().await?;
        let service = operator.service();
        let begun = OpWrite::from_options(&service.capability(), write_options(about))
            .and_then(|(args, _)| service.write(operator.context(), &path, args));
        let writer = begun.map_err(|error| self.failed(operation, key, &error))?;
        Ok(Upload {
            writer,
            place,
            waiting: Vec::new(),
            bytes: 0,
            part: PART,
            key: key.to_owned(),
            location: self.location.clone(),
        })
    }
}

/// An object on its way.
struct Upload {
    writer: oio::Writer,
    place: OwnedSemaphorePermit,
    waiting: Vec<Bytes>,
    bytes: u64,
    part: u64,
    key: String,
    location: String,
}

impl Upload {
    async fn send(&mut self, part: Buffer) -> Result<()> {
        let sent = Write::write(&mut self.writer, part).await;
        sent.map_err(|e| failed(&self.location, "write object of bucket", Some(&self.key), &e))
    }

    async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let part: Buffer = std::mem::take(&mut self.waiting).into_iter().collect();
        self.send(part).await
    }
}

#[async_trait]
impl ObjectUpload for Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.waiting.push(bytes);
        if self.bytes >= self.part { self.flush().await } else { Ok(()) }
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        if self.bytes > 0 {
            self.flush().await?;
        }
        let closed = Write::close(&mut self.writer).await;
        drop(self.place);
        closed.map(|_| ()).map_err(|error| {
            failed(&self.location, "write object of bucket", Some(&self.key), &error)
        })
    }

    async fn abandon(mut self: Box<Self>) {
        if let Err(error) = Write::abort(&mut self.writer).await {
            tracing::debug!(%error, "an upload was not taken back; the service expires it");
        }
    }
}

/// Returns an object of a listing; nothing for what only looks like one.
fn listed(prefix: &str, entry: oio::Entry) -> Result<Option<ListedObject>> {
    let (path, metadata) = entry.into_parts();
    let Some(key) = path.strip_prefix(prefix).filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    // A folder that no object stands for has no time.
    let Some(modified) = metadata.last_modified() else {
        if metadata.is_dir() {
            return Ok(None);
        }
        return Err(Error::new(ErrorKind::SourceUnavailable, "list bucket")
            .with("key", key.escape_debug())
            .because("the service does not say when it was written"));
    };
    Ok(Some(ListedObject {
        key: key.to_owned(),
        size: (!metadata.is_dir()).then(|| metadata.content_length()),
        etag: metadata.etag().map(str::to_owned),
        modified: modified.into_inner(),
    }))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("location", &self.location).finish_non_exhaustive()
    }
}
