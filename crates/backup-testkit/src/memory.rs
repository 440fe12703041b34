//! A store in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{Clock, Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;

use crate::sync::lock;

/// An honest store in memory. Clones share their objects.
///
/// Tests may reach behind the port: [`MemoryStore::plant`], [`MemoryStore::corrupt`] and
/// [`MemoryStore::remove`] do what a failing disk or a stranger with access would do.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Option<Arc<dyn Clock>>,
    overwrites: bool,
    near: bool,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, (Bytes, Timestamp)>,
    requests: RequestCounts,
}

impl MemoryStore {
    /// Creates an empty store on the real time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes modification times from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Becomes a store that ignores conditions: creating an existing object overwrites it.
    #[must_use]
    pub fn without_create_if_absent(mut self) -> Self {
        self.overwrites = true;
        self
    }

    /// Declares itself near.
    #[must_use]
    pub fn near(mut self) -> Self {
        self.near = true;
        self
    }

    /// Returns the names under `prefix`, in order.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<ObjectName> {
        let state = lock(&self.state);
        let matching = state.objects.keys().filter(|name| name.starts_with(prefix));
        matching.filter_map(|name| name.parse().ok()).collect()
    }

    /// Returns the bytes of all objects together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        lock(&self.state).objects.values().map(|(body, _)| body.len() as u64).sum()
    }

    /// Returns an object's bytes without counting a request.
    #[must_use]
    pub fn peek(&self, name: &ObjectName) -> Option<Bytes> {
        lock(&self.state).objects.get(name.as_str()).map(|(body, _)| body.clone())
    }

    /// Puts an object there, over whatever was there.
    pub fn plant(&self, name: &ObjectName, body: impl Into<Bytes>) {
        let entry = (body.into(), self.now());
        lock(&self.state).objects.insert(name.as_str().to_owned(), entry);
    }

    /// Flips the bits of `mask` in the byte at `offset`; returns false where there is no such
    /// byte.
    pub fn corrupt(&self, name: &ObjectName, offset: usize, mask: u8) -> bool {
        let mut state = lock(&self.state);
        let Some((body, _)) = state.objects.get_mut(name.as_str()) else { return false };
        let mut copy = body.to_vec();
        let Some(byte) = copy.get_mut(offset) else { return false };
        *byte ^= mask;
        *body = copy.into();
        true
    }

    /// Cuts an object to its first `len` bytes; returns false where it is absent or shorter.
    pub fn truncate(&self, name: &ObjectName, len: usize) -> bool {
        let mut state = lock(&self.state);
        let Some((body, _)) = state.objects.get_mut(name.as_str()) else { return false };
        let fits = len <= body.len();
        body.truncate(len);
        fits
    }

    /// Takes an object away; returns whether it was there.
    pub fn remove(&self, name: &ObjectName) -> bool {
        lock(&self.state).objects.remove(name.as_str()).is_some()
    }

    /// Returns a copy that shares nothing with this store: a state to come back to.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let objects = lock(&self.state).objects.clone();
        let state = Arc::new(Mutex::new(State { objects, requests: RequestCounts::default() }));
        Self { state, ..self.clone() }
    }

    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(Timestamp::now, |clock| clock.now())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory:".to_owned()
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { create_if_absent: !self.overwrites, near: self.near }
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let now = self.now();
        let mut state = lock(&self.state);
        state.requests.creates += 1;
        if !self.overwrites && state.objects.contains_key(name.as_str()) {
            return Err(Error::new(ErrorKind::Conflict, "create object").with("object", name));
        }
        state.requests.bytes_written += body.len() as u64;
        state.objects.insert(name.as_str().to_owned(), (body, now));
        Ok(())
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        let mut state = lock(&self.state);
        state.requests.gets += 1;
        let body = state.objects.get(name.as_str()).map(|(body, _)| body.clone());
        let body = body.ok_or_else(|| absent("read object", name))?;
        state.requests.bytes_read += body.len() as u64;
        Ok(body)
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        let mut state = lock(&self.state);
        state.requests.gets += 1;
        let body = state.objects.get(name.as_str()).map(|(body, _)| body.clone());
        let body = body.ok_or_else(|| absent("read part of object", name))?;
        if range.start > range.end || range.end > body.len() as u64 {
            return Err(Error::new(ErrorKind::Integrity, "read part of object")
                .with("object", name)
                .with("range", format!("{}..{}", range.start, range.end))
                .with("size", body.len()));
        }
        state.requests.bytes_read += range.end - range.start;
        // Both ends are within a body that is in memory.
        Ok(body.slice(range.start as usize..range.end as usize))
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        let mut state = lock(&self.state);
        state.requests.stats += 1;
        let (body, modified) =
            state.objects.get(name.as_str()).ok_or_else(|| absent("stat object", name))?;
        Ok(Object { name: name.clone(), size: body.len() as u64, modified: *modified })
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        let mut state = lock(&self.state);
        state.requests.lists += 1;
        let matching = state.objects.iter().filter(|(name, _)| name.starts_with(prefix));
        let found: Vec<_> = matching
            .map(|(name, (body, modified))| {
                let name = name.parse()?;
                Ok(Object { name, size: body.len() as u64, modified: *modified })
            })
            .collect();
        Ok(stream::iter(found).boxed())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let mut state = lock(&self.state);
        state.requests.deletes += 1;
        state.objects.remove(name.as_str());
        Ok(())
    }

    fn requests(&self) -> RequestCounts {
        lock(&self.state).requests
    }
}

fn absent(operation: &'static str, name: &ObjectName) -> Error {
    Error::new(ErrorKind::NotFound, operation).with("object", name)
}
