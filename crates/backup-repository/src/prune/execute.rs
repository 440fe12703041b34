//! Carries a plan out: new index, then old indexes, then packs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Observer;
use backup_core::{Error, ErrorKind, Event, IndexId, ObjectName, PackId, Result, SnapshotId};
use futures::TryStreamExt;

use super::facts::{Gathered, gather};
use super::plan::{PruneAction, PruneOptions, PrunePlan, plan};
use crate::index::IndexObject;
use crate::layout;
use crate::lease::{LEASE_TIME, Lease, PRUNE};
use crate::pack::PackEntries;
use crate::repository::Repository;
use crate::since::Since;
use crate::write::store_index;

/// What prune did.
#[derive(Clone, Debug)]
pub struct PruneReport {
    /// The plan that was carried out.
    pub plan: PrunePlan,
    /// Packs deleted.
    pub deleted_packs: u64,
    /// Bytes that came free.
    pub deleted_bytes: u64,
}

impl Repository {
    /// Returns what prune would do now; changes nothing.
    pub async fn plan_prune(&self, options: PruneOptions) -> Result<PrunePlan> {
        Ok(plan(&gather(self).await?.facts, options))
    }

    /// Prunes: plans under a lease, marks what nothing needs, deletes what was marked longer
    /// than the grace period ago. With no grace, both in one go.
    ///
    /// Fails with `Conflict` while someone else prunes, `Unsupported` on a store without
    /// create-if-absent, and `Integrity` when a snapshot cannot be read: what it needs is then
    /// unknown, and nothing is deleted. Killed at any instant, it loses nothing.
    pub async fn prune(
        &self,
        options: PruneOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<PruneReport> {
        let mut lease = Lease::acquire(self.store(), PRUNE).await?;
        let result = self.prune_under(&mut lease, options, &*observer).await;
        let released = lease.release().await;
        let report = result?;
        released?;
        Ok(report)
    }

    async fn prune_under(
        &self,
        lease: &mut Lease,
        options: PruneOptions,
        observer: &dyn Observer,
    ) -> Result<PruneReport> {
        let mut report = self.prune_once(lease, options, observer).await?;
        if options.grace == Duration::ZERO && report.plan.total(PruneAction::Mark).0 > 0 {
            let marked = report.plan;
            report = self.prune_once(lease, options, observer).await?;
            report.plan = combined(&marked, report.plan);
        }
        Ok(report)
    }

    /// Begins anew, a few times, when a backup is committed or dropped while the facts are
    /// gathered: on a busy repository there is always one.
    async fn prune_once(
        &self,
        lease: &mut Lease,
        options: PruneOptions,
        observer: &dyn Observer,
    ) -> Result<PruneReport> {
        let mut attempt = 1;
        loop {
            let gathered = match gather(self).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                    continue;
                }
                gathered => gathered?,
            };
            lease.renew().await?;
            let name = match self.appeared(&gathered.snapshots).await? {
                Some(name) => name,
                None => match self.carry_out(&gathered, lease, options, observer).await? {
                    Ok(report) => return Ok(report),
                    Err(name) => name,
                },
            };
            if attempt >= ATTEMPTS {
                return Err(Error::new(ErrorKind::Conflict, "prune")
                    .with("new object", name)
                    .hint("Backups were running while prune was planning; run prune again."));
            }
            attempt += 1;
        }
    }

    /// Returns the index that appeared meanwhile and makes the plan wrong, if one did: the rest of
    /// the plan is then not carried out.
    async fn carry_out(
        &self,
        gathered: &Gathered,
        lease: &mut Lease,
        options: PruneOptions,
        observer: &dyn Observer,
    ) -> Result<std::result::Result<PruneReport, ObjectName>> {
        let plan = plan(&gathered.facts, options);
        let clock = &**self.clock();
        let mut renewed = Since::now(clock);
        if plan.rewrites_index {
            let object = rewritten(gathered, &plan);
            store_index(self.store(), &self.keys_now()?, object).await?;
            for (id, _) in &gathered.indexes {
                self.store().delete(&layout::index(*id)?).await?;
            }
        }
        let mut report = PruneReport { plan, deleted_packs: 0, deleted_bytes: 0 };
        let deleted = report.plan.steps.iter().filter(|step| step.action == PruneAction::Delete);
        let doomed: HashSet<PackId> = deleted.clone().map(|step| step.pack).collect();
        let mut watch = Watch::over(gathered, doomed);
        for (number, step) in deleted.enumerate() {
            if number % WATCHED == 0
                && let Some(name) = watch.look(self).await?
            {
                return Ok(Err(name));
            }
            // Before each deletion: after a lapse, someone may have found a use for the pack.
            if renewed.passed(clock) > LEASE_TIME / 3 {
                lease.renew().await?;
                renewed = Since::now(clock);
            }
            self.store().delete(&layout::pack(step.pack)?).await?;
            observer.on_event(&Event::Progress { bytes: step.bytes });
            report.deleted_packs += 1;
            report.deleted_bytes += step.bytes;
        }
        Ok(Ok(report))
    }

    /// Returns a snapshot that appeared since the facts were gathered: it may need what they
    /// call unneeded. Snapshots that appear later have checked the marks themselves.
    async fn appeared(&self, seen: &HashSet<SnapshotId>) -> Result<Option<ObjectName>> {
        let listed: Vec<_> = self.store().list(layout::SNAPSHOTS).await?.try_collect().await?;
        for object in listed {
            if !seen.contains(&layout::id_of::<SnapshotId>(&object.name)?) {
                return Ok(Some(object.name));
            }
        }
        Ok(None)
    }
}

