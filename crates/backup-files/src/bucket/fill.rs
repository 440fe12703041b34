//! Writes objects, many at a time, each whole or not at all.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use backup_core::port::{Bucket, ListedObject, ObjectUpload, Observer, PartSource, RestoreOptions};
use backup_core::{Error, ErrorKind, Event, PartName, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, TryStreamExt};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::about::{about, etag};
use super::read::text;
use super::target::RESTORE;
use crate::crew::{Crew, with_crew};
use crate::entry::{Entry, FileData, Kind, PIECE, Place};
use crate::list::{DATA, Order};
use crate::restore::Chosen;

/// Entries that are looked at together.
const BATCH: usize = 4096;
/// Bytes of what is there that are compared at a time.
const COMPARED: u64 = 4 << 20;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filled {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Objects that were there as they should be.
    pub(super) kept: u64,
    /// Objects that were removed.
    pub(super) gone: u64,
}

/// What one piece of work did.
type Work<'a> = BoxFuture<'a, Result<Filled>>;

/// Fills a bucket.
pub(super) struct Fill {
    bucket: Arc<dyn Bucket>,
    parts: Arc<dyn PartSource>,
    segments: HashMap<u64, usize>,
    jobs: usize,
    delta: bool,
    delete: bool,
    observer: Arc<dyn Observer>,
}

/// What is in the bucket, next to what should be.
struct There {
    objects: Option<BoxStream<'static, Result<ListedObject>>>,
    next: Option<ListedObject>,
}

