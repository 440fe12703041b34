//! Spending bandwidth on stores that do not pace their own bytes.

use std::ops::Range;

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::pace::Pace;

/// Makes writes and reads wait their turn, a whole object at a time. A network adapter paces
/// single pieces instead and needs no such layer.
#[derive(Debug)]
pub(crate) struct Throttled<S> {
    inner: S,
    upload: Pace,
    download: Pace,
}

impl<S: Store> Throttled<S> {
    pub(crate) fn new(inner: S, upload: Pace, download: Pace) -> Self {
        Self { inner, upload, download }
    }
}

#[async_trait]
impl<S: Store> Store for Throttled<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        self.upload.take(body.len() as u64).await;
        self.inner.create(name, body).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        let body = self.inner.get(name).await?;
        // The size is known only now; the next reader waits for it.
        self.download.take(body.len() as u64).await;
        Ok(body)
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        self.download.take(range.end.saturating_sub(range.start)).await;
        self.inner.get_range(name, range).await
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        self.inner.stat(name).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name).await
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }
}
