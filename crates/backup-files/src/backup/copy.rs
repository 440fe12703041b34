//! The copy: what was found, next to the list before, becomes segments and a new list.
//!
//! Entries are written in order, and files are read several at a time: an entry waits in a queue
//! until what it needs was read.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use backup_core::port::{Observer, PartSink, PartSource};
use backup_core::{Error, ErrorKind, Event, Layout, PartName, Result, TreeEvidence};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc::Receiver;

use super::bundle::{Bundle, Member, SMALL};
use super::findings::Findings;
use super::owners::Owners;
use super::read::{self, Large, Outcome};
use super::walk::{Found, Seen};
use crate::contents::whole;
use crate::crew::Crew;
use crate::entry::{Entry, FileData, Kind, PIECE, Place, order};
use crate::list::{DATA, ListReader, ListWriter};
use crate::pace::Pace;
use crate::segments::{Segments, Taken};

/// Addresses of one file or bundle begin at a multiple of this.
const ROOM: u32 = 24;
/// The first number that is given away; each next one is smaller, so that nothing stands before
/// what is new, to be taken for what it was.
const FIRST: u64 = 1 << 39;
/// The attribute of the part `data` that holds the last number.
const LAST_NUMBER: &str = "last_number";
/// So many entries wait for their turn.
const MOST_ROWS: usize = 1 << 15;
/// A larger file that changed while it was read is not read again.
const READ_AGAIN: u64 = 1 << 30;

/// The snapshot before.
pub(super) struct Base {
    pub(super) list: ListReader,
    pub(super) parts: Arc<dyn PartSource>,
    /// Its segments of data.
    segments: Segments,
    next: Option<Entry>,
}

impl Base {
    /// Opens the lists of a snapshot.
    pub(super) async fn open(parts: Arc<dyn PartSource>) -> Result<Self> {
        let mut list = ListReader::open(Arc::clone(&parts)).await?;
        let segments = Segments::of(&*parts, &PartName::new(DATA)).await?;
        let next = list.next().await?;
        Ok(Self { list, parts, segments, next })
    }

