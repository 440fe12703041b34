//! Snapshots in short, remembered: a manifest never changes, so each is read once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use backup_core::{
    Error, ErrorKind, HeadRecord, ObjectName, Result, Snapshot, SnapshotHead, SnapshotId,
    SnapshotKind, SourceName, Verified,
};
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::repository::{PARALLEL, Repository};

/// What was read longer ago is read again now and then: damage is to be noticed.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// At least so many of those are read again in one go, and no more than a fiftieth of all.
const AGAIN: usize = 20;

/// Every snapshot there is, in short.
#[derive(Debug, Default)]
pub struct HeadScan {
    /// Those that can be read, by source and sequence.
    pub records: Vec<HeadRecord>,
    /// Those that cannot be believed, and why.
    pub unreadable: Vec<(SnapshotId, Error)>,
}

/// What is remembered of one manifest and its proofs, to be kept from one run of a program to the
/// next. It was authenticated when it was read; whoever keeps it vouches for it from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHead {
    head: Arc<SnapshotHead>,
    /// Size and age of the object: another one is read afresh.
    size: u64,
    modified: Timestamp,
    read_at: Timestamp,
    /// The proofs by which `verified` was found; others are read afresh.
    proofs: Vec<String>,
    verified: Verified,
}

/// What a repository's handle remembers.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    known: HashMap<SnapshotId, KnownHead>,
    changed: HashSet<SnapshotId>,
    pins: HashSet<SnapshotId>,
}

impl Remembered {
    /// By source and sequence.
    fn records(&self) -> Vec<HeadRecord> {
        let record = |(id, known): (&SnapshotId, &KnownHead)| HeadRecord {
            snapshot: Arc::clone(&known.head),
            verified: known.verified,
            pinned: self.pins.contains(id),
            stored_at: known.modified,
        };
        let mut records: Vec<HeadRecord> = self.known.iter().map(record).collect();
        records.sort_by(|a, b| order(a).cmp(&order(b)));
        records
    }
}

