//! The port.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Bucket, Capability, Discovery, Provider, RestoreOptions, Source, SourceOptions, Target,
};
use backup_core::{Error, ErrorKind, Finding, Result};

use super::source::{BucketOptions, BucketSource};
use super::target::BucketTarget;

/// A bucket as a source.
#[derive(Clone, Debug)]
pub struct BucketProvider {
    options: BucketOptions,
}

impl BucketProvider {
    /// Names the bucket; asks it nothing.
    #[must_use]
    pub fn new(options: BucketOptions) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Provider for BucketProvider {
    fn name(&self) -> &'static str {
        "files"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::FilesBackup]
    }

    async fn discover(&self) -> Result<Discovery> {
        let facts = self.options.look().await?;
        let finding = Finding::note(format!("bucket {}", facts.location));
        Ok(Discovery { facts, findings: vec![finding] })
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(BucketSource::open(self.options.clone(), options).await?))
    }
}

/// A bucket as a place to restore into.
#[derive(Clone, Debug)]
pub struct BucketPlace {
    bucket: Arc<dyn Bucket>,
}

impl BucketPlace {
    /// Names the bucket; asks it nothing.
    #[must_use]
    pub fn new(bucket: Arc<dyn Bucket>) -> Self {
        Self { bucket }
    }

    fn unsupported(&self) -> Error {
        Error::new(ErrorKind::Unsupported, "use target as a source")
            .with("bucket", self.bucket.location())
    }
}

#[async_trait]
impl Provider for BucketPlace {
    fn name(&self) -> &'static str {
        "files"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::FilesRestore]
    }

    async fn discover(&self) -> Result<Discovery> {
        Err(self.unsupported())
    }

    async fn open_source(&self, _options: &SourceOptions) -> Result<Box<dyn Source>> {
        Err(self.unsupported())
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        Ok(Box::new(BucketTarget::new(Arc::clone(&self.bucket), options.clone())))
    }
}
