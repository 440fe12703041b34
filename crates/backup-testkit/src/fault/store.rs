//! The wrapper.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{Error, ErrorStatus, ObjectName, Result};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::rule::{Fault, Operation, Verdict};
use crate::sync::lock;

/// Wraps a store and breaks it as its [`Fault`]s say; without any, it only counts. Clones
/// share faults and counts.
///
/// To break a run at every possible point: run it once, read [`FaultStore::calls`], then run
/// it again for every number below with [`Fault::crash_after`].
#[derive(Clone, Debug)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    log: Vec<Call>,
    listings: u64,
    /// How many listings had been made when an object was created.
    created: HashMap<String, u64>,
}

/// One call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub operation: Operation,
    /// The object's name, or a listing's prefix.
    pub name: String,
}

impl FaultStore {
    /// Wraps `inner` without faults.
    #[must_use]
    pub fn new(inner: impl Store + 'static) -> Self {
        Self::around(Arc::new(inner))
    }

    /// Wraps a shared store without faults.
    #[must_use]
    pub fn around(inner: Arc<dyn Store>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Adds a fault; where several strike one call, their effects add up.
    pub fn add(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }

    /// Adds a fault, for chaining.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        self.add(fault);
        self
    }

    /// Heals: forgets all faults, keeps the counts.
    pub fn heal(&self) {
        lock(&self.state).faults.clear();
    }

    /// Returns the number of calls made so far, broken ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.state).log.len() as u64
    }

    /// Returns every call made so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        lock(&self.state).log.clone()
    }

    /// Counts a call, waits if it is slow, fails if it fails; returns what else is to break.
    async fn enter(&self, operation: Operation, name: &str, bytes: u64) -> Result<Verdict> {
        let verdict = {
            let mut state = lock(&self.state);
            state.log.push(Call { operation, name: name.to_owned() });
            let mut verdict = Verdict::default();
            for fault in &mut state.faults {
                if fault.strikes(operation, name) {
                    verdict.add(fault, bytes);
                }
            }
            verdict
        };
        if verdict.hang {
            std::future::pending::<()>().await;
        }
        if !verdict.delay.is_zero() {
            tokio::time::sleep(verdict.delay).await;
        }
        if let Some((kind, status, cause)) = verdict.fail {
            let error = Error::new(kind, operation.describe()).with("object", name).because(cause);
            return Err(match status {
                ErrorStatus::Permanent => error,
                ErrorStatus::Temporary => error.temporary(),
                ErrorStatus::Persistent => error.temporary().persistent(),
            });
        }
        Ok(verdict)
    }

    fn leave<T>(verdict: &Verdict, operation: Operation, name: &str, result: T) -> Result<T> {
        if !verdict.lose_reply {
            return Ok(result);
        }
        Err(Error::new(backup_core::ErrorKind::StoreUnavailable, operation.describe())
            .with("object", name)
            .because("injected fault: the reply was lost")
            .temporary())
    }
}

#[async_trait]
impl Store for FaultStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let operation = Operation::Create;
        let verdict = self.enter(operation, name.as_str(), body.len() as u64).await?;
        if !verdict.lie {
            let keep = verdict.tear.map_or(body.len(), |keep| keep.min(body.len()));
            self.inner.create(name, body.slice(..keep)).await?;
            let mut state = lock(&self.state);
            let listings = state.listings;
            state.created.insert(name.as_str().to_owned(), listings);
        }
        Self::leave(&verdict, operation, name.as_str(), ())
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        let operation = Operation::Get;
        let verdict = self.enter(operation, name.as_str(), 0).await?;
        let body = damage(&verdict, self.inner.get(name).await?);
        Self::leave(&verdict, operation, name.as_str(), body)
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        let operation = Operation::GetRange;
        let verdict = self.enter(operation, name.as_str(), 0).await?;
        let body = damage(&verdict, self.inner.get_range(name, range).await?);
        Self::leave(&verdict, operation, name.as_str(), body)
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        let operation = Operation::Stat;
        let verdict = self.enter(operation, name.as_str(), 0).await?;
        let object = self.inner.stat(name).await?;
        Self::leave(&verdict, operation, name.as_str(), object)
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        let operation = Operation::List;
        let verdict = self.enter(operation, prefix, 0).await?;
        let hidden = {
            let mut state = lock(&self.state);
            let listings = state.listings;
            state.listings += 1;
            let mut hidden = state.created.clone();
            hidden.retain(|_, created| listings - *created < verdict.hide);
            hidden
        };
        let objects = self.inner.list(prefix).await?;
        let shown = objects.filter(move |object| {
            let hide = object.as_ref().is_ok_and(|o| hidden.contains_key(o.name.as_str()));
            std::future::ready(!hide)
        });
        Self::leave(&verdict, operation, prefix, shown.boxed())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let operation = Operation::Delete;
        let verdict = self.enter(operation, name.as_str(), 0).await?;
        if !verdict.lie {
            self.inner.delete(name).await?;
        }
        Self::leave(&verdict, operation, name.as_str(), ())
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }
}

fn damage(verdict: &Verdict, mut body: Bytes) -> Bytes {
    if let Some(offset) = verdict.corrupt
        && !body.is_empty()
    {
        let mut copy = body.to_vec();
        let position = offset % copy.len();
        if let Some(byte) = copy.get_mut(position) {
            *byte ^= 0x01;
        }
        body = copy.into();
    }
    if let Some(missing) = verdict.short {
        body.truncate(body.len().saturating_sub(missing));
    }
    body
}
