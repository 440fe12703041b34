//! Reads segments and has files written, several at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use backup_core::port::{Observer, PartSource};
use backup_core::{Error, ErrorKind, Event, PartName, Result};
use bytes::Bytes;
use futures::stream;
use futures::{FutureExt, StreamExt};

use super::chosen::Chosen;
use super::write::{Place, Writer, other_contents};
use crate::contents::whole;
use crate::crew::{Crew, with_crew};
use crate::entry::{Entry, FileData, Kind, PIECE, Place as Stored, is_below};
use crate::list::DATA;
use crate::segments::Segments;

/// Entries that are looked at together.
const BATCH: usize = 4096;
/// Names that wait for the file they belong to.
const MOST_LINKS: usize = 1 << 13;
/// Pieces of one file that are fetched ahead.
const AHEAD: usize = 2;

/// Writes what is chosen.
pub(super) struct Driver {
    pub(super) parts: Arc<dyn PartSource>,
    pub(super) place: Arc<Place>,
    pub(super) jobs: usize,
    pub(super) observer: Arc<dyn Observer>,
    segments: Segments,
}

/// Files that are written together.
enum Unit {
    /// Those of one bundle.
    Bundle(u64, Vec<(Entry, FileData)>),
    /// One in pieces.
    Large(Box<Entry>, FileData, u64),
    /// What has no contents.
    Plain(Vec<Entry>),
}

impl Driver {
    pub(super) async fn new(
        parts: Arc<dyn PartSource>,
        place: Arc<Place>,
        jobs: usize,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let segments = Segments::of(&*parts, &PartName::new(DATA)).await?;
        Ok(Self { parts, place, jobs, observer, segments })
    }

    /// Writes everything but the metadata of directories.
    pub(super) async fn contents(&self, chosen: Chosen) -> Result<()> {
        with_crew(|crew| self.lead(chosen, crew)).await
    }

