//! The copy of a bucket: what is listed, next to the list before, becomes segments and a new list.
//!
//! Keys come in order, and are written in order; objects are read many at a time, and their entries
//! wait in a queue until that is done.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use backup_core::port::{
    Bucket, ListedObject, Observer, PartSink, PartSource, SegmentInfo, SourceOptions,
};
use backup_core::{Error, ErrorKind, Event, Layout, PartName, Result, TreeEvidence};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use xxhash_rust::xxh3::xxh3_64;

use super::about::{attributes, etag, lasting, moment};
use super::findings::Findings;
use super::read::{self, ATTEMPTS, Outcome, Pieces, Small};
use crate::attributes::Attributes;
use crate::backup::bundle::{Bundle, Member, SMALL};
use crate::backup::walk::Found;
use crate::crew::Crew;
use crate::entry::{Entry, FileData, Kind, PIECE, Place};
use crate::list::{DATA, ListReader, ListWriter, Order};
use crate::pace::Pace;
use crate::select::Selection;

/// Addresses of one object or bundle begin at a multiple of this.
const ROOM: u32 = 24;
/// The first number that is given away; each next one is smaller.
const FIRST: u64 = 1 << 39;
/// The attribute of the part `data` that holds the last number.
const LAST_NUMBER: &str = "last_number";
/// So many entries wait for their turn.
const MOST_ROWS: usize = 1 << 15;
/// Small objects of one bundle that are read at the same time.
const TOGETHER: usize = 32;

/// The snapshot before.
pub(super) struct Base {
    list: ListReader,
    parts: Arc<dyn PartSource>,
    segments: HashMap<u64, (u64, usize)>,
    next: Option<Entry>,
}

impl Base {
    /// Opens the lists of a snapshot of a bucket; nothing where it is one of a tree.
    pub(super) async fn open(parts: Arc<dyn PartSource>) -> Result<Option<Self>> {
        let mut list = ListReader::open(Arc::clone(&parts)).await?;
        if list.order() != Order::Keys {
            return Ok(None);
        }
        let data = parts.segments(&PartName::new(DATA)).await?.into_iter().enumerate();
        let place = |(at, info): (usize, SegmentInfo)| (info.address, (info.bytes, at));
        let segments = data.map(place).collect();
        let next = list.next().await?;
        Ok(Some(Self { list, parts, segments, next }))
    }

    /// Returns what it says of a key; ask in order.
    async fn at(&mut self, key: &[u8]) -> Result<Option<Entry>> {
        while let Some(next) = &self.next {
            if next.path.as_slice() > key {
                return Ok(None);
            }
            let found = self.next.take();
            self.next = self.list.next().await?;
            if found.as_ref().is_some_and(|found| found.path == key) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Reads a segment of data; nothing where that fails: it only saves asking the bucket.
    async fn read(&self, address: u64) -> Option<Bytes> {
        let (_, position) = *self.segments.get(&address)?;
        let stream = self.parts.read(&PartName::new(DATA), position).await.ok()?;
        let pieces: Vec<Bytes> = stream.try_collect().await.ok()?;
        Some(pieces.concat().into())
    }
}

/// An entry that waits for its turn.
enum Row {
    Ready(Entry),
    /// The next outcome of that unit.
    Of(u64),
}

/// What every reader shares.
struct Shared<'a> {
    bucket: Arc<dyn Bucket>,
    sink: &'a dyn PartSink,
    data: PartName,
    observer: Arc<dyn Observer>,
    pace: Pace,
}

/// The outcomes of a unit, in the order of its entries.
pub(super) type Done = Result<(u64, Vec<Outcome>)>;

/// What is kept of a copy.
#[derive(Default)]
pub(super) struct Copied {
    pub(super) tree: TreeEvidence,
    pub(super) findings: Findings,
    /// Objects whose contents were asked for.
    pub(super) read: u64,
}

pub(super) struct Copy<'a> {
    shared: Arc<Shared<'a>>,
    list: ListWriter<'a>,
    base: Option<Base>,
    /// What did not change is read all the same.
    full_read: bool,
    most_units: usize,
    units: Crew<'a, Done>,
    next_unit: u64,
    outcomes: HashMap<u64, VecDeque<Outcome>>,
    rows: VecDeque<Row>,
    bundle: Bundle,
    bundle_unit: u64,
    last_former: Option<u64>,
    number: u64,
    copied: Copied,
}

