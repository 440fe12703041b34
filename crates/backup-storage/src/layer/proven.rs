//! What was found out about a store.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;

/// Declares create-if-absent only where it was proven, and nearness as the caller says.
#[derive(Debug)]
pub(crate) struct Proven {
    inner: Arc<dyn Store>,
    create_if_absent: bool,
    near: Option<bool>,
}

impl Proven {
    pub(crate) fn new(inner: Arc<dyn Store>, create_if_absent: bool, near: Option<bool>) -> Self {
        Self { inner, create_if_absent, near }
    }
}

#[async_trait]
impl Store for Proven {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> StoreCapabilities {
        let found = self.inner.capabilities();
        StoreCapabilities {
            create_if_absent: found.create_if_absent && self.create_if_absent,
            near: self.near.unwrap_or(found.near),
        }
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        self.inner.create(name, body).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
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
