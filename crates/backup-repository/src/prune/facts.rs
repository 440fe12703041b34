//! Gathers what the planner looks at. Changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use backup_core::{IndexId, PackId, Result, SnapshotId};
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

pub(super) async fn gather(repository: &Repository) -> Result<Gathered> {
    let snapshots = repository.snapshots().await?;
    let (indexes, index) = repository.load_index().await?;
    let mut needed = HashSet::new();
    for record in &snapshots {
        for part in repository.references_in(&index, &record.snapshot).await?.parts {
            needed.extend(part.packs);
        }
    }
    let mut packs = indexed(&index);
    let listed: Vec<_> = repository.store().list(layout::PACKS).await?.try_collect().await?;
    for object in listed {
        let id: PackId = layout::id_of(&object.name)?;
        let facts = packs.entry(id).or_insert(PackFacts { stored: None, indexed: None });
        facts.stored = Some((object.size, object.modified));
    }
    let now = store_time(repository.store()).await?;
    let facts = Facts { packs, needed, indexes: indexes.len(), now };
    let snapshots = snapshots.iter().map(|record| record.snapshot.id).collect();
    Ok(Gathered { facts, indexes, snapshots })
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