impl<'a> Copy<'a> {
    pub(super) async fn begin(
        sink: &'a dyn PartSink,
        base: Option<Base>,
        bucket: Arc<dyn Bucket>,
        how: &SourceOptions,
        units: Crew<'a, Done>,
    ) -> Result<Self> {
        let data = PartName::new(DATA);
        let before = sink.previous(&data);
        let number = before.and_then(|part| part.attributes.get(LAST_NUMBER)?.parse().ok());
        let list = ListWriter::ordered(sink, Order::Keys).await?;
        sink.begin_part(&data, Layout::Segments).await?;
        let (observer, pace) = (Arc::clone(&how.observer), Pace::new(how.max_rate));
        Ok(Self {
            shared: Arc::new(Shared { bucket, sink, data, observer, pace }),
            list,
            base,
            full_read: how.physical.full_read,
            most_units: how.jobs.get() + 2,
            units,
            next_unit: 0,
            outcomes: HashMap::new(),
            rows: VecDeque::new(),
            bundle: Bundle::default(),
            bundle_unit: 0,
            last_former: None,
            number: number.unwrap_or(FIRST),
            copied: Copied::default(),
        })
    }

    /// Copies all that is listed and chosen.
    pub(super) async fn run(
        mut self,
        mut listed: BoxStream<'static, Result<ListedObject>>,
        selection: &Selection,
    ) -> Result<Copied> {
        let mut last: Option<String> = None;
        loop {
            tokio::select! {
                biased;
                Some(done) = self.units.next(), if !self.units.is_empty() => {
                    self.settle(done?).await?;
                }
                object = listed.try_next(), if self.rows.len() < MOST_ROWS || self.units.is_empty() => {
                    let Some(object) = object? else { break };
                    if last.as_ref().is_some_and(|last| *last >= object.key) {
                        return Err(Error::new(ErrorKind::Unsupported, "list bucket")
                            .with("bucket", self.shared.bucket.location())
                            .with("key", object.key.escape_debug())
                            .because("the service does not list keys in their order"));
                    }
                    if chosen(selection, &object.key) {
                        self.plan(&object).await?;
                        self.flush().await?;
                    } else {
                        self.copied.findings.excluded += 1;
                    }
                    last = Some(object.key);
                }
            }
        }
        self.close_bundle().await?;
        while let Some(done) = self.units.next().await {
            self.settle(done?).await?;
        }
        self.flush().await?;
        if !self.rows.is_empty() {
            return Err(Error::new(ErrorKind::Failed, "write list of objects"));
        }
        let attributes = [(LAST_NUMBER.to_owned(), self.number.to_string())].into();
        let shared = Arc::clone(&self.shared);
        shared.sink.finish_part(&shared.data, attributes).await?;
        self.list.finish(<_>::default()).await?;
        Ok(self.copied)
    }

    async fn plan(&mut self, object: &ListedObject) -> Result<()> {
        let key = object.key.as_bytes();
        let before = match &mut self.base {
            Some(base) => base.at(key).await?,
            None => None,
        };
        let known = before.as_ref().and_then(Entry::file).map(|data| data.size);
        // Where the listing does not tell, it is the same size if it is the same version.
        let size = object.size.or(known).unwrap_or(0);
        let unchanged = !self.full_read
            && object.etag.is_some()
            && before.as_ref().is_some_and(|before| {
                etag(before) == object.etag
                    && known == Some(size)
                    && before.modified == moment(object.modified)
            });
        let mut entry = read::entry(key.to_vec(), FileData { size, ..FileData::default() });
        entry.modified = moment(object.modified);
        entry.changed = entry.modified;
        entry.attributes = attributes(&<_>::default(), object.etag.as_deref());
        let before = before.and_then(|before| match before.kind {
            Kind::File(data) => Some((data, before.attributes)),
            _ => None,
        });
        if size < SMALL {
            if self.bundle.ends_before(key, size) {
                self.close_bundle().await?;
            }
            if self.bundle.members.is_empty() {
                self.bundle_unit = self.unit();
            }
            self.rows.push_back(Row::Of(self.bundle_unit));
            let before = before.map(|(data, attributes)| {
                if unchanged {
                    entry.attributes = attributes;
                }
                data
            });
            let found = Found { entry, device: 0, names: 1 };
            self.bundle.push(Member { found, before, unchanged });
            return Ok(());
        }
        self.large(entry, before, unchanged).await?;
        if self.bundle.pass() {
            self.close_bundle().await?;
        }
        Ok(())
    }

