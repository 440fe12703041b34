//! Parts in memory: for providers, which see no repository.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what breaks the contract of the sink fails the test that does it"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{BaseSnapshot, PartSink, PartSource, SegmentInfo, SegmentSink};
use backup_core::{Error, ErrorKind, Layout, Part, PartName, Result, Snapshot};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// Parts of one snapshot, in memory. Holds writers to the sink's contract: panics where a part is
/// begun twice, or written to before it is begun or after it is finished.
#[derive(Default)]
pub struct MemoryParts {
    state: Arc<Mutex<BTreeMap<PartName, Stored>>>,
    previous: Vec<Part>,
    list: Vec<Part>,
    base: Option<(Snapshot, Arc<MemoryParts>)>,
}

#[derive(Default)]
struct Stored {
    layout: Option<Layout>,
    segments: BTreeMap<u64, Option<Vec<u8>>>,
    attributes: Option<BTreeMap<String, String>>,
}

impl MemoryParts {
    /// Parts of a snapshot after that one.
    #[must_use]
    pub fn after(previous: &Snapshot) -> Self {
        Self { previous: previous.parts.clone(), ..Self::default() }
    }

    /// Parts that may take over what a snapshot has.
    #[must_use]
    pub fn on(snapshot: &Snapshot, parts: &Arc<Self>) -> Self {
        Self { base: Some((snapshot.clone(), Arc::clone(parts))), ..Self::after(snapshot) }
    }

    /// Commits: every part must have been finished.
    pub fn commit(mut self) -> Result<Self> {
        let mut list = Vec::new();
        for (name, stored) in self.state.lock().unwrap().iter() {
            let attributes = stored.attributes.clone().ok_or_else(|| unfinished(name))?;
            let lengths = stored.segments.values().map(|bytes| bytes.as_ref().map(Vec::len));
            let bytes: Option<usize> = lengths.sum();
            list.push(Part {
                name: name.clone(),
                layout: stored.layout.unwrap(),
                bytes: bytes.ok_or_else(|| unfinished(name))? as u64,
                segments: stored.segments.len() as u64,
                map: Vec::new(),
                attributes,
            });
        }
        self.list = list;
        Ok(self)
    }

    /// Returns the parts that were committed.
    #[must_use]
    pub fn list(&self) -> &[Part] {
        &self.list
    }

    /// Falsifies what a part says of itself.
    pub fn change_attribute(&mut self, part: &str, name: &str, value: &str) {
        let part = self.list.iter_mut().find(|one| one.name.as_str() == part).unwrap();
        part.attributes.insert(name.to_owned(), value.to_owned());
    }

    /// Returns a part's segments by address.
    #[must_use]
    pub fn addressed(&self, part: &str) -> BTreeMap<u64, Vec<u8>> {
        let state = self.state.lock().unwrap();
        let stored = &state[&PartName::new(part)];
        stored.segments.iter().map(|(at, bytes)| (*at, bytes.clone().unwrap())).collect()
    }

    /// Returns what a part holds.
    #[must_use]
    pub fn bytes(&self, part: &str) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let stored = state.get(&PartName::new(part)).unwrap_or_else(|| panic!("no part {part}"));
        stored.segments.values().flat_map(|bytes| bytes.clone().unwrap()).collect()
    }
}

fn unfinished(name: &PartName) -> Error {
    Error::new(ErrorKind::Failed, "commit").with("unfinished part", name)
}

#[async_trait]
impl PartSink for MemoryParts {
    fn previous(&self, name: &PartName) -> Option<Part> {
        self.previous.iter().find(|part| part.name == *name).cloned()
    }

    async fn base(&self) -> Result<Option<BaseSnapshot>> {
        Ok(self.base.as_ref().map(|(snapshot, parts)| BaseSnapshot {
            snapshot: snapshot.clone(),
            parts: parts.clone(),
        }))
    }

    fn wants_base(&self) -> bool {
        true
    }

    async fn keep(&self, part: &PartName, address: u64) -> Result<bool> {
        let Some((_, base)) = &self.base else { return Ok(false) };
        let base = base.state.lock().unwrap();
        let Some(Some(bytes)) = base.get(part).and_then(|stored| stored.segments.get(&address))
        else {
            return Ok(false);
        };
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(part).unwrap_or_else(|| panic!("{part} was not begun"));
        let before = stored.segments.insert(address, Some(bytes.clone()));
        assert!(before.is_none(), "{part} has {address} twice");
        Ok(true)
    }

    async fn keep_all(&self, part: &PartName, addresses: &[u64]) -> Result<bool> {
        let Some((_, base)) = &self.base else { return Ok(false) };
        let there = {
            let base = base.state.lock().unwrap();
            let there = base.get(part).map(|stored| &stored.segments);
            addresses.iter().all(|address| there.is_some_and(|all| all.contains_key(address)))
        };
        for address in addresses.iter().filter(|_| there) {
            assert!(self.keep(part, *address).await?, "{part} lost {address}");
        }
        Ok(there)
    }

    async fn begin_part(&self, name: &PartName, layout: Layout) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let stored = Stored { layout: Some(layout), ..Stored::default() };
        assert!(state.insert(name.clone(), stored).is_none(), "{name} begun twice");
        Ok(())
    }

    async fn segment(&self, part: &PartName, address: u64) -> Result<Box<dyn SegmentSink>> {
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(part).unwrap_or_else(|| panic!("{part} was not begun"));
        assert!(stored.attributes.is_none(), "{part} is finished");
        assert!(stored.segments.insert(address, None).is_none(), "{part} has {address} twice");
        let state = Arc::clone(&self.state);
        Ok(Box::new(MemorySegment { state, part: part.clone(), address, bytes: Vec::new() }))
    }

    async fn finish_part(
        &self,
        name: &PartName,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(name).unwrap();
        if stored.segments.values().any(Option::is_none) {
            return Err(unfinished(name));
        }
        stored.attributes = Some(attributes);
        Ok(())
    }

    async fn start_over(&self) -> Result<()> {
        self.state.lock().unwrap().clear();
        Ok(())
    }
}

struct MemorySegment {
    state: Arc<Mutex<BTreeMap<PartName, Stored>>>,
    part: PartName,
    address: u64,
    bytes: Vec<u8>,
}

#[async_trait]
impl SegmentSink for MemorySegment {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(&self.part).unwrap();
        stored.segments.insert(self.address, Some(self.bytes));
        Ok(())
    }
}

#[async_trait]
impl PartSource for MemoryParts {
    fn parts(&self) -> &[Part] {
        &self.list
    }

    async fn segments(&self, part: &PartName) -> Result<Vec<SegmentInfo>> {
        let state = self.state.lock().unwrap();
        let stored = state.get(part).ok_or_else(|| unfinished(part))?;
        let segments = stored.segments.iter().map(|(address, bytes)| SegmentInfo {
            address: *address,
            bytes: bytes.as_ref().unwrap().len() as u64,
        });
        Ok(segments.collect())
    }

    async fn read(
        &self,
        part: &PartName,
        position: usize,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let state = self.state.lock().unwrap();
        let bytes = state[part].segments.values().nth(position).unwrap().clone().unwrap();
        // Odd pieces, so that nothing relies on their borders.
        let pieces: Vec<_> = bytes.chunks(70_001).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
        Ok(futures::stream::iter(pieces).boxed())
    }
}
