//! A number of requests at a time.

use std::ops::Range;

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets at most a number of requests run; the others wait in order. A listing holds no place
/// while its reader works on what was listed.
#[derive(Debug)]
pub(crate) struct Bounded<S> {
    inner: S,
    places: Semaphore,
}

impl<S: Store> Bounded<S> {
    pub(crate) fn new(inner: S, places: usize) -> Self {
        Self { inner, places: Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.places.acquire().await.map_err(|error| {
            Error::new(ErrorKind::StoreUnavailable, "wait for the store").because(error)
        })
    }
}

#[async_trait]
impl<S: Store> Store for Bounded<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let _place = self.place().await?;
        self.inner.create(name, body).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        let _place = self.place().await?;
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        let _place = self.place().await?;
        self.inner.get_range(name, range).await
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        let _place = self.place().await?;
        self.inner.stat(name).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        let _place = self.place().await?;
        self.inner.list(prefix).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let _place = self.place().await?;
        self.inner.delete(name).await
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use backup_testkit::{Fault, FaultStore, MemoryStore};
    use futures::future::join_all;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lets_no_more_run_than_it_has_places() {
        let second = Duration::from_secs(1);
        let slow = FaultStore::new(MemoryStore::new()).with(Fault::slow(second));
        let store = Arc::new(Bounded::new(slow, 3));
        let started = Instant::now();
        let names = (0..10).map(|number| format!("a/{number}").parse().unwrap());
        let names: Vec<ObjectName> = names.collect();
        for written in join_all(names.iter().map(|name| store.create(name, "x".into()))).await {
            written.unwrap();
        }
        assert_eq!(started.elapsed(), 4 * second);
    }
}
