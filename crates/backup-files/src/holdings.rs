//! Which files a snapshot holds, by name alone.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::Result;
use backup_core::port::{Holdings, PartSource};

use crate::entry::Kind;
use crate::list::ListReader;

/// The files of one snapshot, as its list has them.
pub struct StoredFiles {
    parts: Arc<dyn PartSource>,
}

impl StoredFiles {
    /// Takes the streams of a snapshot of files.
    #[must_use]
    pub fn new(parts: Arc<dyn PartSource>) -> Self {
        Self { parts }
    }
}

#[async_trait]
impl Holdings for StoredFiles {
    async fn each_file(&self, visit: &mut (dyn for<'n> FnMut(&'n [u8]) + Send)) -> Result<()> {
        let mut list = ListReader::open(Arc::clone(&self.parts)).await?;
        while let Some(entry) = list.next().await? {
            if matches!(entry.kind, Kind::File(_)) {
                visit(&entry.path);
            }
        }
        Ok(())
    }
}
