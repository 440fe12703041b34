//! The port: a bucket as a source.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Bucket, PartSink, Source, SourceFacts, SourceOptions};
use backup_core::{
    Error, ErrorKind, Event, Evidence, Finding, PartName, Result, SnapshotKind, SourceIdentity,
};
use futures::TryStreamExt;

use super::copy::{Base, Copy};
use crate::backup::Tolerance;
use crate::crew::with_crew;
use crate::list::LIST;
use crate::select::Selection;

/// A bucket, and how it is read.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// The bucket.
    pub bucket: Arc<dyn Bucket>,
    /// What names the service; absent: its address.
    pub service: Option<String>,
    /// Which of its objects are read.
    pub selection: Selection,
    /// What does not make a snapshot suspect.
    pub tolerance: Tolerance,
}

impl BucketOptions {
    /// Returns what the bucket is in snapshots.
    fn facts(&self) -> SourceFacts {
        let bucket = &self.bucket;
        SourceFacts {
            identity: SourceIdentity {
                engine: "files".to_owned(),
                system: self.service.clone().unwrap_or_else(|| bucket.service()),
                database: bucket.name(),
            },
            database: bucket.name(),
            server_version: String::new(),
            estimated_bytes: 0,
            location: bucket.location(),
        }
    }

    /// Asks for the first of its keys: whether it is there, and may be listed.
    pub(super) async fn look(&self) -> Result<SourceFacts> {
        self.bucket.list().await?.try_next().await?;
        Ok(self.facts())
    }
}

/// A bucket that was opened for one snapshot.
pub struct BucketSource {
    options: BucketOptions,
    facts: SourceFacts,
    how: SourceOptions,
}

impl BucketSource {
    /// Opens a bucket; `SourceUnavailable` when it cannot be listed, `Unsupported` for other kinds of
    /// snapshots.
    pub async fn open(options: BucketOptions, how: &SourceOptions) -> Result<Self> {
        if how.kind != SnapshotKind::Files {
            return Err(Error::new(ErrorKind::Unsupported, "back up bucket")
                .with("mode", how.kind.as_str())
                .hint("A bucket is backed up as files; leave out --mode."));
        }
        let facts = options.look().await?;
        Ok(Self { options, facts, how: how.clone() })
    }

    /// Opens the list of the snapshot before. Without it everything is read.
    async fn base(&self, sink: &dyn PartSink) -> Option<Base> {
        let base = sink.base().await.ok()??;
        base.snapshot.part(LIST)?;
        match Base::open(base.parts).await {
            Ok(base) => base,
            Err(error) => {
                tracing::warn!(%error, "the list of the snapshot before cannot be read; \
                    everything is read");
                None
            }
        }
    }
}

#[async_trait]
impl Source for BucketSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let observer = Arc::clone(&self.how.observer);
        let list = PartName::new(LIST);
        observer.on_event(&Event::PartStarted { part: list.clone(), expected_bytes: None });
        let base = self.base(sink).await;
        let bucket = Arc::clone(&self.options.bucket);
        let listed = bucket.list().await?;
        let mut copied = with_crew(|crew| async {
            let copy = Copy::begin(sink, base, bucket, &self.how, crew).await?;
            copy.run(listed, &self.options.selection).await
        })
        .await?;
        copied.tree.root.clone_from(&self.facts.location);
        if copied.tree.files == 0 && copied.findings.missing() > 0 {
            return Err(Error::new(ErrorKind::SourceUnavailable, "read bucket")
                .with("bucket", &self.facts.location)
                .because("it can be listed, but not one of its objects can be read")
                .hint("Give its keys permission to read objects, as well as to list them."));
        }
        let mut findings = copied.findings.tell(self.options.tolerance);
        findings.push(Finding::note(format!(
            "{} of {} objects were read, the others are unchanged.",
            copied.read, copied.tree.files
        )));
        for finding in &findings {
            observer.on_event(&Event::Found(finding.clone()));
        }
        observer.on_event(&Event::PartFinished {
            part: list,
            rows: Some(copied.tree.files),
            bytes: copied.tree.bytes,
        });
        Ok(Evidence { tree: Some(copied.tree), findings, ..Evidence::default() })
    }
}