    async fn lead<'a>(
        &'a self,
        mut chosen: Chosen,
        mut running: Crew<'a, Result<()>>,
    ) -> Result<()> {
        let mut first_names: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut links: Vec<(Vec<u8>, Entry)> = Vec::new();
        loop {
            let batch = chosen.batch(BATCH).await?;
            if batch.is_empty() {
                break;
            }
            self.directories(&batch).await?;
            for unit in units(batch, &mut first_names, &mut links) {
                while running.len() > self.jobs {
                    if let Some(done) = running.next().await {
                        done?;
                    }
                }
                running.start(self.unit(unit).boxed());
            }
            if links.len() >= MOST_LINKS {
                finish(&mut running).await?;
                self.links(std::mem::take(&mut links)).await?;
            }
        }
        finish(&mut running).await?;
        self.links(links).await
    }

    /// Gives directories their metadata, those below before those around them.
    pub(super) async fn metadata(&self, mut chosen: Chosen, with_root: bool) -> Result<()> {
        let mut around: Vec<Entry> = Vec::new();
        let mut done = Vec::new();
        while let Some(entry) = chosen.next().await? {
            while around.last().is_some_and(|last| !is_below(&entry.path, &last.path)) {
                done.extend(around.pop());
            }
            if entry.kind == Kind::Directory {
                around.push(entry);
            }
            if done.len() >= BATCH {
                self.finish_directories(std::mem::take(&mut done)).await?;
            }
        }
        done.extend(around.into_iter().rev());
        done.retain(|entry| with_root || !entry.path.is_empty());
        self.finish_directories(done).await
    }

    async fn directories(&self, batch: &[Entry]) -> Result<()> {
        let directories = batch.iter().filter(|entry| entry.kind == Kind::Directory);
        let paths: Vec<Vec<u8>> = directories.map(|entry| entry.path.clone()).collect();
        if paths.is_empty() {
            return Ok(());
        }
        self.write(move |writer| paths.iter().try_for_each(|path| writer.directory(path))).await
    }

    async fn finish_directories(&self, entries: Vec<Entry>) -> Result<()> {
        self.write(move |writer| {
            entries.iter().try_for_each(|entry| writer.finish_directory(entry))
        })
        .await
    }

    async fn links(&self, links: Vec<(Vec<u8>, Entry)>) -> Result<()> {
        self.write(move |writer| {
            links.iter().try_for_each(|(first, entry)| writer.link(first, entry))
        })
        .await
    }

    async fn unit(&self, unit: Unit) -> Result<()> {
        match unit {
            Unit::Plain(entries) => {
                self.write(move |writer| {
                    entries.iter().try_for_each(|entry| match &entry.kind {
                        Kind::File(data) => writer.file(entry, data, &[]),
                        _ => writer.other(entry),
                    })
                })
                .await
            }
            Unit::Bundle(address, mut files) => {
                if self.place.delta {
                    // Nothing is fetched of what is there already.
                    files = self.write(move |writer| writer.missing(files)).await?;
                }
                if files.is_empty() {
                    return Ok(());
                }
                let bytes = self.segment(address).await?;
                let sum = files.iter().map(|(_, data)| data.size).sum();
                self.write(move |writer| {
                    files.iter().try_for_each(|(entry, data)| {
                        let Stored::Bundle { offset, .. } = data.place else { return Ok(()) };
                        let end = offset.saturating_add(data.size);
                        let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
                        let contents = range.and_then(|(begin, end)| bytes.get(begin..end));
                        writer.file(entry, data, contents.ok_or_else(|| other_contents(entry))?)
                    })
                })
                .await?;
                self.observer.on_event(&Event::Progress { bytes: sum });
                Ok(())
            }
            Unit::Large(entry, data, address) => self.large(*entry, data, address).await,
        }
    }

    async fn large(&self, entry: Entry, data: FileData, address: u64) -> Result<()> {
        let (begun, wanted) = (entry.clone(), data.clone());
        let Some(mut open) = self.write(move |writer| writer.begin(&begun, &wanted)).await? else {
            self.observer.on_event(&Event::Progress { bytes: data.size });
            return Ok(());
        };
        let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
        let pieces: Vec<u64> = data.pieces().collect();
        let mut coming = stream::iter(pieces)
            .map(|piece| async move { Ok((piece, self.segment(address + piece).await?)) })
            .buffered(AHEAD);
        while let Some(piece) = coming.next().await {
            let (piece, bytes): (u64, Bytes) = piece?;
            if bytes.len() as u64 != data.piece_length(piece) {
                return Err(other_contents(&entry));
            }
            let length = bytes.len() as u64;
            (open, hash) = super::target::blocking(move || {
                hash.update(&bytes);
                open.put(piece * PIECE, &bytes)?;
                Ok((open, hash))
            })
            .await?;
            self.observer.on_event(&Event::Progress { bytes: length });
        }
        if hash.digest() != data.hash {
            return Err(other_contents(&entry));
        }
        self.write(move |writer| writer.end(open)).await
    }

    /// Reads a segment of data whole.
    async fn segment(&self, address: u64) -> Result<Bytes> {
        let (position, _) = self.segments.find(address).ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "find contents of file").with("address", address)
        })?;
        whole(&*self.parts, &PartName::new(DATA), position).await
    }

    /// Has something written off the async threads.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.place);
        super::target::blocking(move || work(&mut Writer::new(&place))).await
    }
}

async fn finish(running: &mut Crew<'_, Result<()>>) -> Result<()> {
    while let Some(done) = running.next().await {
        done?;
    }
    Ok(())
}

/// Sorts entries by how they are written; further names of a file come later.
fn units(
    batch: Vec<Entry>,
    first_names: &mut HashMap<u64, Vec<u8>>,
    links: &mut Vec<(Vec<u8>, Entry)>,
) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut plain = Vec::new();
    let mut bundles: BTreeMap<u64, Vec<(Entry, FileData)>> = BTreeMap::new();
    for entry in batch {
        let data = match &entry.kind {
            Kind::Directory => continue,
            Kind::File(data) => data.clone(),
            _ => {
                plain.push(entry);
                continue;
            }
        };
        if let Some(number) = data.linked {
            if let Some(first) = first_names.get(&number) {
                links.push((first.clone(), entry));
                continue;
            }
            first_names.insert(number, entry.path.clone());
        }
        match data.place {
            Stored::Bundle { address, .. } if data.size > 0 => {
                bundles.entry(address).or_default().push((entry, data));
            }
            Stored::Pieces { address } if data.size > 0 => {
                units.push(Unit::Large(Box::new(entry), data, address));
            }
            _ => plain.push(entry),
        }
    }
    if !plain.is_empty() {
        units.push(Unit::Plain(plain));
    }
    units.extend(bundles.into_iter().rev().map(|(address, files)| Unit::Bundle(address, files)));
    units
}
