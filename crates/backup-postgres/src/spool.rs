//! Parts of a snapshot in plain files, for a moment: on their way from one database into another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use backup_core::port::{PartSink, PartSource, SegmentInfo, SegmentSink};
use backup_core::{Error, ErrorKind, Layout, Part, PartName, Result};
use bytes::Bytes;
use futures::stream::{BoxStream, try_unfold};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};

/// Bytes that are written, and read, at once.
const PIECE: usize = 256 << 10;

/// Takes parts into a folder that whoever made it removes. Nothing is made durable.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    parts: Shared,
    /// The number of the next part: files of parts that were given up stay, and are removed with
    /// the folder.
    next: AtomicUsize,
}

type Shared = Arc<Mutex<BTreeMap<PartName, Spooled>>>;

#[derive(Debug)]
struct Spooled {
    layout: Layout,
    number: usize,
    open: usize,
    /// Bytes of each finished segment, by its address.
    segments: BTreeMap<u64, u64>,
    attributes: Option<BTreeMap<String, String>>,
}

impl Spool {
    /// Creates the folder, for its owner alone.
    pub(crate) fn create(folder: PathBuf) -> Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).map_err(|error| failed(&folder, error))?;
        Ok(Self { folder, parts: Shared::default(), next: AtomicUsize::new(0) })
    }

    /// Ends writing. Fails when a part was begun and not finished.
    pub(crate) fn finish(self) -> Result<SpooledParts> {
        let mut list = Vec::new();
        let mut files = BTreeMap::new();
        for (name, spooled) in lock(&self.parts)?.iter() {
            let attributes = spooled.attributes.clone().ok_or_else(|| unfinished(name))?;
            list.push(Part {
                name: name.clone(),
                layout: spooled.layout,
                bytes: spooled.segments.values().sum(),
                segments: spooled.segments.len() as u64,
                map: Vec::new(),
                attributes,
            });
            let segments = spooled.segments.iter();
            let segments =
                segments.map(|(address, bytes)| SegmentInfo { address: *address, bytes: *bytes });
            files.insert(name.clone(), (spooled.number, segments.collect()));
        }
        Ok(SpooledParts { folder: self.folder, list, files })
    }
}

#[async_trait]
impl PartSink for Spool {
    fn previous(&self, _name: &PartName) -> Option<Part> {
        None
    }

    async fn begin_part(&self, name: &PartName, layout: Layout) -> Result<()> {
        let mut parts = lock(&self.parts)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let spooled =
            Spooled { layout, number, open: 0, segments: BTreeMap::new(), attributes: None };
        match parts.insert(name.clone(), spooled) {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Failed, "begin part twice").with("part", name)),
        }
    }

    async fn segment(&self, part: &PartName, address: u64) -> Result<Box<dyn SegmentSink>> {
        let number = {
            let mut parts = lock(&self.parts)?;
            let spooled = parts.get_mut(part).ok_or_else(|| unfinished(part))?;
            spooled.open += 1;
            spooled.number
        };
        let path = place(&self.folder, number, address);
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).await.map_err(|error| failed(&path, error))?;
        Ok(Box::new(Segment {
            parts: Arc::clone(&self.parts),
            part: part.clone(),
            address,
            bytes: 0,
            path,
            file: BufWriter::with_capacity(PIECE, file),
        }))
    }

    async fn start_over(&self) -> Result<()> {
        lock(&self.parts)?.clear();
        Ok(())
    }

    async fn finish_part(
        &self,
        name: &PartName,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut parts = lock(&self.parts)?;
        match parts.get_mut(name) {
            Some(spooled) if spooled.open == 0 => {
                spooled.attributes = Some(attributes);
                Ok(())
            }
            _ => Err(unfinished(name)),
        }
    }
}

struct Segment {
    parts: Shared,
    part: PartName,
    address: u64,
    bytes: u64,
    path: PathBuf,
    file: BufWriter<File>,
}

#[async_trait]
impl SegmentSink for Segment {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).await.map_err(|error| failed(&self.path, error))
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        self.file.flush().await.map_err(|error| failed(&self.path, error))?;
        let mut parts = lock(&self.parts)?;
        let spooled = parts.get_mut(&self.part).ok_or_else(|| unfinished(&self.part))?;
        spooled.open -= 1;
        spooled.segments.insert(self.address, self.bytes);
        Ok(())
    }
}

