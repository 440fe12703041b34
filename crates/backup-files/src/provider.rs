//! The port.

use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::port::{
    Capability, Discovery, Provider, RestoreOptions, Source, SourceOptions, Target,
};
use backup_core::{Error, ErrorKind, Finding, Result};

use crate::backup::{TreeOptions, TreeSource, look};
use crate::restore::TreeTarget;

/// A directory tree as a source.
#[derive(Clone, Debug)]
pub struct TreeProvider {
    options: TreeOptions,
}

impl TreeProvider {
    /// Names the tree; touches nothing.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Provider for TreeProvider {
    fn name(&self) -> &'static str {
        "files"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::FilesBackup]
    }

    async fn discover(&self) -> Result<Discovery> {
        let facts = look(&self.options).await?;
        let finding = Finding::note(format!("directory {}", facts.location));
        Ok(Discovery { facts, findings: vec![finding] })
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(TreeSource::open(self.options.clone(), options).await?))
    }
}

/// A directory as a place to restore a tree into.
#[derive(Clone, Debug)]
pub struct TreePlace {
    directory: PathBuf,
}

impl TreePlace {
    /// Names the directory; touches nothing.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn unsupported(&self) -> Error {
        Error::new(ErrorKind::Unsupported, "use directory as a source")
            .with("directory", self.directory.display())
    }
}

#[async_trait]
impl Provider for TreePlace {
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
        Ok(Box::new(TreeTarget::new(&self.directory, options.clone())))
    }
}
