//! A piece of which a few pages changed: those are read, the others are as they were.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backup_core::Result;

use super::group::GroupWriter;
use super::read;
use super::reading::{Reading, blocking};
use crate::physical::changes::Pages;
use crate::physical::files::name::Relation;

/// Where the piece is.
pub(super) struct Patch<'a, 'g> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) group: &'a GroupWriter<'g>,
    pub(super) relation: Relation,
    pub(super) file: &'a Arc<File>,
    pub(super) offset: u64,
}

impl Patch<'_, '_> {
    /// Returns the piece as it is now. Nothing where the earlier snapshot does not give what it was,
    /// or the file was cut meanwhile: then it has to be read.
    pub(super) async fn piece(
        &self,
        path: &str,
        piece: u64,
        pages: Pages,
    ) -> Result<Option<Vec<u8>>> {
        let Some((group, base)) = self.group.before(Some(self.relation)) else { return Ok(None) };
        // Small files are read: their neighbours would have to be unpacked with them.
        if base.offset.is_some() {
            return Ok(None);
        }
        let mut bytes = match group.read(base, piece).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, path, "the earlier snapshot cannot be read; the file is");
                return Ok(None);
            }
        };
        let size = usize::try_from(self.reading.block_bytes).unwrap_or(usize::MAX);
        let (file, offset) = (Arc::clone(self.file), self.offset);
        let patched = blocking(move || {
            for page in pages.iter() {
                let at = usize::from(page).saturating_mul(size);
                let Some(room) = bytes.get_mut(at..at.saturating_add(size)) else {
                    return Ok(None);
                };
                if file.read_exact_at(room, offset + at as u64).is_err() {
                    return Ok(None);
                }
            }
            Ok(Some(bytes))
        });
        let Some(mut bytes) = patched.await? else { return Ok(None) };
        let mut read = 0;
        for page in pages.iter() {
            let at = usize::from(page) * size;
            let Some(page) = bytes.get_mut(at..at + size) else { continue };
            read += size as u64;
            self.check(path, at as u64, page)?;
        }
        self.reading.rate.take(usize::try_from(read).unwrap_or_default()).await;
        self.reading.read.fetch_add(read, Ordering::Relaxed);
        self.reading.copied.kept(bytes.len() as u64 - read)?;
        Ok(Some(bytes))
    }

    /// Checks a page as those are that are read with their piece.
    fn check(&self, path: &str, at: u64, page: &mut [u8]) -> Result<()> {
        let copied = self.reading.copied;
        let Some(rules) = copied.rules else { return Ok(()) };
        let at = self.offset + at;
        let bad = read::check(copied, self.relation, self.file, at, page, rules);
        copied.damaged(path, &bad)
    }
}
