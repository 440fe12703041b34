//! A store in a directory.
//!
//! ```text
//! <root>/packs/ab/abcdef…   an object, named by its path
//! <root>/TMP/0123456789…    an object being written; an object's name has no capital letters
//! ```

mod error;
mod list;
mod read;
mod write;

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;

/// Objects as files below a root directory, which the first `create` makes.
///
/// A file appears by `link` after its bytes are durable, and `create` returns after the
/// directory entry is durable too.
#[derive(Clone, Debug)]
pub(crate) struct DiskStore {
    disk: Arc<Disk>,
}

/// What the blocking parts work on.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    /// Device and inode of the root, once it was there.
    seen: OnceLock<(u64, u64)>,
    /// Directories whose own entries this process has made durable.
    settled: Mutex<HashSet<PathBuf>>,
    /// Cleared once the filesystem was seen to have no hard links.
    links: AtomicBool,
    /// Set once old temporary files were looked for.
    swept: AtomicBool,
}

impl DiskStore {
    pub(crate) fn new(root: PathBuf) -> Self {
        let (settled, links, swept) =
            (Mutex::default(), AtomicBool::new(true), AtomicBool::new(false));
        let disk = Disk { root, seen: OnceLock::new(), settled, links, swept };
        disk.look();
        Self { disk: Arc::new(disk) }
    }

    /// Runs `work` where blocking is allowed.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = Arc::clone(&self.disk);
        tokio::task::spawn_blocking(move || work(&disk)).await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Failed, "run disk operation").because(error))
        })
    }
}

impl Disk {
    fn path(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.as_str())
    }
}

#[async_trait]
impl Store for DiskStore {
    fn location(&self) -> String {
        format!("file://{}", self.disk.root.display())
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { create_if_absent: self.disk.links.load(Relaxed), near: true }
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let name = name.clone();
        self.run(move |disk| disk.create(&name, &body)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        let name = name.clone();
        self.run(move |disk| disk.get(&name)).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        let name = name.clone();
        self.run(move |disk| disk.get_range(&name, range)).await
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        let name = name.clone();
        self.run(move |disk| disk.stat(name)).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        Ok(list::walk(self.disk.root.clone(), prefix))
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let name = name.clone();
        self.run(move |disk| disk.delete(&name)).await
    }

    fn requests(&self) -> RequestCounts {
        RequestCounts::default()
    }
}
