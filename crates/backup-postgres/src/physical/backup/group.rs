//! One group of files on its way into its two parts: the bytes, and the list of files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use backup_core::port::PartSink;
use backup_core::{Error, ErrorKind, Event, Layout, PartName, Result};

use super::copied::Copied;
use super::file::FileWriter;
use crate::physical::changes::{Base, BaseFile, BaseGroup};
use crate::physical::files::address::{self, MOST_BUNDLE, PIECE, Place};
use crate::physical::files::name::{Group, Relation};
use crate::physical::files::row::Row;

/// Small files that wait for their bundle take this much memory at most.
const MOST_WAITING: usize = 48 << 20;
/// The list of files is cut into segments of about this size.
const LIST_PIECE: usize = 256 << 10;

/// Writes the files of one group; several may be written at the same time.
pub(crate) struct GroupWriter<'a> {
    pub(super) sink: &'a dyn PartSink,
    pub(super) copied: &'a Copied,
    pub(super) group: Group,
    /// The group in the earlier snapshot, where what did not change is taken over from there.
    pub(super) base: Option<BaseGroup>,
    data: PartName,
    list: PartName,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u64, Bundle>,
    waiting_bytes: usize,
    /// How many pieces of a bundle were written.
    pieces: HashMap<u64, u16>,
    /// Addresses of files of their own that come of a hash.
    taken: HashSet<u64>,
    rows: Vec<u8>,
    next_list: u64,
    files: u64,
}

#[derive(Default)]
struct Bundle {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

impl Bundle {
    /// Puts the files in the order of their paths, in which no race of readers has a say: the same
    /// files make the same chunk.
    fn sorted(mut self) -> Self {
        self.rows.sort_by(|a, b| a.path.cmp(&b.path));
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for row in &mut self.rows {
            let start = usize::try_from(row.offset.unwrap_or_default()).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(row.bytes).unwrap_or(usize::MAX));
            row.offset = Some(bytes.len() as u64);
            bytes.extend_from_slice(self.bytes.get(start..end).unwrap_or_default());
        }
        Self { bytes, rows: self.rows }
    }
}

/// Something to be written once the lock is released.
enum Due {
    Bundle(u64, Bundle),
    List(u64, Vec<u8>),
}

impl<'a> GroupWriter<'a> {
    /// Begins the parts of a group.
    pub(super) async fn begin(
        sink: &'a dyn PartSink,
        copied: &'a Copied,
        group: Group,
        base: Option<&Base>,
    ) -> Result<Self> {
        let data = PartName::new(format!("data/{group}"));
        let list = PartName::new(format!("files/{group}"));
        sink.begin_part(&data, Layout::Segments).await?;
        sink.begin_part(&list, Layout::Segments).await?;
        let expected_bytes = None;
        copied.observer.on_event(&Event::PartStarted { part: data.clone(), expected_bytes });
        let base = match (base, group) {
            (Some(base), Group::Database { .. }) => Some(base.group(group).await?),
            _ => None,
        };
        Ok(Self { sink, copied, group, base, data, list, state: Mutex::default() })
    }

    /// Returns what the earlier snapshot has of a relation's file.
    pub(super) fn before(&self, relation: Option<Relation>) -> Option<(&BaseGroup, &BaseFile)> {
        let base = self.base.as_ref()?;
        Some((base, base.file(relation?)?))
    }

    /// Takes a piece over from the earlier snapshot.
    pub(super) async fn keep(&self, address: u64) -> Result<bool> {
        self.sink.keep(&self.data, address).await
    }

    /// Begins a file of `bytes` bytes, whose pages are checked if it is a relation's.
    pub(super) fn file(
        &self,
        path: String,
        relation: Option<Relation>,
        mode: u32,
        bytes: u64,
    ) -> Result<FileWriter<'_, 'a>> {
        let mut place = address::place(&path, relation, bytes, self.copied.segment_bytes);
        if let (Place::Own(first), None) = (&mut place, relation) {
            let mut state = self.state.lock().map_err(|_| poisoned())?;
            // Two paths with one hash: the second takes the next room.
            while !state.taken.insert(*first) {
                *first = first.wrapping_add(1 << 20) | 1 << 63;
            }
        }
        Ok(FileWriter::new(self, path, relation, mode, place))
    }

    /// Stores a piece of a file of its own.
    pub(super) async fn piece(&self, address: u64, bytes: &[u8]) -> Result<()> {
        let mut segment = self.sink.segment(&self.data, address).await?;
        segment.write(bytes).await?;
        segment.finish().await
    }