    async fn large(
        &mut self,
        mut entry: Entry,
        before: Option<(FileData, Attributes)>,
        unchanged: bool,
    ) -> Result<()> {
        let former = match before.as_ref().map(|(data, _)| data.place) {
            Some(Place::Pieces { address }) => Some(address),
            _ => None,
        };
        if let Some(((data, attributes), address)) = before.filter(|_| unchanged).zip(former) {
            let wanted: Vec<u64> = data.pieces().map(|piece| address + piece).collect();
            if self.shared.sink.keep_all(&self.shared.data, &wanted).await? {
                self.shared.observer.on_event(&Event::Progress { bytes: data.size });
                entry.kind = Kind::File(data);
                entry.attributes = attributes;
                self.rows.push_back(Row::Ready(entry));
                return Ok(());
            }
        }
        let pieces = entry.file().map_or(0, |data| data.size).div_ceil(PIECE);
        let mut addresses = Vec::with_capacity(ATTEMPTS);
        // As long as it fits into what was given to it.
        addresses.extend(former.filter(|_| pieces >> ROOM == 0));
        while addresses.len() < ATTEMPTS {
            addresses.push(self.fresh(pieces)?);
        }
        let unit = self.unit();
        self.rows.push_back(Row::Of(unit));
        self.copied.read += 1;
        let shared = Arc::clone(&self.shared);
        self.start(read_large(shared, unit, entry, addresses).boxed()).await
    }

    fn unit(&mut self) -> u64 {
        self.next_unit += 1;
        self.next_unit
    }

