//! A recovery set into new places: all of it is planned before anything is written.

use std::sync::Arc;

use backup_core::port::{Clock, Observer, Provider, RestoreOptions};
use backup_core::{Error, Result, Snapshot};
use backup_repository::Repository;

use crate::interrupt::Interrupt;
use crate::restore::{self, PlannedRestore, RestoreReceipt};

/// Where one member goes.
pub struct MemberTarget {
    /// Its snapshot.
    pub snapshot: Snapshot,
    /// The target's provider.
    pub provider: Arc<dyn Provider>,
    /// How it is restored.
    pub options: RestoreOptions,
}

/// Works out what restoring the members would do, as [`restore::plan`] does; writes nothing. The
/// first member that cannot be restored is the error, which names it.
pub async fn plan_set(
    members: &[MemberTarget],
    interrupt: &Interrupt,
) -> Result<Vec<PlannedRestore>> {
    let mut planned = Vec::with_capacity(members.len());
    for member in members {
        let (provider, snapshot) = (member.provider.as_ref(), &member.snapshot);
        let plan = restore::plan(provider, snapshot, &member.options, interrupt).await;
        planned.push(plan.map_err(|error| error.with("member", &snapshot.source))?);
    }
    Ok(planned)
}

/// Carries the plans out, one after the other, and hands each receipt to `done`. The first failure
/// ends it; the error says what was restored before, and what was not.
pub async fn restore_set(
    planned: Vec<PlannedRestore>,
    repository: &Repository,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
    done: &mut (dyn FnMut(&RestoreReceipt) -> Result<()> + Send),
) -> Result<()> {
    let mut restored: Vec<String> = Vec::new();
    let mut left: Vec<String> =
        planned.iter().rev().map(|plan| plan.snapshot().source.to_string()).collect();
    for plan in planned {
        let member = left.pop().unwrap_or_default();
        let ran = plan.execute(repository, clock, observer, interrupt).await;
        match ran.and_then(|receipt| done(&receipt).map(|()| receipt)) {
            Ok(receipt) => restored.push(format!("{member} into {}", receipt.location)),
            Err(error) => return Err(partly(error, &member, &restored, &left)),
        }
    }
    Ok(())
}

fn partly(error: Error, member: &str, restored: &[String], left: &[String]) -> Error {
    let list = |names: &[String]| match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    let rest: Vec<String> = left.iter().rev().cloned().collect();
    error
        .with("failed member", member)
        .with("restored", list(restored))
        .with("not begun", list(&rest))
}
