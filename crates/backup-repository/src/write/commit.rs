//! The commit: the one instant at which a snapshot begins to exist.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backup_core::{
    ChunkId, Error, ErrorKind, Event, Evidence, PackId, Result, Snapshot, SnapshotId,
};

use super::SnapshotWriter;
use crate::index::Index;
use crate::{random, snapshots};

/// A writer trusts a mark for this long: prune waits at least twice as long before it deletes,
/// and looks for new manifests again before it does.
pub(crate) const MARK_TRUST: Duration = Duration::from_secs(60 * 60);

impl SnapshotWriter {
    /// Makes everything durable, then writes the manifest; returns what was committed.
    ///
    /// Fails, leaving no snapshot, when a part is unfinished, anything failed on the way, or
    /// prune has meanwhile marked something this snapshot needs for so long that it may be
    /// deleted; running the backup again stores what is missing.
    pub async fn commit(self, evidence: Evidence) -> Result<Snapshot> {
        let shared = &self.shared;
        shared.check()?;
        let (mut parts, chunks) = {
            let mut parts = shared
                .parts
                .lock()
                .map_err(|_| Error::new(ErrorKind::Failed, "commit after an earlier failure"))?;
            if let Some(name) = parts.open.keys().next() {
                return Err(Error::new(ErrorKind::Failed, "commit with an unfinished part")
                    .with("part", name));
            }
            (parts.finished.clone(), std::mem::take(&mut parts.chunks))
        };
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        shared.chunks.packer.flush().await?;

        let index = shared.repository.fresh_index().await?;
        let needed = packs_of(&index, chunks)?;
        shared.repository.check_marks(&index, &needed).await?;

        let (_, stored_bytes) = shared.chunks.packer.stored();
        let tally = &shared.chunks.tally;
        let snapshot = Snapshot {
            id: SnapshotId(random::bytes()?),
            source: shared.draft.source.clone(),
            identity: shared.draft.identity.clone(),
            kind: shared.draft.kind,
            sequence: shared.sequence,
            previous: shared.previous.as_ref().map(|snapshot| snapshot.id),
            started_at: shared.draft.started_at,
            finished_at: shared.repository.clock().now(),
            writer: shared.repository.keys_now()?.writer_id(),
            program: concat!("backupctl ", env!("CARGO_PKG_VERSION")).to_owned(),
            read_bytes: parts.iter().map(|part| part.bytes).sum(),
            added_bytes: tally.added.load(Ordering::Relaxed),
            stored_bytes,
            parts,
            evidence,
        };
        snapshots::store_manifest(&shared.repository, &snapshot).await?;
        shared.observer.on_event(&Event::SnapshotCommitted { snapshot: snapshot.id });
        Ok(snapshot)
    }
}

/// Returns every pack the new snapshot relies on, bases included; a chunk that no index knows
/// any more makes the commit fail.
fn packs_of(index: &Index, chunks: HashSet<ChunkId>) -> Result<HashSet<PackId>> {
    let mut packs = HashSet::new();
    for id in chunks {
        let links = crate::read::chain(index, &id).map_err(|error| {
            Error::new(ErrorKind::Conflict, "commit snapshot")
                .hint("Prune removed data while this backup ran; run the backup again.")
                .because(error)
        })?;
        packs.extend(links.iter().filter_map(|(_, at)| index.pack(at)).map(|pack| pack.id));
    }
    Ok(packs)
}
