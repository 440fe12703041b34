//! Restore: one snapshot into a new place.

use std::sync::Arc;

use backup_core::port::{
    Clock, Observer, Provider, RestoreOptions, RestorePlan, RestoreReport, Target,
};
use backup_core::{Error, ErrorKind, Event, Finding, Result, Snapshot};
use backup_repository::Repository;

use crate::interrupt::Interrupt;

/// A restore that was checked and not begun. Dropping it changes nothing.
pub struct PlannedRestore {
    target: Box<dyn Target>,
    snapshot: Snapshot,
    /// What would be done.
    pub plan: RestorePlan,
}

/// What a restore did.
#[derive(Clone, Debug)]
pub struct RestoreReceipt {
    /// The snapshot restored.
    pub snapshot: Snapshot,
    /// Where to, without secrets.
    pub location: String,
    /// Counts and times.
    pub report: RestoreReport,
    /// Seconds, all in all.
    pub seconds: f64,
}

/// Refuses a target that is the very database the snapshot was taken from, however it is
/// called there. A target that does not exist yet, or cannot be looked at, passes: opening it
/// says why.
async fn refuse_source(provider: &dyn Provider, snapshot: &Snapshot) -> Result<()> {
    match provider.discover().await {
        Ok(found) if found.facts.identity == snapshot.identity => {
            Err(Error::new(ErrorKind::Conflict, "restore snapshot")
                .with("snapshot", snapshot.id.short())
                .with("target", found.facts.location)
                .hint(
                    "That is the database the snapshot was taken from. Restore into a new \
                     database, look at it, then swap the names.",
                ))
        }
        _ => Ok(()),
    }
}

/// Opens the target and works out what a restore would do; writes nothing. `provider` is the
/// target's. A target that is not empty is `Conflict`.
pub async fn plan(
    provider: &dyn Provider,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    interrupt: &Interrupt,
) -> Result<PlannedRestore> {
    interrupt
        .unless(async {
            refuse_source(provider, snapshot).await?;
            let mut target = provider.open_target(options).await?;
            let mut plan = target.plan(snapshot).await?;
            if snapshot.is_suspect() {
                plan.findings.insert(
                    0,
                    Finding::warning(format!(
                        "Snapshot {} is suspect; `backupctl show {}` says why.",
                        snapshot.id.short(),
                        snapshot.id.short()
                    )),
                );
            }
            Ok(PlannedRestore { target, snapshot: snapshot.clone(), plan })
        })
        .await
}

impl PlannedRestore {
    /// Returns what would be restored.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns where it would go, without secrets.
    #[must_use]
    pub fn location(&self) -> String {
        self.target.location()
    }

    /// Makes the plan more exact by what is stored; changes nothing.
    pub async fn look_closer(
        &mut self,
        repository: &Repository,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let looked = interrupt.unless(async {
            let parts = repository.reader(&self.snapshot).await?;
            self.target.preview(&self.snapshot, parts).await
        });
        if let Some(closer) = looked.await? {
            let findings = std::mem::take(&mut self.plan.findings);
            self.plan = closer;
            self.plan.findings.splice(0..0, findings);
        }
        Ok(())
    }

    /// Carries the plan out. Any error means that the target must not be used; what to do with
    /// its remains is in the hint.
    pub async fn execute(
        mut self,
        repository: &Repository,
        clock: &Arc<dyn Clock>,
        observer: &Arc<dyn Observer>,
        interrupt: &Interrupt,
    ) -> Result<RestoreReceipt> {
        let begun = clock.elapsed();
        observer.on_event(&Event::RunStarted {
            verb: "restore",
            source: Some(self.snapshot.source.clone()),
            expected_bytes: Some(self.plan.bytes),
        });
        let location = self.target.location();
        let report = interrupt
            .unless(async {
                let parts = repository.reader(&self.snapshot).await?;
                self.target.restore(&self.snapshot, parts).await
            })
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::Interrupted | ErrorKind::Terminated => {
                    error.with("target", &location).hint(LEFTOVERS)
                }
                _ => advise(error, &self.snapshot),
            })?;
        Ok(RestoreReceipt {
            snapshot: self.snapshot,
            location,
            report,
            seconds: clock.elapsed().saturating_sub(begun).as_secs_f64(),
        })
    }
}

const LEFTOVERS: &str = "A database that the restore created is dropped again; one that was \
                         there before may hold leftovers: empty it, then run the restore again.";

/// What to do about an error that does not say.
fn advise(error: Error, snapshot: &Snapshot) -> Error {
    if error.remedy().is_some() {
        return error;
    }
    let id = snapshot.id.short();
    match error.kind() {
        ErrorKind::Integrity => error.hint(format!(
            "Stored data is damaged or gone: `backupctl verify {id} --read-data` says which. \
             Restore an older snapshot meanwhile."
        )),
        _ => error.hint(LEFTOVERS),
    }
}