/// Packs deleted between two looks at what appeared meanwhile.
const WATCHED: usize = 50;

/// Looks for indexes that appeared since the facts were gathered.
struct Watch {
    indexes: HashSet<IndexId>,
    doomed: HashSet<PackId>,
}

impl Watch {
    fn over(gathered: &Gathered, doomed: HashSet<PackId>) -> Self {
        let indexes = gathered.indexes.iter().map(|(id, _)| *id).collect();
        Self { indexes, doomed }
    }

    /// Returns the index of a run that was suspended for long, if one names what the plan took
    /// for a leftover: somebody may rely on it.
    async fn look(&mut self, repository: &Repository) -> Result<Option<ObjectName>> {
        let listed: Vec<_> = repository.store().list(layout::INDEXES).await?.try_collect().await?;
        for object in listed {
            let id = layout::id_of::<IndexId>(&object.name)?;
            if !self.indexes.insert(id) {
                continue;
            }
            let index = match repository.read_index(id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read?,
            };
            if index.packs.iter().any(|pack| self.doomed.contains(&pack.id)) {
                return Ok(Some(object.name));
            }
        }
        Ok(None)
    }
}

/// How often prune gathers the facts before it gives way to backups.
const ATTEMPTS: u32 = 3;

/// Returns the one index that replaces all others.
fn rewritten(gathered: &Gathered, plan: &PrunePlan) -> IndexObject {
    let actions: HashMap<PackId, PruneAction> =
        plan.steps.iter().map(|step| (step.pack, step.action)).collect();
    let dead: HashSet<_> =
        gathered.indexes.iter().flat_map(|(_, object)| object.supersedes.iter()).collect();
    let mut packs: HashMap<PackId, PackEntries> = HashMap::new();
    for (id, object) in &gathered.indexes {
        if dead.contains(id) {
            continue;
        }
        for pack in &object.packs {
            let marked_at = match actions.get(&pack.id) {
                Some(PruneAction::Delete | PruneAction::Drop) => continue,
                Some(PruneAction::Mark) => Some(gathered.facts.now.as_second()),
                Some(PruneAction::Wait) => pack.marked_at,
                _ => None,
            };
            let entry = packs.entry(pack.id).or_insert(PackEntries { marked_at, ..pack.clone() });
            entry.marked_at = entry.marked_at.max(marked_at);
        }
    }
    let mut packs: Vec<PackEntries> = packs.into_values().collect();
    packs.sort_by_key(|pack| pack.id);
    IndexObject { supersedes: gathered.indexes.iter().map(|(id, _)| *id).collect(), packs }
}

/// Joins the two halves of a prune without grace: what was marked and then deleted is shown
/// once, as deleted.
fn combined(marked: &PrunePlan, mut deleted: PrunePlan) -> PrunePlan {
    for step in &mut deleted.steps {
        let before = marked.steps.iter().find(|other| other.pack == step.pack);
        if let Some(before) = before.filter(|_| step.action == PruneAction::Delete) {
            step.reason.clone_from(&before.reason);
        }
    }
    deleted
}
