//! A store on a server that speaks SFTP, reached through the system's `ssh`.
//!
//! Objects are files below one directory, laid out as on a local disk, and appear the same way:
//! written under `TMP/`, made durable (`fsync@openssh.com`), then linked to their name
//! (`hardlink@openssh.com`), which fails where the name is taken. Both extensions are OpenSSH's;
//! `docs/storage.md` says what is missing on servers without them.

mod error;
mod list;
mod read;
mod session;
mod write;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use backup_core::port::{Object, RequestCounts, Store, StoreCapabilities};
use backup_core::{ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::options::StoreOptions;
use crate::url::{SftpUrl, StoreUrl};
use session::Sessions;

/// Objects as files below a directory on a server.
#[derive(Debug)]
pub(crate) struct SftpStore {
    location: String,
    root: String,
    near: bool,
    sessions: Sessions,
    /// Directories that are known to be there.
    settled: Mutex<HashSet<String>>,
    /// Cleared once the server was seen to have no hard links.
    links: AtomicBool,
    /// Set once old temporary files were looked for.
    swept: AtomicBool,
}

impl SftpStore {
    /// Describes the store; connects when something is first asked of it.
    pub(crate) fn new(url: &SftpUrl, options: &StoreOptions) -> Self {
        Self {
            location: StoreUrl::Sftp(url.clone()).location(),
            root: url.path.clone(),
            near: matches!(url.host.as_str(), "localhost" | "127.0.0.1" | "[::1]"),
            sessions: Sessions::new(url.clone(), options.timeout),
            settled: Mutex::default(),
            links: AtomicBool::new(true),
            swept: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &ObjectName) -> String {
        format!("{}/{name}", self.root)
    }
}

#[async_trait]
impl Store for SftpStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { create_if_absent: self.links.load(Relaxed), near: self.near }
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        self.write(name, body).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        self.read(name, None).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        self.read(name, Some(range)).await
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        self.look(name).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        self.walk(prefix).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.remove(name).await
    }

    fn requests(&self) -> RequestCounts {
        RequestCounts::default()
    }
}
