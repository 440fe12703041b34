//! A directory as a place to restore a physical snapshot into.

use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::port::{
    Capability, Discovery, Provider, RestoreOptions, Source, SourceOptions, Target,
};
use backup_core::{Error, ErrorKind, Result};
use backup_postgres::physical::DirectoryTarget;

/// A data directory that is to be; no database answers there yet.
#[derive(Clone, Debug)]
pub struct DirectoryProvider {
    directory: PathBuf,
}

impl DirectoryProvider {
    /// Names the directory; touches nothing.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn unsupported(&self) -> Error {
        Error::new(ErrorKind::Unsupported, "use directory as a database")
            .with("directory", self.directory.display())
            .hint("Name the database as postgres://user@host/database.")
    }
}

#[async_trait]
impl Provider for DirectoryProvider {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::PhysicalRestore]
    }

    async fn discover(&self) -> Result<Discovery> {
        Err(self.unsupported())
    }

    async fn open_source(&self, _options: &SourceOptions) -> Result<Box<dyn Source>> {
        Err(self.unsupported())
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        Ok(Box::new(DirectoryTarget::new(&self.directory, options.clone())))
    }
}