impl Repository {
    /// Takes what [`Repository::head_changes`] gave to an earlier run of the program.
    pub fn recall_heads(&self, heads: impl IntoIterator<Item = KnownHead>) {
        let mut memory = self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner);
        memory.known.extend(heads.into_iter().map(|head| (head.head.id, head)));
    }

    /// Returns what changed in memory since this was asked last: by id, nothing for what is gone.
    #[must_use]
    pub fn head_changes(&self) -> Vec<(SnapshotId, Option<KnownHead>)> {
        let mut memory = self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::take(&mut memory.changed);
        changed.into_iter().map(|id| (id, memory.known.get(&id).cloned())).collect()
    }

    /// Returns what [`Repository::heads`] found last, or what was recalled, without looking.
    #[must_use]
    pub fn known_heads(&self) -> Vec<HeadRecord> {
        self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner).records()
    }

    /// Returns every snapshot in short, by source and sequence. Lists what is there and reads what
    /// is new, and, day by day, the rest again.
    ///
    /// A manifest that cannot be believed is an error naming the object, as in
    /// [`Repository::snapshots`].
    pub async fn heads(&self) -> Result<Vec<HeadRecord>> {
        let scan = self.scan_heads().await?;
        match scan.unreadable.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(scan.records),
        }
    }

    /// Like [`Repository::heads`], with the unreadable manifests told apart.
    pub async fn scan_heads(&self) -> Result<HeadScan> {
        let _alone = self.inner.listing.lock().await;
        let listed: Vec<_> = self.store().list(layout::SNAPSHOTS).await?.try_collect().await?;
        let mut proofs = self.proofs().await?;
        let pins = self.pins().await?;
        let now = self.clock().now();
        let mut wanted = BTreeMap::new();
        for object in listed {
            let id = layout::id_of(&object.name)?;
            let mut names = proofs.remove(&id).unwrap_or_default();
            names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            wanted.insert(id, Wanted { size: object.size, modified: object.modified, names });
        }
        let to_read = self.to_read(&wanted, now);
        let mut unreadable = Vec::new();
        let mut read = futures::stream::iter(to_read)
            .map(|(id, wanted)| async move { (id, self.read_head(id, wanted, now).await) })
            .buffer_unordered(PARALLEL);
        while let Some((id, known)) = read.next().await {
            match known {
                Ok(known) => self.remember(id, Some(known)),
                // Forgotten between listing and reading.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.remember(id, None);
                    wanted.remove(&id);
                }
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    self.remember(id, None);
                    unreadable.push((id, error));
                }
                Err(error) => return Err(error),
            }
        }
        drop(read);
        let mut memory = self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> =
            memory.known.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        for id in gone {
            memory.known.remove(&id);
            memory.changed.insert(id);
        }
        memory.pins = pins;
        let records = memory.records();
        drop(memory);
        unreadable.sort_by_key(|(id, _)| *id);
        Ok(HeadScan { records, unreadable })
    }

    /// Returns the next sequence number of a source, and which snapshot serves as base: the
    /// newest of that kind that is not suspect, else the newest. Unreadable ones are left out with
    /// a warning: a new backup is the remedy.
    pub(crate) async fn newest_of(
        &self,
        source: &SourceName,
        kind: SnapshotKind,
    ) -> Result<(u64, Option<Snapshot>)> {
        let scan = self.scan_heads().await?;
        for (_, error) in &scan.unreadable {
            tracing::warn!(%error, "a manifest cannot be read; it serves as no base");
        }
        let own = || scan.records.iter().map(|r| &r.snapshot).filter(|s| s.source == *source);
        let sequence = own().map(|snapshot| snapshot.sequence).max().unwrap_or(0);
        let mut bases: Vec<_> = own().filter(|snapshot| snapshot.kind == kind).collect();
        bases.sort_by_key(|s| (!s.is_suspect(), s.sequence, s.finished_at));
        let mut base = None;
        while let Some(best) = bases.pop() {
            match self.read_manifest(best.id).await {
                Ok(snapshot) => {
                    base = Some(snapshot);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Integrity => {
                    tracing::warn!(%error, "a manifest cannot be read; it serves as no base");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((sequence.saturating_add(1), base))
    }

    /// Returns what is to be read: what is new or has changed, and some of what was read long ago.
    fn to_read(
        &self,
        wanted: &BTreeMap<SnapshotId, Wanted>,
        now: Timestamp,
    ) -> Vec<(SnapshotId, Wanted)> {
        let memory = self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = Vec::new();
        let mut to_read = Vec::new();
        for (id, object) in wanted {
            match memory.known.get(id) {
                Some(known) if object.is(known) => {
                    if now.duration_since(known.read_at).abs() > FRESH {
                        old.push((known.read_at, *id));
                    }
                }
                _ => to_read.push((*id, object.clone())),
            }
        }
        old.sort_unstable();
        let again = (wanted.len() / 50).max(AGAIN);
        let again = old.into_iter().take(again);
        to_read.extend(again.filter_map(|(_, id)| Some((id, wanted.get(&id)?.clone()))));
        to_read
    }

    async fn read_head(&self, id: SnapshotId, wanted: Wanted, now: Timestamp) -> Result<KnownHead> {
        let snapshot = self.read_manifest(id).await?;
        let verified = self.best_proof(id, &wanted.names).await?;
        Ok(KnownHead {
            head: Arc::new(SnapshotHead::from(&snapshot)),
            size: wanted.size,
            modified: wanted.modified,
            read_at: now,
            proofs: wanted.names.iter().map(ToString::to_string).collect(),
            verified,
        })
    }

    fn remember(&self, id: SnapshotId, head: Option<KnownHead>) {
        let mut memory = self.inner.heads.lock().unwrap_or_else(PoisonError::into_inner);
        match head {
            Some(head) => memory.known.insert(id, head),
            None => memory.known.remove(&id),
        };
        memory.changed.insert(id);
    }
}

/// A manifest as it was listed, with its proofs in order.
#[derive(Clone)]
struct Wanted {
    size: u64,
    modified: Timestamp,
    names: Vec<ObjectName>,
}

impl Wanted {
    fn is(&self, known: &KnownHead) -> bool {
        self.size == known.size
            && self.modified == known.modified
            && self.names.len() == known.proofs.len()
            && self.names.iter().zip(&known.proofs).all(|(name, known)| name.as_str() == known)
    }
}

fn order(record: &HeadRecord) -> (&str, u64, Timestamp) {
    let snapshot = &record.snapshot;
    (snapshot.source.as_str(), snapshot.sequence, record.stored_at)
}
