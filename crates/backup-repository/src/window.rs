//! Small reads from packs, answered from windows of one mebibyte, so that a thousand small
//! chunks that lie side by side cost one request.

use std::sync::{Arc, Mutex};

use backup_core::port::Store;
use backup_core::{PackId, Result};
use bytes::Bytes;

use crate::layout;

const WINDOW: u64 = 1 << 20;
const KEPT: usize = 16;

/// A bounded memory of windows, least recently used first.
#[derive(Debug)]
pub(crate) struct Windows {
    store: Arc<dyn Store>,
    kept: Mutex<Vec<(PackId, u64, Bytes)>>,
}

impl Windows {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, kept: Mutex::new(Vec::new()) }
    }

    /// Reads exactly `length` bytes of a pack of `size` bytes.
    pub(crate) async fn read(
        &self,
        pack: PackId,
        size: u64,
        offset: u64,
        length: u64,
    ) -> Result<Bytes> {
        let name = layout::pack(pack)?;
        let end = offset + length;
        let first = offset - offset % WINDOW;
        let spans_one = end <= first + WINDOW;
        if length > WINDOW / 4 || !spans_one {
            return self.store.get_range(&name, offset..end).await;
        }
        let cut = |window: &Bytes| {
            let (from, to) = ((offset - first) as usize, (end - first) as usize);
            (to <= window.len()).then(|| window.slice(from..to))
        };
        if let Some(found) = self.recall(pack, first).as_ref().and_then(cut) {
            return Ok(found);
        }
        if size < end {
            // The index is wrong about the size: let the store say so.
            return self.store.get_range(&name, offset..end).await;
        }
        let window = self.store.get_range(&name, first..size.min(first + WINDOW)).await?;
        let found = cut(&window);
        self.keep(pack, first, window);
        match found {
            Some(bytes) => Ok(bytes),
            None => self.store.get_range(&name, offset..end).await,
        }
    }

    fn recall(&self, pack: PackId, first: u64) -> Option<Bytes> {
        let mut kept = self.kept.lock().ok()?;
        let at = kept.iter().position(|(id, start, _)| *id == pack && *start == first)?;
        let entry = kept.remove(at);
        let window = entry.2.clone();
        kept.push(entry);
        Some(window)
    }

    fn keep(&self, pack: PackId, first: u64, window: Bytes) {
        if let Ok(mut kept) = self.kept.lock() {
            if kept.len() >= KEPT {
                kept.remove(0);
            }
            kept.push((pack, first, window));
        }
    }
}