    /// Returns what it says of a path; ask in order.
    async fn at(&mut self, path: &[u8]) -> Result<Option<Entry>> {
        use std::cmp::Ordering;
        while let Some(next) = &self.next {
            match order(&next.path, path) {
                Ordering::Greater => return Ok(None),
                ordering => {
                    let found = self.next.take();
                    self.next = self.list.next().await?;
                    if ordering == Ordering::Equal {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Reads a segment of data; nothing where that fails: it only saves reading.
    async fn read(&self, address: u64) -> Option<Bytes> {
        let (position, _) = self.segments.find(address)?;
        whole(&*self.parts, &PartName::new(DATA), position).await.ok()
    }
}

/// An entry that waits for its turn.
enum Row {
    Ready(Entry),
    /// The next outcome of that unit.
    Of(u64),
    /// Another name of the file of that number.
    Linked(u64, Found),
}

/// A file with several names.
struct Names {
    number: u64,
    left: u64,
}

/// What was stored of a file with several names.
struct Stored {
    data: Option<(FileData, Entry)>,
    left: u64,
}

/// What every reader shares.
struct Shared<'a> {
    sink: &'a dyn PartSink,
    data: PartName,
    root: Arc<OwnedFd>,
    observer: Arc<dyn Observer>,
    pace: Pace,
    /// Files that changed within so many seconds are read again the next time.
    settled: i64,
}

/// The outcomes of a unit, in the order of its entries.
pub(super) type Done = Result<(u64, Vec<Outcome>)>;

/// What is kept of a copy.
pub(super) struct Copied {
    pub(super) tree: TreeEvidence,
    pub(super) findings: Findings,
    /// Files whose contents were read.
    pub(super) read_files: u64,
    /// Bytes of them.
    pub(super) read_bytes: u64,
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
    /// Addresses of the snapshot before that were given away again. One may be wanted twice: by
    /// two names of what was one file and is two now.
    taken: Taken,
    number: u64,
    names: HashMap<(u64, u64), Names>,
    next_names: u64,
    stored: HashMap<u64, Stored>,
    owners: Owners,
    copied: Copied,
}

/// How a tree is copied.
pub(super) struct Manner {
    pub(super) root: Arc<OwnedFd>,
    pub(super) jobs: usize,
    pub(super) full_read: bool,
    pub(super) max_rate: Option<u64>,
    pub(super) settled: i64,
    pub(super) observer: Arc<dyn Observer>,
}

impl<'a> Copy<'a> {
    pub(super) async fn begin(
        sink: &'a dyn PartSink,
        base: Option<Base>,
        manner: Manner,
        units: Crew<'a, Done>,
    ) -> Result<Self> {
        let data = PartName::new(DATA);
        let before = sink.previous(&data);
        let number = before.and_then(|part| part.attributes.get(LAST_NUMBER)?.parse().ok());
        let list = ListWriter::begin(sink).await?;
        sink.begin_part(&data, Layout::Segments).await?;
        let pace = Pace::new(manner.max_rate);
        let (root, observer, settled) = (manner.root, manner.observer, manner.settled);
        Ok(Self {
            shared: Arc::new(Shared { sink, data, root, observer, pace, settled }),
            list,
            base,
            full_read: manner.full_read,
            most_units: manner.jobs + 2,
            units,
            next_unit: 1,
            outcomes: HashMap::new(),
            rows: VecDeque::new(),
            bundle: Bundle::default(),
            bundle_unit: 0,
            taken: Taken::default(),
            number: number.unwrap_or(FIRST),
            names: HashMap::new(),
            next_names: 0,
            stored: HashMap::new(),
            owners: Owners::default(),
            copied: Copied {
                tree: TreeEvidence::default(),
                findings: Findings::default(),
                read_files: 0,
                read_bytes: 0,
            },
        })
    }

    /// Copies all that is told.
    pub(super) async fn run(mut self, mut seen: Receiver<Vec<Seen>>) -> Result<Copied> {
        loop {
            tokio::select! {
                biased;
                Some(done) = self.units.next(), if !self.units.is_empty() => {
                    self.settle(done?).await?;
                }
                batch = seen.recv(), if self.rows.len() < MOST_ROWS || self.units.is_empty() => match batch {
                    Some(batch) => {
                        for one in batch {
                            self.plan(one).await?;
                        }
                        self.flush().await?;
                    }
                    None => break,
                },
            }
        }
        self.close_bundle().await?;
        while let Some(done) = self.units.next().await {
            self.settle(done?).await?;
        }
        self.flush().await?;
        if !self.rows.is_empty() {
            return Err(Error::new(ErrorKind::Failed, "write list of files"));
        }
        let attributes = [(LAST_NUMBER.to_owned(), self.number.to_string())].into();
        let shared = Arc::clone(&self.shared);
        shared.sink.finish_part(&shared.data, attributes).await?;
        self.list.finish(self.owners.attributes()).await?;
        Ok(self.copied)
    }

    async fn plan(&mut self, seen: Seen) -> Result<()> {
        let findings = &mut self.copied.findings;
        match seen {
            Seen::Found(found) => return self.found(found).await,
            Seen::Unreadable(path, error) => findings.unreadable(&path, &error),
            Seen::Vanished(path) => findings.vanished(&path),
            Seen::Excluded => findings.excluded(),
            Seen::Socket(_) => findings.socket(),
            Seen::Marked(path) => findings.marked(&path),
            Seen::Mounted(path) => findings.mounted(&path),
        }
        Ok(())
    }

    async fn found(&mut self, mut found: Found) -> Result<()> {
        let before = match &mut self.base {
            Some(base) => base.at(&found.entry.path).await?,
            None => None,
        };
        if found.has_other_names() && !self.first_name(&mut found) {
            return self.pass().await;
        }
        let Kind::File(data) = &mut found.entry.kind else {
            self.rows.push_back(Row::Ready(found.entry));
            return self.pass().await;
        };
        let linked = data.linked;
        let size = data.size;
        let unchanged =
            !self.full_read && before.as_ref().is_some_and(|b| is_same(b, &found.entry));
        let (attributes, before) = match before {
            Some(Entry { kind: Kind::File(mut data), attributes, .. }) => {
                data.linked = linked;
                (attributes, Some(data))
            }
            _ => (Vec::new(), None),
        };
        if unchanged {
            found.entry.attributes = attributes;
        }
        if size < SMALL {
            if self.bundle.ends_before(&found.entry.path, size) {
                self.close_bundle().await?;
            }
            if self.bundle.members.is_empty() {
                self.bundle_unit = self.unit();
            }
            self.rows.push_back(Row::Of(self.bundle_unit));
            self.bundle.push(Member { found, before, unchanged });
            return Ok(());
        }
        self.large(found, before, unchanged).await?;
        self.pass().await
    }

    /// Whether this is the first name of its file; others wait for what that one stores.
    fn first_name(&mut self, found: &mut Found) -> bool {
        let key = (found.device, found.entry.inode);
        if let Some(names) = self.names.get_mut(&key) {
            let number = names.number;
            names.left -= 1;
            if names.left == 0 {
                self.names.remove(&key);
            }
            let path = std::mem::take(&mut found.entry.path);
            let entry = Entry { path, ..found.entry.clone() };
            let found = Found { entry, ..*found };
            self.rows.push_back(Row::Linked(number, found));
            return false;
        }
        let number = self.next_names;
        self.next_names += 1;
        let left = found.names - 1;
        self.names.insert(key, Names { number, left });
        self.stored.insert(number, Stored { data: None, left });
        if let Kind::File(data) = &mut found.entry.kind {
            data.linked = Some(number);
        }
        true
    }

    /// Counts an entry that passes an open bundle.
    async fn pass(&mut self) -> Result<()> {
        if self.bundle.pass() {
            self.close_bundle().await?;
        }
        Ok(())
    }

    /// Takes an address of the snapshot before; returns whether it was free.
    fn take(&mut self, address: u64) -> bool {
        self.base.as_ref().is_some_and(|base| self.taken.insert(&base.segments, address))
    }

    fn unit(&mut self) -> u64 {
        self.next_unit += 1;
        self.next_unit
    }

    /// Returns an address with room for so many pieces behind it, below all that were given away.
    fn fresh(&mut self, pieces: u64) -> Result<u64> {
        let numbers = (pieces >> ROOM) + 1;
        self.number = self.number.checked_sub(numbers).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "place file").because("there are no addresses left")
        })?;
        Ok(self.number << ROOM)
    }

    async fn close_bundle(&mut self) -> Result<()> {
        if self.bundle.members.is_empty() {
            return Ok(());
        }
        let bundle = std::mem::take(&mut self.bundle);
        let unit = self.bundle_unit;
        let former = bundle.former().filter(|at| self.take(*at));
        if let Some((address, length)) = bundle.unchanged()
            && (length == 0 || former == Some(address))
            && self.keep_bundle(address, length).await?
        {
            self.shared.observer.on_event(&Event::Progress { bytes: length });
            let kept = bundle.members.into_iter().map(|member| {
                let mut entry = member.found.entry;
                entry.kind = Kind::File(member.before.unwrap_or_default());
                Outcome::Read(entry)
            });
            self.outcomes.insert(unit, kept.collect());
            return Ok(());
        }
        let address = match former {
            Some(address) => address,
            None => self.fresh(0)?,
        };
        let known = self.recall(&bundle).await;
        let shared = Arc::clone(&self.shared);
        let unread = |member: &&Member| known.is_none() || !member.unchanged;
        self.copied.read_files += bundle.members.iter().filter(unread).count() as u64;
        self.copied.read_bytes +=
            bundle.members.iter().filter(unread).map(Member::size).sum::<u64>();
        self.start(read_bundle(shared, unit, bundle.members, known, address).boxed()).await
    }

    async fn keep_bundle(&mut self, address: u64, length: u64) -> Result<bool> {
        if length == 0 {
            return Ok(true);
        }
        let base = self.base.as_ref();
        let whole = base.and_then(|base| base.segments.find(address)).map(|(_, bytes)| bytes);
        if whole != Some(length) {
            return Ok(false);
        }
        self.shared.sink.keep_all(&self.shared.data, &[address]).await
    }

    /// Reads the segment that most files of a bundle are in unchanged, where that is less work than
    /// reading those: it is the base of the new one anyway.
    async fn recall(&mut self, bundle: &Bundle) -> Option<Bytes> {
        let unchanged = bundle.members.iter().filter(|member| member.unchanged).count();
        if unchanged * 2 < bundle.members.len() || !self.shared.sink.wants_base() {
            return None;
        }
        self.base.as_ref()?.read(bundle.former()?).await
    }

    async fn large(
        &mut self,
        found: Found,
        before: Option<FileData>,
        unchanged: bool,
    ) -> Result<()> {
        let former = match before.as_ref().map(|data| data.place) {
            Some(Place::Pieces { address }) => Some(address),
            _ => None,
        };
        let former = former.filter(|at| self.take(*at));
        if let Some((data, address)) = before.filter(|_| unchanged).zip(former) {
            let wanted: Vec<u64> = data.pieces().map(|piece| address + piece).collect();
            if self.shared.sink.keep_all(&self.shared.data, &wanted).await? {
                self.shared.observer.on_event(&Event::Progress { bytes: data.size });
                let mut entry = found.entry;
                entry.kind = Kind::File(data);
                self.rows.push_back(Row::Ready(entry));
                return Ok(());
            }
        }
        let size = found.entry.file().map_or(0, |data| data.size);
        let pieces = size.div_ceil(PIECE);
        let address = match former {
            // As long as it fits into what was given to it.
            Some(address) if pieces >> ROOM == 0 => address,
            _ => self.fresh(pieces)?,
        };
        let again = self.fresh(pieces)?;
        let unit = self.unit();
        self.rows.push_back(Row::Of(unit));
        self.copied.read_files += 1;
        self.copied.read_bytes += size;
        let linked = found.entry.file().and_then(|data| data.linked);
        let shared = Arc::clone(&self.shared);
        let path = found.entry.path;
        self.start(read_large(shared, unit, path, linked, [address, again]).boxed()).await
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
            if let Row::Of(unit) = row
                && !self.outcomes.contains_key(unit)
            {
                return Ok(());
            }
            match self.rows.pop_front() {
                Some(Row::Ready(entry)) => self.write(entry).await?,
                Some(Row::Of(unit)) => {
                    let outcome = self.outcomes.get_mut(&unit).and_then(VecDeque::pop_front);
                    if self.outcomes.get(&unit).is_none_or(VecDeque::is_empty) {
                        self.outcomes.remove(&unit);
                    }
                    let outcome = outcome.ok_or_else(|| {
                        Error::new(ErrorKind::Failed, "write list of files")
                            .because("a file was not read")
                    })?;
                    self.outcome(outcome).await?;
                }
                Some(Row::Linked(number, found)) => self.linked(number, found).await?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn outcome(&mut self, outcome: Outcome) -> Result<()> {
        let outcome = match outcome {
            Outcome::Grown(path, linked) => self.read_now(path, linked, 1).await?,
            outcome => outcome,
        };
        match outcome {
            Outcome::Read(entry) => self.write(entry).await?,
            Outcome::Vanished(path) => self.copied.findings.vanished(&path),
            Outcome::Unreadable(path, error) => self.copied.findings.unreadable(&path, &error),
            Outcome::Grown(path, _) => {
                let error = std::io::Error::other("it grew while it was read");
                self.copied.findings.unreadable(&path, &error);
            }
        }
        Ok(())
    }

    /// Reads a file in pieces while everything else waits; there is room for as many as a file may
    /// have, even when it grows.
    async fn read_now(
        &mut self,
        path: Vec<u8>,
        linked: Option<u64>,
        pieces: u64,
    ) -> Result<Outcome> {
        let addresses = [self.fresh(pieces)?, self.fresh(pieces)?];
        let shared = Arc::clone(&self.shared);
        let unit = self.unit();
        let gone = Outcome::Vanished(path.clone());
        let (_, mut outcomes) = read_large(shared, unit, path, linked, addresses).boxed().await?;
        Ok(outcomes.pop().unwrap_or(gone))
    }

    /// Writes another name of a file. Where the first could not be read, this one may be.
    async fn linked(&mut self, number: u64, found: Found) -> Result<()> {
        let stored = self.stored.get_mut(&number);
        let known = stored.and_then(|stored| {
            stored.left = stored.left.saturating_sub(1);
            stored.data.clone()
        });
        match known {
            Some((data, first)) => {
                let kind = Kind::File(data);
                self.write(Entry { path: found.entry.path, kind, ..first }).await?;
            }
            None => {
                let size = found.entry.file().map_or(0, |data| data.size);
                let pieces = size.div_ceil(PIECE);
                let outcome = self.read_now(found.entry.path, Some(number), pieces).await?;
                self.outcome(outcome).await?;
            }
        }
        if self.stored.get(&number).is_some_and(|stored| stored.left == 0) {
            self.stored.remove(&number);
        }
        Ok(())
    }

    async fn write(&mut self, entry: Entry) -> Result<()> {
        let tree = &mut self.copied.tree;
        match &entry.kind {
            Kind::Directory => tree.directories += 1,
            Kind::Link(_) => tree.links += 1,
            Kind::File(data) => {
                tree.files += 1;
                tree.bytes += data.size;
                if data.torn {
                    self.copied.findings.torn(&entry.path);
                }
            }
            _ => tree.others += 1,
        }
        tree.fingerprint += entry.fingerprint();
        self.owners.see(entry.owner, entry.group);
        let base = self.base.as_mut().map(|base| &mut base.list);
        self.list.push(&entry, base).await?;
        if let Some(number) = entry.file().and_then(|data| data.linked)
            && let Some(stored) = self.stored.get_mut(&number)
            && stored.data.is_none()
            && let Kind::File(data) = &entry.kind
        {
            let data = data.clone();
            stored.data = Some((data, Entry { path: Vec::new(), ..entry }));
        }
        Ok(())
    }
}

/// Whether a file is as the list before says, and that can be relied on.
fn is_same(before: &Entry, now: &Entry) -> bool {
    let (Kind::File(old), Kind::File(new)) = (&before.kind, &now.kind) else { return false };
    old.size == new.size
        && !old.torn
        && !before.unsettled
        && (before.inode, before.modified, before.changed) == (now.inode, now.modified, now.changed)
}

async fn read_bundle(
    shared: Arc<Shared<'_>>,
    unit: u64,
    members: Vec<Member>,
    former: Option<Bytes>,
    address: u64,
) -> Result<(u64, Vec<Outcome>)> {
    let root = Arc::clone(&shared.root);
    let linked: Vec<Option<u64>> = members
        .iter()
        .map(|member| member.found.entry.file().and_then(|data| data.linked))
        .collect();
    let settled = shared.settled;
    let work = move || read::bundle(&root, members, former.as_ref(), address, settled);
    let (bytes, mut outcomes) = blocking(work).await?;
    for (outcome, linked) in outcomes.iter_mut().zip(linked) {
        number(outcome, linked);
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

fn number(outcome: &mut Outcome, linked: Option<u64>) {
    if let Outcome::Read(Entry { kind: Kind::File(data), .. }) = outcome {
        data.linked = linked;
    }
}

/// Reads a large file; once more, to another address, when it changed meanwhile.
async fn read_large(
    shared: Arc<Shared<'_>>,
    unit: u64,
    path: Vec<u8>,
    linked: Option<u64>,
    addresses: [u64; 2],
) -> Result<(u64, Vec<Outcome>)> {
    let mut outcome = Outcome::Vanished(path.clone());
    for address in addresses {
        outcome = once(&shared, path.clone(), address).await?;
        let torn = matches!(&outcome, Outcome::Read(entry) if entry.file().is_some_and(|d| d.torn));
        if !torn {
            break;
        }
        if let Outcome::Read(entry) = &outcome
            && entry.file().is_some_and(|data| data.size > READ_AGAIN)
        {
            break;
        }
    }
    number(&mut outcome, linked);
    Ok((unit, vec![outcome]))
}

async fn once(shared: &Shared<'_>, path: Vec<u8>, address: u64) -> Result<Outcome> {
    let (root, settled) = (Arc::clone(&shared.root), shared.settled);
    let mut large = match blocking(move || Large::open(&root, path, settled)).await? {
        Ok(large) => large,
        Err(outcome) => return Ok(*outcome),
    };
    let mut done = 0;
    for piece in large.pieces() {
        let (read, bytes, result) = blocking(move || {
            let mut bytes = Vec::new();
            let result = large.read(piece, &mut bytes);
            (large, bytes, result)
        })
        .await?;
        large = read;
        if let Err(error) = result {
            return Ok(Outcome::Unreadable(large.path().to_vec(), error));
        }
        let mut segment = shared.sink.segment(&shared.data, address + piece).await?;
        segment.write(&bytes).await?;
        segment.finish().await?;
        let bytes = bytes.len() as u64;
        done += bytes;
        shared.observer.on_event(&Event::Progress { bytes });
        shared.pace.passed(bytes).await;
    }
    // Holes were passed as well.
    let holes = large.size().saturating_sub(done);
    shared.observer.on_event(&Event::Progress { bytes: holes });
    blocking(move || match large.is_stable() {
        Ok(stable) => Outcome::Read(large.finish(address, stable)),
        Err(error) => Outcome::Unreadable(large.path().to_vec(), error),
    })
    .await
}

/// Runs what blocks off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "read files").because(error))
}