    /// Lists a file whose bytes are stored, a directory or a link.
    pub(super) async fn row(&self, row: &Row) -> Result<()> {
        let due = {
            let mut state = self.state.lock().map_err(|_| poisoned())?;
            row.write(&mut state.rows)?;
            state.files += 1;
            state.full_list()
        };
        self.store(due).await
    }

    /// Puts a small file into its bundle; stores the bundles that are full.
    pub(super) async fn bundle(&self, bundle: u64, mut row: Row, bytes: &[u8]) -> Result<()> {
        let mut due = Vec::new();
        {
            let mut state = self.state.lock().map_err(|_| poisoned())?;
            let waiting = state.waiting.get(&bundle).map_or(0, |waiting| waiting.bytes.len());
            if waiting + bytes.len() > MOST_BUNDLE {
                due.extend(state.take(bundle)?);
            }
            let room = state.waiting.entry(bundle).or_default();
            row.offset = Some(room.bytes.len() as u64);
            room.bytes.extend_from_slice(bytes);
            room.rows.push(row);
            state.waiting_bytes += bytes.len();
            while state.waiting_bytes > MOST_WAITING {
                let largest = state.waiting.iter().max_by_key(|(_, bundle)| bundle.bytes.len());
                let Some(largest) = largest.map(|(number, _)| *number) else { break };
                due.extend(state.take(largest)?);
            }
        }
        self.store(due).await
    }

    /// Stores what waits and ends the parts.
    pub(super) async fn finish(self) -> Result<()> {
        loop {
            let due = {
                let mut state = self.state.lock().map_err(|_| poisoned())?;
                match state.waiting.first_key_value().map(|(number, _)| *number) {
                    Some(number) => state.take(number)?,
                    None => break,
                }
            };
            self.store(due).await?;
        }
        let (last, files) = {
            let mut state = self.state.lock().map_err(|_| poisoned())?;
            let rows = std::mem::take(&mut state.rows);
            ((!rows.is_empty()).then_some(Due::List(state.next_list, rows)), state.files)
        };
        self.store(last).await?;
        let attributes = BTreeMap::from([("files".to_owned(), files.to_string())]);
        self.sink.finish_part(&self.data, BTreeMap::new()).await?;
        self.sink.finish_part(&self.list, attributes).await
    }

    async fn store(&self, due: impl IntoIterator<Item = Due>) -> Result<()> {
        for due in due {
            match due {
                Due::Bundle(address, mut bundle) => {
                    self.piece(address, &bundle.bytes).await?;
                    for row in &mut bundle.rows {
                        row.at = Some(address);
                        Box::pin(self.row(row)).await?;
                    }
                }
                Due::List(address, rows) => {
                    let mut segment = self.sink.segment(&self.list, address).await?;
                    segment.write(&rows).await?;
                    segment.finish().await?;
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// Takes a bundle out, with its address.
    fn take(&mut self, number: u64) -> Result<Option<Due>> {
        let Some(bundle) = self.waiting.remove(&number) else { return Ok(None) };
        self.waiting_bytes -= bundle.bytes.len();
        let piece = self.pieces.entry(number).or_default();
        let address = address::piece(number, *piece);
        *piece = piece.checked_add(1).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "bundle small files")
                .because("too many small files have neighbouring numbers")
        })?;
        Ok(Some(Due::Bundle(address, bundle.sorted())))
    }

    fn full_list(&mut self) -> Option<Due> {
        if self.rows.len() < LIST_PIECE {
            return None;
        }
        let address = self.next_list;
        self.next_list += 1;
        Some(Due::List(address, std::mem::take(&mut self.rows)))
    }
}

/// Bytes of a file up to which its pieces are of one MiB.
pub(super) const MOST_PIECE: usize = PIECE;

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "write files after an earlier failure")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physical::files::row::Kind;

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let bundle = |order: [(&str, &str); 3]| {
            let mut bundle = Bundle::default();
            for (path, content) in order {
                let mut row = Row::new(path.to_owned(), Kind::File, 0o600);
                row.bytes = content.len() as u64;
                row.offset = Some(bundle.bytes.len() as u64);
                bundle.rows.push(row);
                bundle.bytes.extend_from_slice(content.as_bytes());
            }
            bundle.sorted()
        };
        let one = bundle([("b", "bb"), ("a", "a"), ("c", "ccc")]);
        let other = bundle([("c", "ccc"), ("b", "bb"), ("a", "a")]);
        assert_eq!((&one.bytes, &one.rows), (&other.bytes, &other.rows));
        assert_eq!(one.bytes, b"abbccc");
        assert_eq!(one.rows[2].offset, Some(3));
    }
}
