//! The port: a directory as a source.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{PartSink, Source, SourceFacts, SourceOptions};
use backup_core::{
    Error, ErrorKind, Event, Evidence, Finding, PartName, Result, SnapshotKind, SourceIdentity,
};
use tokio::sync::mpsc;

use super::copy::{Base, Copy, Manner, blocking};
use super::findings::Tolerance;
use super::walk;
use crate::beneath::open_root;
use crate::crew::with_crew;
use crate::list::LIST;
use crate::select::Selection;

/// Batches of entries that wait to be looked at.
const WAITING: usize = 8;

/// A tree, and how it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeOptions {
    /// Its root.
    pub root: PathBuf,
    /// What names the machine; absent: its host name.
    pub host: Option<String>,
    /// What of it is read.
    pub selection: Selection,
    /// What does not make a snapshot suspect.
    pub tolerance: Tolerance,
    /// Files that changed so shortly before they were looked at are read again the next time; absent:
    /// 60 seconds.
    pub settled: Option<Duration>,
}

impl TreeOptions {
    /// Returns what a tree is called in snapshots.
    fn identity(&self, root: &Path) -> SourceIdentity {
        SourceIdentity {
            engine: "files".to_owned(),
            system: self.host.clone().unwrap_or_else(host_name),
            database: root.display().to_string(),
        }
    }
}

fn host_name() -> String {
    let told = super::read::whole("/proc/sys/kernel/hostname");
    let told = told.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let told = told.trim();
    if told.is_empty() { "localhost".to_owned() } else { told.to_owned() }
}

/// Opens a tree's root, and says what that is; reads nothing else. `SourceUnavailable` when it is
/// not there or may not be read.
pub async fn look(options: &TreeOptions) -> Result<SourceFacts> {
    Ok(open(options).await?.0)
}

async fn open(options: &TreeOptions) -> Result<(SourceFacts, Arc<OwnedFd>)> {
    let options = options.clone();
    blocking(move || {
        let root = std::path::absolute(&options.root).map_err(|e| unreachable(&options.root, e))?;
        // Links on the way are resolved: by another of its names it is the same tree.
        let root = root.canonicalize().map_err(|error| unreachable(&root, error))?;
        let fd = open_root(&root).map_err(|error| unreachable(&root, error))?;
        let facts = SourceFacts {
            identity: options.identity(&root),
            database: root.display().to_string(),
            server_version: String::new(),
            estimated_bytes: 0,
            location: root.display().to_string(),
        };
        Ok((facts, fd))
    })
    .await?
}

fn unreachable(root: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::SourceUnavailable, "open directory")
        .with("directory", root.display())
        .because(error)
        .hint("Is it mounted, spelt as it is, and readable for the user who runs this?")
}

/// A tree that was opened for one snapshot.
pub struct TreeSource {
    options: TreeOptions,
    facts: SourceFacts,
    root: Arc<OwnedFd>,
    how: SourceOptions,
}

impl TreeSource {
    /// Opens a tree; fails as [`look`] does, and with `Unsupported` for other kinds of snapshots.
    pub async fn open(options: TreeOptions, how: &SourceOptions) -> Result<Self> {
        if how.kind != SnapshotKind::Files {
            return Err(Error::new(ErrorKind::Unsupported, "back up directory")
                .with("mode", how.kind.as_str())
                .hint("A directory is backed up as files; leave out --mode."));
        }
        let (facts, root) = open(&options).await?;
        Ok(Self { options, facts, root, how: how.clone() })
    }

    /// Opens the list of the snapshot before. Without it everything is read.
    async fn base(&self, sink: &dyn PartSink) -> Option<Base> {
        let base = sink.base().await.ok()??;
        base.snapshot.part(LIST)?;
        match Base::open(base.parts).await {
            Ok(base) => Some(base),
            Err(error) => {
                tracing::warn!(%error, "the list of the snapshot before cannot be read; \
                    everything is read");
                None
            }
        }
    }
}

#[async_trait]
impl Source for TreeSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let observer = Arc::clone(&self.how.observer);
        let list = PartName::new(LIST);
        observer.on_event(&Event::PartStarted { part: list.clone(), expected_bytes: None });
        let base = self.base(sink).await;
        let settled = self.options.settled.map(|settled| settled.as_secs());
        let settled = settled.and_then(|s| i64::try_from(s).ok()).unwrap_or(walk::SETTLED);
        let manner = Manner {
            root: Arc::clone(&self.root),
            jobs: self.how.jobs.get(),
            full_read: self.how.physical.full_read,
            max_rate: self.how.max_rate,
            settled,
            observer: Arc::clone(&observer),
        };
        let (to, seen) = mpsc::channel(WAITING);
        let (root, selection) = (Arc::clone(&self.root), self.options.selection.clone());
        let walking =
            tokio::task::spawn_blocking(move || walk::walk(&root, &selection, settled, &to));
        let copied = with_crew(|crew| async {
            Copy::begin(sink, base, manner, crew).await?.run(seen).await
        })
        .await;
        walking.await.map_err(|error| {
            Error::new(ErrorKind::Failed, "walk through directory").because(error)
        })?;
        let mut copied = copied?;
        copied.tree.root.clone_from(&self.facts.location);
        let mut findings = copied.findings.tell(self.options.tolerance, copied.tree.entries());
        if copied.tree.entries() == 0 {
            return Err(Error::new(ErrorKind::SourceUnavailable, "read directory")
                .with("directory", &self.facts.location)
                .because("its root cannot be read")
                .hint("Run this as a user who may read it."));
        }
        findings.push(Finding::note(format!(
            "{} of {} files were read, the others are unchanged.",
            copied.read_files, copied.tree.files
        )));
        for finding in &findings {
            observer.on_event(&Event::Found(finding.clone()));
        }
        observer.on_event(&Event::PartFinished {
            part: list,
            rows: Some(copied.tree.entries()),
            bytes: copied.tree.bytes,
        });
        Ok(Evidence { tree: Some(copied.tree), findings, ..Evidence::default() })
    }
}
