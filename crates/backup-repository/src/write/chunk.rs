//! The way of one chunk: hash, look up, take a base, encode, seal.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use backup_core::{ChunkId, Error, ErrorKind, Result};
use backup_crypto::ChunkIdKey;
use bytes::Bytes;

use super::packer::{Lane, Packer};
use super::previous::Place;
use crate::blocking;
use crate::codec::{Compressor, Encoded};
use crate::index::Index;
use crate::map::ChunkRef;
use crate::read::{BaseRate, ChunkReader};
use crate::settings::{DeltaMode, Settings};

/// Chunks below this size are hashed and encoded without leaving the thread; a base does not
/// pay for them.
const SMALL: usize = 4 << 10;

/// Stores chunks that the repository does not have yet.
pub(crate) struct ChunkStore {
    pub(crate) index: Arc<Index>,
    pub(crate) packer: Packer,
    pub(crate) reader: Arc<ChunkReader>,
    pub(crate) ids: ChunkIdKey,
    pub(crate) compressor: Arc<Compressor>,
    /// How fast bases were read so far.
    pub(crate) rate: Arc<BaseRate>,
    pub(crate) settings: Settings,
    /// Whether bases may be read at all.
    pub(crate) can_read: bool,
    pub(crate) pending: Mutex<HashSet<ChunkId>>,
    pub(crate) tally: Tally,
}

/// Counted while writing.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) read: AtomicU64,
    pub(crate) added: AtomicU64,
}

impl ChunkStore {
    /// Makes sure the chunk is on its way to the store; `place` tells what stood there before.
    /// Returns the reference, and the buffer for reuse.
    pub(crate) async fn put(
        self: &Arc<Self>,
        lane: Lane,
        plain: Vec<u8>,
        place: Place,
    ) -> Result<(ChunkRef, Vec<u8>)> {
        let alone = matches!(place, Place::Nowhere) || !self.wants_base(plain.len());
        let (plain, reference, met) = if plain.len() < SMALL {
            let (reference, met) = self.meet(lane, &plain, alone)?;
            (plain, reference, met)
        } else {
            let this = Arc::clone(self);
            blocking(move || {
                let (reference, met) = this.meet(lane, &plain, alone)?;
                Ok((plain, reference, met))
            })
            .await?
        };
        let (plain, full) = match met {
            Met::Known => return Ok((reference, plain)),
            Met::Stored(full) => (plain, full.map(|full| *full)),
            Met::New => {
                let base = self.base(&place, plain.len()).await;
                let this = Arc::clone(self);
                blocking(move || {
                    let full = this.encode(lane, reference.id, &plain, base)?;
                    Ok((plain, full))
                })
                .await?
            }
        };
        if let Some(pack) = full {
            self.packer.upload(pack).await?;
        }
        Ok((reference, plain))
    }

    /// Hashes a chunk and looks it up; stores it at once where it is new and stands `alone`.
    fn meet(&self, lane: Lane, plain: &[u8], alone: bool) -> Result<(ChunkRef, Met)> {
        let id = self.ids.id(plain);
        let reference = ChunkRef { id, raw: plain.len() as u32 };
        self.tally.read.fetch_add(plain.len() as u64, Ordering::Relaxed);
        let new = self.index.usable_chain(&id).is_none()
            && self.pending.lock().map_err(|_| poisoned())?.insert(id);
        if !new {
            return Ok((reference, Met::Known));
        }
        self.tally.added.fetch_add(plain.len() as u64, Ordering::Relaxed);
        let met = if alone {
            Met::Stored(self.encode(lane, id, plain, None)?.map(Box::new))
        } else {
            Met::New
        };
        Ok((reference, met))
    }

    fn encode(
        &self,
        lane: Lane,
        id: ChunkId,
        plain: &[u8],
        base: Option<Base>,
    ) -> Result<Option<crate::pack::PackBuilder>> {
        let raw = plain.len() as u32;
        let mut whole: Option<Encoded> = None;
        if let Some(base) = base {
            let delta = self.compressor.delta(plain, &base.plain)?;
            let policy = self.settings.delta_policy;
            if policy.keep(delta.bytes.len(), base.whole_estimate) {
                return self.packer.add(lane, id, raw, &delta, Some((base.id, base.depth)));
            }
            let alone = self.compressor.whole(plain)?;
            if policy.keep(delta.bytes.len(), alone.bytes.len()) {
                return self.packer.add(lane, id, raw, &delta, Some((base.id, base.depth)));
            }
            whole = Some(alone);
        }
        let whole = match whole {
            Some(whole) => whole,
            None => self.compressor.whole(plain)?,
        };
        self.packer.add(lane, id, raw, &whole, None)
    }

    /// Whether a base would pay for a chunk of that length.
    pub(super) fn wants_base(&self, length: usize) -> bool {
        let wanted = match self.settings.delta {
            DeltaMode::Off => false,
            DeltaMode::On => true,
            DeltaMode::Auto => !self.rate.is_slow(),
        };
        wanted && self.can_read && length >= SMALL
    }

    /// Returns the base to encode against, read and checked; none when none is worth it. A base
    /// that cannot be read is not an error of this chunk: it is stored whole instead.
    async fn base(&self, place: &Place, length: usize) -> Option<Base> {
        let id = place.base(&self.reader, &self.index).await?;
        let chain = self.index.usable_chain(&id)?;
        let ((_, nearest), (_, root)) = (chain.first()?, chain.last()?);
        let depth = nearest.depth;
        if !self.settings.delta_policy.try_base(depth) {
            return None;
        }
        let whole_estimate =
            (u64::from(root.sealed) * length as u64 / u64::from(root.raw).max(1)) as usize;
        if let Some(plain) = self.reader.take_shared(&id) {
            return Some(Base { id, plain, depth, whole_estimate });
        }
        let began = self.rate.begin();
        match self.reader.read(&self.index, &id).await {
            Ok((plain, fetched)) => {
                self.rate.end(began, fetched);
                Some(Base { id, plain: plain.into(), depth, whole_estimate })
            }
            Err(error) => {
                tracing::warn!(%error, "a base could not be read; the chunk is stored whole");
                None
            }
        }
    }
}

/// What became of a chunk when it was looked up.
enum Met {
    Known,
    /// On its way; the pack that it filled.
    Stored(Option<Box<crate::pack::PackBuilder>>),
    /// New, and what stood in its place may help to store it.
    New,
}

struct Base {
    id: ChunkId,
    plain: Bytes,
    depth: u8,
    whole_estimate: usize,
}

fn poisoned() -> Error {
    Error::new(ErrorKind::Failed, "store chunk after an earlier failure")
}