impl There {
    async fn advance(&mut self) -> Result<Option<ListedObject>> {
        let next = match &mut self.objects {
            Some(objects) => objects.try_next().await?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// Returns whether a path can be a key that a bucket is asked for.
pub(super) fn is_key(path: &[u8]) -> bool {
    let addressed = !path.split(|byte| *byte == b'/').any(|part| matches!(part, b"." | b".."));
    addressed && !path.starts_with(b"/") && std::str::from_utf8(path).is_ok()
}

impl Fill {
    pub(super) async fn open(
        bucket: Arc<dyn Bucket>,
        parts: Arc<dyn PartSource>,
        options: &RestoreOptions,
    ) -> Result<Self> {
        let data = parts.segments(&PartName::new(DATA)).await?;
        let segments = data.into_iter().enumerate().map(|(at, info)| (info.address, at)).collect();
        Ok(Self {
            bucket,
            parts,
            segments,
            jobs: options.jobs.get(),
            delta: options.delta,
            delete: options.files.delete,
            observer: Arc::clone(&options.observer),
        })
    }

    /// Writes everything that is chosen.
    pub(super) async fn run(&self, chosen: Chosen) -> Result<Filled> {
        with_crew(|crew| self.lead(chosen, crew)).await
    }

    async fn lead<'a>(
        &'a self,
        mut chosen: Chosen,
        mut running: Crew<'a, Result<Filled>>,
    ) -> Result<Filled> {
        // What is there is compared key by key where both come in one order.
        let ordered = chosen.order() == Order::Keys;
        let objects = if self.delta && ordered { Some(self.bucket.list().await?) } else { None };
        let mut there = There { objects, next: None };
        there.advance().await?;
        let mut all = Filled::default();
        loop {
            let batch = chosen.batch(BATCH).await?;
            if batch.is_empty() {
                break;
            }
            let mut missing = Vec::new();
            for entry in batch.into_iter().filter(|entry| entry.file().is_some()) {
                if !self.delta {
                    missing.push((entry, None));
                    continue;
                }
                if !ordered {
                    missing.push((entry, Some(Known::Unseen)));
                    continue;
                }
                let found = self.seek(&mut there, &entry, &mut running).await?;
                missing.push((entry, found.map(Known::Listed)));
            }
            for work in self.works(missing) {
                while running.len() > self.jobs {
                    settle(&mut running, &mut all).await?;
                }
                running.start(work);
            }
        }
        while let Some(gone) = there.advance().await? {
            self.remove(gone, &mut running);
            while running.len() > self.jobs {
                settle(&mut running, &mut all).await?;
            }
        }
        while !running.is_empty() {
            settle(&mut running, &mut all).await?;
        }
        Ok(all)
    }

    /// Returns what is at the entry's key; what lies before it is none of the snapshot's.
    async fn seek<'a>(
        &'a self,
        there: &mut There,
        entry: &Entry,
        running: &mut Crew<'a, Result<Filled>>,
    ) -> Result<Option<ListedObject>> {
        while let Some(next) = &there.next {
            match next.key.as_bytes().cmp(&entry.path) {
                Ordering::Less => {
                    if let Some(gone) = there.advance().await? {
                        self.remove(gone, running);
                    }
                }
                Ordering::Equal => return there.advance().await,
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    fn remove<'a>(&'a self, object: ListedObject, running: &mut Crew<'a, Result<Filled>>) {
        if !self.delete {
            return;
        }
        let work = async move {
            self.bucket.delete(&object.key).await?;
            Ok(Filled { gone: 1, ..Filled::default() })
        };
        running.start(work.boxed());
    }

    /// Sorts what has to be written by where it is stored.
    fn works(&self, missing: Vec<(Entry, Option<Known>)>) -> Vec<Work<'_>> {
        let mut works: Vec<Work<'_>> = Vec::new();
        let mut bundles: BTreeMap<u64, Vec<(Entry, Option<Known>)>> = BTreeMap::new();
        for (entry, known) in missing {
            match entry.file().map(|data| data.place) {
                Some(Place::Bundle { address, .. }) => {
                    bundles.entry(address).or_default().push((entry, known));
                }
                Some(Place::Pieces { address }) => {
                    works.push(self.large(entry, known, address).boxed());
                }
                _ => works.push(self.empty(entry, known).boxed()),
            }
        }
        let bundles = bundles.into_iter().rev();
        works.extend(bundles.map(|(address, entries)| self.bundle(address, entries).boxed()));
        works
    }

    async fn empty(&self, entry: Entry, known: Option<Known>) -> Result<Filled> {
        if self.is_there(&entry, known).await? {
            return Ok(Filled { kept: 1, ..Filled::default() });
        }
        self.bucket.put(text(&entry)?, Bytes::new(), &about(&entry)).await?;
        Ok(Filled { files: 1, ..Filled::default() })
    }

    async fn bundle(&self, address: u64, entries: Vec<(Entry, Option<Known>)>) -> Result<Filled> {
        with_crew(|crew| self.put_bundle(address, entries, crew)).await
    }

    async fn put_bundle<'a>(
        &'a self,
        address: u64,
        entries: Vec<(Entry, Option<Known>)>,
        mut puts: Crew<'a, Result<()>>,
    ) -> Result<Filled> {
        let mut done = Filled::default();
        let mut bytes = None;
        for (entry, known) in entries {
            if self.is_there(&entry, known).await? {
                done.kept += 1;
                continue;
            }
            // Nothing is fetched of what is there already.
            let whole = match &bytes {
                Some(bytes) => Bytes::clone(bytes),
                None => self.segment(address).await?,
            };
            let content = cut(&entry, &whole)?;
            bytes = Some(whole);
            done.files += 1;
            done.bytes += content.len() as u64;
            let put = async move {
                let length = content.len() as u64;
                self.bucket.put(text(&entry)?, content, &about(&entry)).await?;
                self.observer.on_event(&Event::Progress { bytes: length });
                Ok(())
            };
            puts.start(put.boxed());
            if puts.len() >= 8
                && let Some(put) = puts.next().await
            {
                put?;
            }
        }
        while let Some(put) = puts.next().await {
            put?;
        }
        Ok(done)
    }

    async fn large(&self, entry: Entry, known: Option<Known>, address: u64) -> Result<Filled> {
        if self.is_there(&entry, known).await? {
            return Ok(Filled { kept: 1, ..Filled::default() });
        }
        let data = entry.file().cloned().unwrap_or_default();
        let mut upload = self.bucket.upload(text(&entry)?, data.size, &about(&entry)).await?;
        if let Err(error) = self.pieces(&entry, &data, address, &mut upload).await {
            upload.abandon().await;
            return Err(error);
        }
        upload.finish().await?;
        Ok(Filled { files: 1, bytes: data.size, ..Filled::default() })
    }

    async fn pieces(
        &self,
        entry: &Entry,
        data: &FileData,
        address: u64,
        upload: &mut Box<dyn ObjectUpload>,
    ) -> Result<()> {
        let mut hash = Xxh3Default::new();
        let mut stored = data.pieces().peekable();
        for piece in 0..data.size.div_ceil(PIECE) {
            let length = data.piece_length(piece);
            let bytes = if stored.next_if_eq(&piece).is_some() {
                let bytes = self.segment(address + piece).await?;
                hash.update(&bytes);
                bytes
            } else {
                Bytes::from(vec![0; length as usize])
            };
            if bytes.len() as u64 != length {
                return Err(other_contents(entry));
            }
            upload.write(bytes).await?;
            self.observer.on_event(&Event::Progress { bytes: length });
        }
        if hash.digest() == data.hash { Ok(()) } else { Err(other_contents(entry)) }
    }

    /// Returns whether the object is there as it should be: its contents, by size and ETag or by
    /// reading them, and what is said about it.
    async fn is_there(&self, entry: &Entry, known: Option<Known>) -> Result<bool> {
        let (Some(known), Some(data)) = (known, entry.file()) else { return Ok(false) };
        let key = text(entry)?;
        if let Known::Listed(listed) = &known
            && listed.size.is_some_and(|size| size != data.size)
        {
            return Ok(false);
        }
        let first = (data.size > 0).then_some(0..data.size.min(1));
        let seen = match self.bucket.read(key, first, None).await {
            Ok(seen) => seen,
            // Shorter than it should be, or gone.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Integrity) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let said = backup_core::port::ObjectAbout { version: None, ..seen.about };
        if seen.size != data.size || !is_said(&about(entry), &said) {
            return Ok(false);
        }
        if data.size == 0 || (seen.etag.is_some() && seen.etag == etag(entry)) {
            return Ok(true);
        }
        // A hole is not in the hash, so that such a file is written anew.
        Ok(data.holes.is_empty() && self.same(key, data, seen.etag.as_deref()).await?)
    }

    async fn same(&self, key: &str, data: &FileData, of: Option<&str>) -> Result<bool> {
        let mut hash = Xxh3Default::new();
        let mut begin = 0;
        while begin < data.size {
            let end = (begin + COMPARED).min(data.size);
            match self.bucket.read(key, Some(begin..end), of).await {
                Ok(read) => hash.update(&read.bytes),
                Err(error) if error.kind() == ErrorKind::Conflict => return Ok(false),
                Err(error) => return Err(error),
            }
            begin = end;
        }
        Ok(hash.digest() == data.hash)
    }

    /// Reads a segment of data whole.
    async fn segment(&self, address: u64) -> Result<Bytes> {
        let position = self.segments.get(&address).copied().ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "find contents of file").with("address", address)
        })?;
        let stream = self.parts.read(&PartName::new(DATA), position).await?;
        let mut pieces: Vec<Bytes> = stream.try_collect().await?;
        Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
    }
}

