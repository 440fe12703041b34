//! Prune: reclaim what no snapshot needs.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Observer;
use backup_core::{Error, ErrorKind, Event, Result};
use backup_repository::{PruneAction, PruneOptions, PrunePlan, PruneReport, Repository};

use crate::interrupt::Interrupt;

/// How long a pack stays marked before it is deleted: longer than any backup may run.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 3600);

/// Works out what a prune would mark and delete; changes nothing.
pub async fn plan(
    repository: &Repository,
    grace: Duration,
    interrupt: &Interrupt,
) -> Result<PrunePlan> {
    interrupt.unless(repository.plan_prune(PruneOptions { grace })).await
}

/// Prunes: marks now, deletes what was marked longer than the grace period ago. Stopping
/// between two steps is safe; the next prune goes on.
pub async fn prune(
    repository: &Repository,
    grace: Duration,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<PruneReport> {
    observer.on_event(&Event::RunStarted { verb: "prune", source: None, expected_bytes: None });
    interrupt.unless(repository.prune(PruneOptions { grace }, Arc::clone(observer))).await
}

/// Fails with `Integrity` where packs are gone from the store that snapshots need. Ask before
/// anything else is deleted.
pub fn demand(plan: &PrunePlan) -> Result<()> {
    let mut lost = plan.steps.iter().filter(|step| step.action == PruneAction::Lost);
    let Some(first) = lost.next() else { return Ok(()) };
    Err(Error::new(ErrorKind::Integrity, "prune")
        .with("lost packs", 1 + lost.count())
        .with("such as", first.pack)
        .because("packs that snapshots need are gone from the store")
        .hint(
            "`backupctl verify --all` names the snapshots. Bring the packs back, or run \
             `backupctl repair index` and take a new backup: it stores again what they held.",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::PackId;
    use backup_repository::PruneStep;

    fn plan(actions: &[PruneAction]) -> PrunePlan {
        let step = |action: &PruneAction| PruneStep {
            pack: PackId([7; 16]),
            bytes: 1,
            action: *action,
            reason: "because".into(),
        };
        PrunePlan { steps: actions.iter().map(step).collect(), rewrites_index: false }
    }

    #[test]
    fn packs_that_snapshots_need_and_that_are_gone_are_an_integrity_failure() {
        use PruneAction::{Delete, Drop, Keep, Lost};
        assert!(demand(&plan(&[Keep, Drop, Delete])).is_ok());
        let error = demand(&plan(&[Keep, Lost, Delete, Lost])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        let field = error.context().iter().find(|(name, _)| *name == "lost packs");
        assert_eq!(field.map(|(_, count)| count.as_str()), Some("2"), "{error}");
    }
}
