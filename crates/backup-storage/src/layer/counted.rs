//! Counting requests and bytes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{ObjectName, Result};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// Counts every attempt, failed ones included, and the bytes of those that succeeded.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    counts: Arc<Counts>,
    page: u64,
}

#[derive(Debug, Default)]
struct Counts {
    creates: AtomicU64,
    gets: AtomicU64,
    stats: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    bytes_written: AtomicU64,
    bytes_read: AtomicU64,
}

impl<S: Store> Counted<S> {
    /// Counts one listing per `page` objects listed.
    pub(crate) fn new(inner: S, page: u64) -> Self {
        Self { inner, counts: Arc::default(), page: page.max(1) }
    }
}

#[async_trait]
impl<S: Store> Store for Counted<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        self.counts.creates.fetch_add(1, Relaxed);
        let bytes = body.len() as u64;
        self.inner.create(name, body).await?;
        self.counts.bytes_written.fetch_add(bytes, Relaxed);
        Ok(())
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        self.counts.gets.fetch_add(1, Relaxed);
        let body = self.inner.get(name).await?;
        self.counts.bytes_read.fetch_add(body.len() as u64, Relaxed);
        Ok(body)
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        self.counts.gets.fetch_add(1, Relaxed);
        let body = self.inner.get_range(name, range).await?;
        self.counts.bytes_read.fetch_add(body.len() as u64, Relaxed);
        Ok(body)
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        self.counts.stats.fetch_add(1, Relaxed);
        self.inner.stat(name).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        self.counts.lists.fetch_add(1, Relaxed);
        let objects = self.inner.list(prefix).await?;
        let (counts, page, mut seen) = (Arc::clone(&self.counts), self.page, 0_u64);
        let counted = objects.inspect(move |_| {
            // The first page was counted when the listing began.
            if seen > 0 && seen.is_multiple_of(page) {
                counts.lists.fetch_add(1, Relaxed);
            }
            seen += 1;
        });
        Ok(counted.boxed())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.counts.deletes.fetch_add(1, Relaxed);
        self.inner.delete(name).await
    }

    fn requests(&self) -> RequestCounts {
        RequestCounts {
            creates: self.counts.creates.load(Relaxed),
            gets: self.counts.gets.load(Relaxed),
            stats: self.counts.stats.load(Relaxed),
            lists: self.counts.lists.load(Relaxed),
            deletes: self.counts.deletes.load(Relaxed),
            bytes_written: self.counts.bytes_written.load(Relaxed),
            bytes_read: self.counts.bytes_read.load(Relaxed),
        }
    }
}
