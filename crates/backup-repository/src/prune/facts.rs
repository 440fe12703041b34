//! Gathers what the planner looks at. Changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use backup_core::{Error, ErrorKind, IndexId, PackId, Result, SnapshotId, SnapshotRecord};
use futures::TryStreamExt;
use jiff::Timestamp;

use super::plan::{Facts, PackFacts};
use crate::index::{Index, IndexObject};
use crate::layout;
use crate::lease::store_time;
use crate::repository::Repository;

/// Facts with what they were drawn from.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    pub(super) indexes: Vec<(IndexId, Arc<IndexObject>)>,
    pub(super) snapshots: HashSet<SnapshotId>,
}

/// The order matters. A pack is taken for the leftover of a killed run if it was old when packs
/// were listed and no index named it *afterwards*; writers name theirs within the hour.
pub(super) async fn gather(repository: &Repository) -> Result<Gathered> {
    let listed: Vec<_> = repository.store().list(layout::PACKS).await?.try_collect().await?;
    let listed_at = store_time(repository.store()).await?;
    let snapshots = repository.snapshots().await?;
    let (indexes, index) = repository.load_index().await?;
    let needed = match repository.needed_packs(&index, &snapshots).await {
        Ok(needed) => needed,
        Err(error) if error.kind() == ErrorKind::Integrity => {
            return Err(blame(repository, &snapshots, error).await?);
        }
        Err(error) => return Err(error),
    };
    let mut packs = indexed(&index);
    let mut in_store = HashSet::with_capacity(listed.len());
    for object in listed {
        let id: PackId = layout::id_of(&object.name)?;
        in_store.insert(id);
        let facts = packs.entry(id).or_insert(PackFacts { stored: None, indexed: None });
        facts.stored = Some((object.size, object.modified));
    }
    // Stored and named since the listing: not gone, and nothing to decide about.
    let late: Vec<PackId> = packs.keys().filter(|id| !in_store.contains(*id)).copied().collect();
    for id in late {
        match repository.store().stat(&layout::pack(id)?).await {
            Ok(object) => {
                let facts = packs.entry(id).or_insert(PackFacts { stored: None, indexed: None });
                facts.stored = Some((object.size, object.modified));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let now = store_time(repository.store()).await?;
    let facts = Facts { packs, needed, indexes: indexes.len(), listed_at, now };
    let snapshots = snapshots.iter().map(|record| record.snapshot.id).collect();
    Ok(Gathered { facts, indexes, snapshots })
}

/// What a snapshot needs is not there. If a snapshot that was read has vanished meanwhile (it was
/// forgotten, or a late writer took it back), that is no damage: `Conflict`.
async fn blame(repository: &Repository, read: &[SnapshotRecord], error: Error) -> Result<Error> {
    let listed: Vec<_> = repository.store().list(layout::SNAPSHOTS).await?.try_collect().await?;
    let there: HashSet<_> = listed.into_iter().map(|object| object.name).collect();
    for record in read {
        if !there.contains(&layout::snapshot(record.snapshot.id)?) {
            return Ok(Error::new(ErrorKind::Conflict, "prune")
                .with("vanished snapshot", record.snapshot.id)
                .hint("A snapshot was dropped while prune was planning; run prune again.")
                .because(error));
        }
    }
    Ok(error)
}

fn indexed(index: &Index) -> BTreeMap<PackId, PackFacts> {
    let time = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    index
        .packs
        .iter()
        .map(|pack| {
            let facts = PackFacts { stored: None, indexed: Some(pack.marked_at.map(time)) };
            (pack.id, facts)
        })
        .collect()
}