/// What is known of what is at a key.
enum Known {
    Listed(ListedObject),
    /// Nobody looked yet.
    Unseen,
}

/// Whether an object says what an entry asks for. A service gives a type to what has none.
fn is_said(
    wanted: &backup_core::port::ObjectAbout,
    there: &backup_core::port::ObjectAbout,
) -> bool {
    wanted.content_type.as_ref().is_none_or(|wanted| Some(wanted) == there.content_type.as_ref())
        && wanted.content_encoding == there.content_encoding
        && wanted.content_disposition == there.content_disposition
        && wanted.cache_control == there.cache_control
        && wanted.metadata == there.metadata
}

async fn settle(running: &mut Crew<'_, Result<Filled>>, all: &mut Filled) -> Result<()> {
    if let Some(done) = running.next().await {
        let done = done?;
        all.files += done.files;
        all.bytes += done.bytes;
        all.kept += done.kept;
        all.gone += done.gone;
    }
    Ok(())
}

/// Cuts a file out of its bundle.
fn cut(entry: &Entry, bundle: &Bytes) -> Result<Bytes> {
    let Kind::File(data) = &entry.kind else { return Err(other_contents(entry)) };
    let Place::Bundle { offset, .. } = data.place else { return Err(other_contents(entry)) };
    let end = offset.saturating_add(data.size);
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    let (begin, end) = range.ok_or_else(|| other_contents(entry))?;
    if end > bundle.len() {
        return Err(other_contents(entry));
    }
    let content = bundle.slice(begin..end);
    if xxh3_64(&content) == data.hash { Ok(content) } else { Err(other_contents(entry)) }
}

fn other_contents(entry: &Entry) -> Error {
    Error::new(ErrorKind::Integrity, RESTORE)
        .with("file", entry.shown())
        .because("what is stored is not what was read once")
        .hint("Run `backupctl verify` on the snapshot, and restore another one.")
}