/// Gives back what a [`Spool`] took.
#[derive(Debug)]
pub(crate) struct SpooledParts {
    folder: PathBuf,
    list: Vec<Part>,
    files: BTreeMap<PartName, (usize, Vec<SegmentInfo>)>,
}

#[async_trait]
impl PartSource for SpooledParts {
    fn parts(&self) -> &[Part] {
        &self.list
    }

    async fn segments(&self, part: &PartName) -> Result<Vec<SegmentInfo>> {
        let found = self.files.get(part).map(|(_, segments)| segments.clone());
        found.ok_or_else(|| unfinished(part))
    }

    async fn read(
        &self,
        part: &PartName,
        position: usize,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (number, segments) = self.files.get(part).ok_or_else(|| unfinished(part))?;
        let segment = segments.get(position).ok_or_else(|| unfinished(part))?;
        let path = place(&self.folder, *number, segment.address);
        let file = File::open(&path).await.map_err(|error| failed(&path, error))?;
        let state = (file, path, segment.bytes);
        Ok(Box::pin(try_unfold(state, |(mut file, path, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            file.read_exact(&mut piece).await.map_err(|error| failed(&path, error))?;
            let left = left - piece.len() as u64;
            Ok(Some((Bytes::from(piece), (file, path, left))))
        })))
    }
}

fn place(folder: &Path, number: usize, address: u64) -> PathBuf {
    folder.join(format!("{number}-{address}"))
}

fn lock(parts: &Shared) -> Result<MutexGuard<'_, BTreeMap<PartName, Spooled>>> {
    parts.lock().map_err(|_| Error::new(ErrorKind::Failed, "spool after an earlier failure"))
}

fn unfinished(part: &PartName) -> Error {
    Error::new(ErrorKind::Failed, "spool part").with("part", part).because("it is not complete")
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "spool rows")
        .with("path", path.display())
        .hint("Free space there, or name a folder with more room.")
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    #[tokio::test]
    async fn what_goes_in_comes_out_and_what_is_half_done_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::create(folder.path().join("spool")).unwrap();
        let name = PartName::new("table/public.a");
        spool.begin_part(&name, Layout::Segments).await.unwrap();
        assert!(spool.begin_part(&name, Layout::Segments).await.is_err());
        let long = vec![7; PIECE + 5];
        for (address, bytes) in [(9, long.as_slice()), (0, b"ab"), (4, b"")] {
            let mut segment = spool.segment(&name, address).await.unwrap();
            segment.write(bytes).await.unwrap();
            assert!(spool.finish_part(&name, BTreeMap::new()).await.is_err());
            segment.finish().await.unwrap();
        }
        spool.finish_part(&name, BTreeMap::from([("rows".into(), "3".into())])).await.unwrap();
        let parts = spool.finish().unwrap();
        assert_eq!((parts.list[0].segments, parts.list[0].bytes), (3, PIECE as u64 + 7));
        let addresses: Vec<u64> =
            parts.segments(&name).await.unwrap().iter().map(|s| s.address).collect();
        assert_eq!(addresses, [0, 4, 9]);
        let mut content = Vec::new();
        for position in 0..3 {
            let pieces: Vec<Bytes> =
                parts.read(&name, position).await.unwrap().try_collect().await.unwrap();
            content.push(pieces.concat());
        }
        assert_eq!(content, [b"ab".to_vec(), Vec::new(), long]);

        let spool = Spool::create(folder.path().join("other")).unwrap();
        for _ in 0..2 {
            spool.begin_part(&name, Layout::Segments).await.unwrap();
            spool.segment(&name, 0).await.unwrap().finish().await.unwrap();
            spool.start_over().await.unwrap();
        }
        spool.begin_part(&name, Layout::Segments).await.unwrap();
        let dropped = spool.segment(&name, 0).await.unwrap();
        drop(dropped);
        assert!(spool.finish_part(&name, BTreeMap::new()).await.is_err());
        assert!(spool.finish().is_err());
    }
}
