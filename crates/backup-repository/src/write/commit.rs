//! The commit: the one instant at which a snapshot begins to exist.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backup_core::{
    ChunkId, Error, ErrorKind, Event, Evidence, PackId, Result, SetPlace, Snapshot, SnapshotId,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::SnapshotWriter;
use crate::index::Index;
use crate::repository::PARALLEL;
use crate::since::Since;
use crate::{layout, random, snapshots};

/// A writer trusts a mark for this long: prune waits at least twice as long before it deletes,
/// and looks for new manifests again before it does.
pub(crate) const MARK_TRUST: Duration = Duration::from_secs(60 * 60);

impl SnapshotWriter {
    /// Makes everything durable, then writes the manifest; returns what was committed.
    ///
    /// Fails, leaving no snapshot, when a part is unfinished, anything failed on the way, or
    /// prune has meanwhile marked something this snapshot needs for so long that it may be
    /// deleted; running the backup again stores what is missing. A snapshot is committed once.
    pub async fn commit(self, evidence: Evidence) -> Result<Snapshot> {
        self.commit_in(evidence, None).await
    }

    /// As [`SnapshotWriter::commit`], with the place that the snapshot takes in a recovery set; one
    /// that is another source's is `Usage`, and nothing is committed.
    pub async fn commit_in(self, evidence: Evidence, set: Option<SetPlace>) -> Result<Snapshot> {
        let source = &self.shared.draft.source;
        if let Some(set) = set.as_ref().filter(|set| !set.is_of(source)) {
            return Err(Error::new(ErrorKind::Usage, "commit snapshot")
                .with("source", source)
                .with("set", set.id)
                .because("its place in the set is another source's"));
        }
        let shared = &self.shared;
        shared.check()?;
        let parts = self.parts()?.commit()?;
        shared.chunks.packer.flush().await?;
        let checked = Since::now(&**shared.repository.clock());
        let needed = self.check_needed().await?;

        let stored_bytes = shared.chunks.packer.stored_bytes();
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
            set,
        };
        snapshots::store_manifest(&shared.repository, &snapshot).await?;
        let kept = async {
            self.check_delay(checked)?;
            self.check_stored(needed).await
        };
        if let Err(error) = kept.await {
            return Err(self.take_back(snapshot.id, error).await);
        }
        shared.observer.on_event(&Event::SnapshotCommitted { snapshot: snapshot.id });
        Ok(snapshot)
    }

    /// Returns the packs that the snapshot needs; fails unless an index names everything and no
    /// old mark endangers it.
    async fn check_needed(&self) -> Result<HashSet<PackId>> {
        let repository = &self.shared.repository;
        // A host that cannot read relies on nothing but what it wrote in this run.
        let index = if repository.can_read() {
            repository.fresh_index().await?
        } else {
            self.shared.chunks.packer.own_index()?
        };
        let needed = packs_of(&index, self.parts()?.chunks())?;
        repository.check_marks(&index, &needed).await?;
        Ok(needed)
    }

    /// Gives the snapshot up, but makes everything stored so far durable and findable: a rerun
    /// skips it. Fails as any write may; then a rerun stores some of it again.
    pub async fn abandon(self) -> Result<()> {
        self.shared.chunks.packer.flush().await
    }

    /// Takes the manifest back; returns why, with the reason for which it still stands if it does.
    async fn take_back(&self, id: SnapshotId, why: Error) -> Error {
        let deleted = async { self.shared.repository.store().delete(&layout::snapshot(id)?).await };
        match deleted.await {
            Ok(()) => why,
            Err(error) => why
                .with("snapshot that stands nevertheless", id)
                .with("not taken back because", error)
                .hint("Forget that snapshot: it may lack data. Then run the backup again."),
        }
    }

    /// Prune relies on it that a manifest follows soon upon the look at the marks: fails if this
    /// process was suspended in between.
    fn check_delay(&self, checked: Since) -> Result<()> {
        let delay = checked.passed(&**self.shared.repository.clock());
        if delay < MARK_TRUST {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "commit snapshot")
            .with("seconds late", delay.as_secs())
            .hint("The run was suspended, or the clock jumped; run the backup again."))
    }

    /// Another run that was suspended for long may have named packs that prune had taken for
    /// leftovers, and not have taken its index back yet. A prune that begins from now on sees the
    /// manifest; one that is deleting looks for such an index between every few packs.
    async fn check_stored(&self, mut needed: HashSet<PackId>) -> Result<()> {
        let repository = &self.shared.repository;
        if !repository.can_read() {
            return Ok(());
        }
        let store = repository.store();
        if needed.len() > FEW_PACKS {
            let mut listed = store.list(layout::PACKS).await?;
            while let Some(object) = listed.try_next().await? {
                needed.remove(&layout::id_of(&object.name)?);
            }
        }
        let asked = needed.into_iter().map(|id| async move {
            store.stat(&layout::pack(id)?).await.map(drop).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::new(ErrorKind::Integrity, "commit snapshot")
                    .with("pack", id)
                    .hint(
                        "An index names a pack that the store does not have: the store lost it, or \
                         a run that was suspended named what prune had deleted. No snapshot was \
                         made. Run `backupctl repair index`, then the backup again.",
                    )
                    .because(error),
                _ => error,
            })
        });
        stream::iter(asked).buffer_unordered(PARALLEL).try_collect().await
    }
}

/// So many packs are asked for one by one; more are listed, a thousand in one request.
const FEW_PACKS: usize = 32;

/// Returns every pack the new snapshot relies on, bases included; a chunk that no index knows
/// any more makes the commit fail.
fn packs_of(index: &Index, chunks: &[ChunkId]) -> Result<HashSet<PackId>> {
    let mut packs = HashSet::new();
    for id in chunks {
        let links = crate::read::chain(index, id).map_err(|error| {
            Error::new(ErrorKind::Conflict, "commit snapshot")
                .hint(
                    "Prune removed data while this backup ran; run the backup again. If backups \
                     run for longer than prune's grace period, raise that.",
                )
                .because(error)
        })?;
        packs.extend(links.iter().filter_map(|(_, at)| index.pack(at)).map(|pack| pack.id));
    }
    Ok(packs)
}
