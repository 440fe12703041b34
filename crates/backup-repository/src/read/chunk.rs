//! One chunk, from the store to its checked plaintext.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use backup_core::port::Store;
use backup_core::{ChunkId, Error, ErrorKind, PackId, Result};
use backup_crypto::{ChunkIdKey, HEADER_LEN, KeyBundle, ObjectKind, ObjectOpener};
use bytes::Bytes;

use crate::blocking;
use crate::codec::decode;
use crate::index::{Chain, Index, Location};
use crate::window::Windows;

/// How many packs' keys are remembered; a few hundred bytes each.
const OPENERS: usize = 4096;
/// How many chunks wait to be used once more; an engine that patches leaves one at a time for each
/// of its readers.
const SHARED: usize = 12;

/// Reads chunks through their bases; every link is authenticated, and its plaintext is hashed
/// and compared with its id before it is used.
pub(crate) struct ChunkReader {
    keys: Arc<KeyBundle>,
    windows: Windows,
    openers: Mutex<HashMap<PackId, Arc<ObjectOpener>>>,
    shared: Mutex<VecDeque<(ChunkId, Bytes)>>,
}

impl ChunkReader {
    pub(crate) fn new(keys: Arc<KeyBundle>, store: Arc<dyn Store>) -> Self {
        let (openers, shared) = (Mutex::default(), Mutex::default());
        Self { keys, windows: Windows::new(store), openers, shared }
    }

    /// Leaves a chunk that was read for whoever needs it next; only the last few are kept.
    pub(crate) fn share(&self, id: ChunkId, plain: Bytes) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.truncate(SHARED - 1);
            shared.push_front((id, plain));
        }
    }

    /// Takes a chunk that was left here.
    pub(crate) fn take_shared(&self, id: &ChunkId) -> Option<Bytes> {
        let mut shared = self.shared.lock().ok()?;
        let at = shared.iter().position(|(known, _)| known == id)?;
        shared.remove(at).map(|(_, plain)| plain)
    }

    /// Returns the key under which chunks have their ids.
    pub(crate) fn ids(&self) -> ChunkIdKey {
        self.keys.chunk_ids()
    }

    /// Returns the chunk's plaintext, and the bytes fetched for it.
    ///
    /// Fails with `Integrity` naming chunk and pack when it is not in the index, its pack is
    /// gone, or any byte is not as written.
    pub(crate) async fn read(&self, index: &Index, id: &ChunkId) -> Result<(Vec<u8>, u64)> {
        let chain = chain(index, id)?;
        let mut plain: Option<Vec<u8>> = None;
        let mut fetched = 0;
        for (link, location) in chain.into_iter().rev() {
            let sealed = self.fetch(index, &link, &location).await?;
            fetched += u64::from(location.sealed);
            let opener = self.opener(index, &location).await?;
            let base = plain.take();
            let ids = self.keys.chunk_ids();
            let opened = blocking(move || {
                let frame = opener.open(u64::from(location.ordinal), false, &[], &sealed)?;
                let plain =
                    decode(location.encoding, &frame, base.as_deref(), location.raw as usize)?;
                if ids.id(&plain) != link {
                    return Err(Error::new(ErrorKind::Integrity, "compare chunk id"));
                }
                Ok(plain)
            });
            plain = Some(opened.await.map_err(|error| about(error, index, &link, &location))?);
        }
        Ok((plain.unwrap_or_default(), fetched))
    }

    async fn fetch(&self, index: &Index, id: &ChunkId, location: &Location) -> Result<Bytes> {
        let pack = index.pack(location).ok_or_else(|| missing(id))?;
        self.windows
            .read(pack.id, pack.size, u64::from(location.offset), u64::from(location.sealed))
            .await
            .map_err(|error| about(error, index, id, location))
    }

    async fn opener(&self, index: &Index, location: &Location) -> Result<Arc<ObjectOpener>> {
        let pack = *index
            .pack(location)
            .ok_or_else(|| Error::new(ErrorKind::Integrity, "find pack in index"))?;
        let known = self.openers.lock().ok().and_then(|openers| openers.get(&pack.id).cloned());
        if let Some(opener) = known {
            return Ok(opener);
        }
        let header = self
            .windows
            .read(pack.id, pack.size, 0, HEADER_LEN as u64)
            .await
            .map_err(|error| missing_is_damage(error).with("pack", pack.id))?;
        let opener = Arc::new(ObjectOpener::new(&self.keys, ObjectKind::Pack, pack.id.0, &header)?);
        if let Ok(mut openers) = self.openers.lock() {
            if openers.len() >= OPENERS {
                openers.clear();
            }
            openers.insert(pack.id, Arc::clone(&opener));
        }
        Ok(opener)
    }
}

/// Returns the chunk and the bases behind it, nearest first.
pub(crate) fn chain(index: &Index, id: &ChunkId) -> Result<Chain> {
    index.chain(id).ok_or_else(|| missing(id))
}

fn missing(id: &ChunkId) -> Error {
    Error::new(ErrorKind::Integrity, "find chunk in index").with("chunk", id).hint(
        "Run `backupctl repair index`; if it stays missing, its pack was lost: \
         `backupctl verify --all` names the snapshots it affects.",
    )
}

fn about(error: Error, index: &Index, id: &ChunkId, location: &Location) -> Error {
    let pack = index.pack(location).map(|pack| pack.id.to_string()).unwrap_or_default();
    missing_is_damage(error).with("pack", pack).with("chunk", id.short())
}

/// An object that the index names and the store does not have is damage, not an empty answer.
pub(crate) fn missing_is_damage(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound { error.into_kind(ErrorKind::Integrity) } else { error }
}
