//! An open repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use backup_core::port::{Clock, Observer, PartSource, Store};
use backup_core::{Error, ErrorKind, IndexId, KeyId, RepositoryId, Result, Snapshot};
use backup_crypto::{KeyBundle, ObjectKind};
use futures::{StreamExt, TryStreamExt};

use crate::codec::Compressor;
use crate::config::Config;
use crate::cut::Cutter;
use crate::drills::Receipts;
use crate::heads::Remembered;
use crate::index::{Index, IndexObject};
use crate::read::{BaseRate, ChunkReader, SnapshotReader};
use crate::settings::Settings;
use crate::write::{SnapshotDraft, SnapshotWriter};
use crate::{blob, layout, write};

/// Objects that are read at the same time.
pub(crate) const PARALLEL: usize = 8;

/// A repository whose keys are in memory. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) keys: RwLock<Arc<KeyBundle>>,
    /// The key record that opened it; none when it was just created.
    pub(crate) opened_with: Option<KeyId>,
    pub(crate) index: tokio::sync::Mutex<Option<Loaded>>,
    /// Manifests already read, in short.
    pub(crate) heads: Mutex<Remembered>,
    /// Receipts of drills already read.
    pub(crate) receipts: Mutex<Receipts>,
    /// Held while they are listed: of two lists the older one must not have the last word.
    pub(crate) listing: tokio::sync::Mutex<()>,
}

/// Index objects already read; a later load reads only new ones.
pub(crate) struct Loaded {
    objects: Vec<(IndexId, Arc<IndexObject>)>,
    merged: Arc<Index>,
}

impl Repository {
    pub(crate) fn assemble(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        config: Config,
        keys: KeyBundle,
        opened_with: Option<KeyId>,
        settings: Settings,
    ) -> Self {
        let inner = Inner {
            store,
            clock,
            config,
            settings,
            keys: RwLock::new(Arc::new(keys)),
            opened_with,
            index: tokio::sync::Mutex::new(None),
            heads: Mutex::default(),
            receipts: Mutex::default(),
            listing: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the repository's id.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.inner.config.repository
    }

    /// Returns the store it lies in.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Returns whether the keys here can read; a write-only host's cannot.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.keys_now().is_ok_and(|keys| keys.can_read())
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    pub(crate) fn keys_now(&self) -> Result<Arc<KeyBundle>> {
        let keys = self.inner.keys.read();
        keys.map(|keys| Arc::clone(&keys))
            .map_err(|_| Error::new(ErrorKind::Failed, "use keys after an earlier failure"))
    }

    pub(crate) fn chunk_reader(&self) -> Result<Arc<ChunkReader>> {
        Ok(Arc::new(ChunkReader::new(self.keys_now()?, Arc::clone(self.store()))))
    }

    /// Begins a snapshot. Its deltas and unchanged chunks come from the newest snapshot of the
    /// same source that is not suspect. A host that cannot read has none, and numbers its
    /// snapshots 1: the store's times order them.
    pub async fn begin(
        &self,
        draft: SnapshotDraft,
        observer: Arc<dyn Observer>,
    ) -> Result<SnapshotWriter> {
        // Manifests first, then indexes: what a manifest names is then in the index.
        let (sequence, previous) = if self.can_read() {
            self.newest_of(&draft.source, draft.kind).await?
        } else {
            (1, None)
        };
        let index = if self.can_read() { self.fresh_index().await? } else { Arc::default() };
        let keys = self.keys_now()?;
        let settings = self.inner.settings.clone();
        let cutter = Cutter::new(self.inner.config.stream_cut, &keys.gear_seed());
        let chunks = Arc::new(write::ChunkStore {
            index,
            packer: write::Packer::new(
                Arc::clone(self.store()),
                Arc::clone(self.clock()),
                Arc::clone(&keys),
                &settings,
                Arc::clone(&observer),
            ),
            reader: self.chunk_reader()?,
            ids: keys.chunk_ids(),
            compressor: Arc::new(Compressor::new(settings.level)),
            rate: Arc::new(BaseRate::new(
                Arc::clone(self.clock()),
                self.store().capabilities().near,
            )),
            can_read: keys.can_read(),
            settings,
            pending: Mutex::default(),
            tally: write::Tally::default(),
        });
        Ok(SnapshotWriter::new(self.clone(), draft, sequence, previous, chunks, cutter, observer))
    }

    /// Returns the parts of a snapshot for reading.
    pub async fn reader(&self, snapshot: &Snapshot) -> Result<Arc<dyn PartSource>> {
        let index = self.fresh_index().await?;
        Ok(Arc::new(SnapshotReader::new(self.chunk_reader()?, index, snapshot)))
    }

    /// Lists the indexes and reads those not read before.
    pub(crate) async fn fresh_index(&self) -> Result<Arc<Index>> {
        Ok(self.load_index().await?.1)
    }

    /// Returns every index object there is, with the merged index.
    pub(crate) async fn load_index(
        &self,
    ) -> Result<(Vec<(IndexId, Arc<IndexObject>)>, Arc<Index>)> {
        let mut loaded = self.inner.index.lock().await;
        // An index may be superseded and deleted between listing and reading: list again.
        for attempt in 0.. {
            match self.read_indexes(loaded.as_ref()).await {
                Ok(objects) => {
                    let same = loaded.as_ref().is_some_and(|loaded| {
                        loaded.objects.len() == objects.len()
                            && loaded.objects.iter().zip(&objects).all(|(a, b)| a.0 == b.0)
                    });
                    if !same {
                        let merged = Arc::new(Index::merge(&objects));
                        *loaded = Some(Loaded { objects, merged });
                    }
                    break;
                }
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < 3 => {}
                Err(error) => return Err(crate::read::missing_is_damage(error)),
            }
        }
        loaded
            .as_ref()
            .map(|loaded| (loaded.objects.clone(), Arc::clone(&loaded.merged)))
            .ok_or_else(|| Error::new(ErrorKind::Failed, "load indexes"))
    }

    async fn read_indexes(
        &self,
        known: Option<&Loaded>,
    ) -> Result<Vec<(IndexId, Arc<IndexObject>)>> {
        let listed: Vec<_> =
            self.store().list(layout::INDEXES).await?.try_collect::<Vec<_>>().await?;
        let mut ids = Vec::with_capacity(listed.len());
        for object in &listed {
            ids.push(layout::id_of::<IndexId>(&object.name)?);
        }
        ids.sort_unstable();
        let old: HashMap<IndexId, Arc<IndexObject>> =
            known.map(|loaded| loaded.objects.iter().cloned().collect()).unwrap_or_default();
        futures::stream::iter(ids.into_iter().map(|id| {
            let found = old.get(&id).cloned();
            async move {
                match found {
                    Some(object) => Ok((id, object)),
                    None => Ok((id, Arc::new(self.read_index(id).await?))),
                }
            }
        }))
        .buffered(PARALLEL)
        .try_collect()
        .await
    }

    pub(crate) async fn read_index(&self, id: IndexId) -> Result<IndexObject> {
        let name = layout::index(id)?;
        let sealed = self.store().get(&name).await?;
        let keys = self.keys_now()?;
        let opened = crate::blocking(move || {
            IndexObject::from_bytes(&blob::open(&keys, ObjectKind::Index, id.0, &sealed)?)
        });
        opened.await.map_err(|error| {
            error.with("object", name).hint(
                "This index is damaged. Delete that object and run `backupctl repair index`: \
                 indexes are rebuilt from the packs.",
            )
        })
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.id())
            .field("location", &self.inner.store.location())
            .finish_non_exhaustive()
    }
}