    /// Returns an address with room for so many pieces behind it, below all that were given away.
    fn fresh(&mut self, pieces: u64) -> Result<u64> {
        self.number = self.number.checked_sub((pieces >> ROOM) + 1).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "place object").because("there are no addresses left")
        })?;
        Ok(self.number << ROOM)
    }

    async fn close_bundle(&mut self) -> Result<()> {
        if self.bundle.members.is_empty() {
            return Ok(());
        }
        let bundle = std::mem::take(&mut self.bundle);
        let unit = self.bundle_unit;
        let former = bundle.former().filter(|at| self.last_former != Some(*at));
        if let Some((address, length)) = bundle.unchanged()
            && (length == 0 || former == Some(address))
            && self.keep_bundle(address, length).await?
        {
            self.last_former = former.or(self.last_former);
            self.shared.observer.on_event(&Event::Progress { bytes: length });
            let kept = bundle.members.into_iter().map(|member| {
                let kind = Kind::File(member.before.unwrap_or_default());
                Outcome::Read(Entry { kind, ..member.found.entry })
            });
            self.outcomes.insert(unit, kept.collect());
            return Ok(());
        }
        self.last_former = former.or(self.last_former);
        let address = match former {
            Some(address) => address,
            None => self.fresh(0)?,
        };
        // One request to the repository in the place of one for each object.
        let any = bundle.members.iter().any(|member| member.unchanged && member.size() > 0);
        let known = match (&self.base, bundle.former().filter(|_| any)) {
            (Some(base), Some(former)) => base.read(former).await,
            _ => None,
        };
        let recalled = bundle.members.iter().map(|member| recall(member, known.as_ref()));
        self.copied.read += recalled.filter(Option::is_none).count() as u64;
        let shared = Arc::clone(&self.shared);
        self.start(read_bundle(shared, unit, bundle.members, known, address).boxed()).await
    }

    async fn keep_bundle(&mut self, address: u64, length: u64) -> Result<bool> {
        if length == 0 {
            return Ok(true);
        }
        let base = self.base.as_ref();
        let whole = base.and_then(|base| base.segments.get(&address)).map(|(bytes, _)| *bytes);
        if whole != Some(length) {
            return Ok(false);
        }
        self.shared.sink.keep_all(&self.shared.data, &[address]).await
    }

    /// Starts reading; waits while too much is being read.
    async fn start(&mut self, unit: BoxFuture<'a, Done>) -> Result<()> {
        while self.units.len() >= self.most_units {
            if let Some(done) = self.units.next().await {
                self.settle(done?).await?;
            }
        }
        self.units.start(unit);
        Ok(())
    }

    async fn settle(&mut self, (unit, outcomes): (u64, Vec<Outcome>)) -> Result<()> {
        self.outcomes.insert(unit, outcomes.into());
        self.flush().await
    }

    /// Writes the entries at the front of the queue that wait for nothing.
    async fn flush(&mut self) -> Result<()> {
        while let Some(row) = self.rows.front() {
            if matches!(row, Row::Of(unit) if !self.outcomes.contains_key(unit)) {
                return Ok(());
            }
            match self.rows.pop_front() {
                Some(Row::Ready(entry)) => self.write(&entry).await?,
                Some(Row::Of(unit)) => {
                    let outcome = self.outcomes.get_mut(&unit).and_then(VecDeque::pop_front);
                    if self.outcomes.get(&unit).is_none_or(VecDeque::is_empty) {
                        self.outcomes.remove(&unit);
                    }
                    let findings = &mut self.copied.findings;
                    match outcome {
                        Some(Outcome::Read(entry)) => self.write(&entry).await?,
                        Some(Outcome::Vanished(key)) => findings.vanished(&key),
                        Some(Outcome::Changing(key)) => findings.changing(&key),
                        Some(Outcome::Unreadable(key, error)) => findings.unreadable(&key, &error),
                        None => return Err(Error::new(ErrorKind::Failed, "write list of objects")),
                    }
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn write(&mut self, entry: &Entry) -> Result<()> {
        let tree = &mut self.copied.tree;
        tree.files += 1;
        tree.bytes += entry.file().map_or(0, |data| data.size);
        tree.fingerprint += lasting(entry).fingerprint();
        let base = self.base.as_mut().map(|base| &mut base.list);
        self.list.push(entry, base).await
    }
}

/// Returns whether patterns take a key: it, or a folder that it is in by its name.
fn chosen(selection: &Selection, key: &str) -> bool {
    let key = key.as_bytes();
    let folders = || {
        let ends = key.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0);
        ends.filter_map(|(at, _)| key.get(..at))
    };
    let left_out = |path: &[u8], folder: bool| selection.leaves_out(path, folder);
    if left_out(key, false) || folders().any(|folder| left_out(folder, true)) {
        return false;
    }
    selection.takes(key, false) || folders().any(|folder| selection.takes(folder, true))
}

/// Cuts an object that did not change out of the segment that it was in.
fn recall(member: &Member, former: Option<&Bytes>) -> Option<(Bytes, FileData)> {
    let before = member.before.as_ref().filter(|_| member.unchanged)?;
    if before.size == 0 {
        return Some((Bytes::new(), before.clone()));
    }
    let former = former?;
    let Place::Bundle { offset, .. } = before.place else { return None };
    let end = usize::try_from(offset.checked_add(before.size)?).ok()?;
    let begin = usize::try_from(offset).ok()?;
    let content = (end <= former.len()).then(|| former.slice(begin..end))?;
    (xxh3_64(&content) == before.hash).then(|| (content, before.clone()))
}

async fn read_bundle(
    shared: Arc<Shared<'_>>,
    unit: u64,
    members: Vec<Member>,
    former: Option<Bytes>,
    address: u64,
) -> Result<(u64, Vec<Outcome>)> {
    let (bucket, former) = (&*shared.bucket, former.as_ref());
    let mut coming = stream::iter(members)
        .map(|member| async move {
            match recall(&member, former) {
                Some((content, data)) => {
                    let kind = Kind::File(data);
                    Ok(Small::Read(Entry { kind, ..member.found.entry }, content))
                }
                None => read::small(bucket, &member.found.entry).await,
            }
        })
        .buffered(TOGETHER);
    let mut bytes = Vec::new();
    let mut outcomes = Vec::new();
    while let Some(small) = coming.try_next().await? {
        outcomes.push(match small {
            Small::Not(outcome) => outcome,
            Small::Read(mut entry, content) => {
                if let Kind::File(data) = &mut entry.kind {
                    let offset = bytes.len() as u64;
                    data.place = match data.size {
                        0 => Place::Nowhere,
                        _ => Place::Bundle { address, offset },
                    };
                }
                bytes.extend_from_slice(&content);
                Outcome::Read(entry)
            }
        });
    }
    if !bytes.is_empty() {
        let mut segment = shared.sink.segment(&shared.data, address).await?;
        segment.write(&bytes).await?;
        segment.finish().await?;
    }
    shared.observer.on_event(&Event::Progress { bytes: bytes.len() as u64 });
    shared.pace.passed(bytes.len() as u64).await;
    Ok((unit, outcomes))
}

async fn read_large(
    shared: Arc<Shared<'_>>,
    unit: u64,
    entry: Entry,
    addresses: Vec<u64>,
) -> Result<(u64, Vec<Outcome>)> {
    let to = Pieces { sink: shared.sink, part: &shared.data, pace: &shared.pace };
    let outcome = read::large(&*shared.bucket, &to, &entry, &addresses).await?;
    let bytes = entry.file().map_or(0, |data| data.size);
    shared.observer.on_event(&Event::Progress { bytes });
    Ok((unit, vec![outcome]))
}
