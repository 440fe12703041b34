//! Prune: reclaim what no snapshot needs.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Observer;
use backup_core::{Event, Result};
use backup_repository::{PruneOptions, PrunePlan, PruneReport, Repository};

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
