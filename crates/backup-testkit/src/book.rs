//! A book of operations in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{Handle, HandleBook, Wanted};
use backup_core::{Result, SourceName};

use crate::sync::lock;

/// A [`HandleBook`] that several "processes" share: [`MemoryBook::process`] opens it as another
/// one, and dropping that is its death.
#[derive(Debug, Default)]
pub struct MemoryBook {
    shared: Arc<Mutex<Shared>>,
    process: u64,
}

#[derive(Debug, Default)]
struct Shared {
    next: u64,
    living: Vec<u64>,
    entries: BTreeMap<(String, String), (u64, Handle)>,
    /// Everything that was ever kept, in order.
    kept: Vec<Handle>,
    pins: BTreeSet<(String, String)>,
}

impl MemoryBook {
    /// Opens the same book as another process.
    #[must_use]
    pub fn process(&self) -> Self {
        let mut shared = lock(&self.shared);
        shared.next += 1;
        let process = shared.next;
        shared.living.push(process);
        Self { shared: Arc::clone(&self.shared), process }
    }

    /// Every process is dead from now on, whoever still holds it.
    pub fn forget_everybody(&self) {
        lock(&self.shared).living.clear();
    }

    /// Returns what is under way, by key.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Handle)> {
        let shared = lock(&self.shared);
        shared.entries.iter().map(|((_, key), (_, handle))| (key.clone(), handle.clone())).collect()
    }

    /// Returns everything that was ever kept, in order.
    #[must_use]
    pub fn kept(&self) -> Vec<Handle> {
        lock(&self.shared).kept.clone()
    }
}

impl Drop for MemoryBook {
    fn drop(&mut self) {
        lock(&self.shared).living.retain(|living| *living != self.process);
    }
}

#[async_trait]
impl HandleBook for MemoryBook {
    async fn keep(&self, source: &SourceName, key: &str, handle: &Handle) -> Result<()> {
        let mut shared = lock(&self.shared);
        shared.kept.push(handle.clone());
        shared.entries.insert((source.to_string(), key.to_owned()), (self.process, handle.clone()));
        Ok(())
    }

    async fn strike(&self, source: &SourceName, key: &str) -> Result<()> {
        lock(&self.shared).entries.remove(&(source.to_string(), key.to_owned()));
        Ok(())
    }

    async fn abandoned(
        &self,
        source: &SourceName,
        wanted: Wanted,
    ) -> Result<Vec<(String, Handle)>> {
        let mut shared = lock(&self.shared);
        let Shared { living, entries, .. } = &mut *shared;
        let mut found = Vec::new();
        for ((of, key), (process, handle)) in entries.iter_mut() {
            let dead = *process != self.process && !living.contains(process);
            if *of == source.to_string() && dead && wanted(handle) {
                *process = self.process;
                found.push((key.clone(), handle.clone()));
            }
        }
        found.sort_by_key(|(_, handle)| handle.begun_at);
        Ok(found)
    }

    async fn pin(&self, source: &SourceName, id: &str, pinned: bool) -> Result<()> {
        let (pin, pins) = ((source.to_string(), id.to_owned()), &mut lock(&self.shared).pins);
        match pinned {
            true => pins.insert(pin),
            false => pins.remove(&pin),
        };
        Ok(())
    }

    async fn pins(&self, source: &SourceName) -> Result<Vec<String>> {
        let (source, shared) = (source.to_string(), lock(&self.shared));
        Ok(shared.pins.iter().filter(|(of, _)| *of == source).map(|(_, id)| id.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_book_in_memory_keeps_the_contract() {
        let book = MemoryBook::default();
        crate::conformance::handle_book(|| Arc::new(book.process())).await;
        assert_eq!(book.entries(), []);
    }
}
