//! Verify: prove what is stored, and keep the proof with the snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;

use backup_core::port::{Clock, Observer};
use backup_core::{Error, ErrorKind, Event, Result};
use backup_repository::Repository;

use crate::interrupt::Interrupt;

pub use backup_verification::{Depth, Problem, Report, Request, SnapshotReport};

/// Proves what `request` names and records what was proved, snapshot by snapshot; damage does
/// not keep the sound ones from their proof.
///
/// Damage is in the report (see [`demand`]); an error means that the looking itself failed.
pub async fn verify(
    repository: &Repository,
    request: &Request,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Report> {
    if !repository.can_read() {
        return Err(Error::new(ErrorKind::WrongKey, "verify snapshots")
            .hint("The keys here can only write; verify with a passphrase or a recovery key."));
    }
    let report =
        interrupt.unless(backup_verification::verify(repository, request, clock, observer)).await?;
    let error = (!report.is_clean()).then(|| "damage was found".to_owned());
    observer.on_event(&Event::RunFinished { at: clock.now(), error });
    Ok(report)
}

/// Turns damage into the `Integrity` error that names its victims: sources, snapshots, parts.
pub fn demand(report: &Report) -> Result<()> {
    if report.is_clean() {
        return Ok(());
    }
    let hurt: Vec<&SnapshotReport> =
        report.snapshots.iter().filter(|snapshot| !snapshot.problems.is_empty()).collect();
    let sources: BTreeSet<&str> = hurt.iter().map(|snapshot| snapshot.source.as_str()).collect();
    let mut error = Error::new(ErrorKind::Integrity, "verify snapshots");
    if !hurt.is_empty() {
        let named: Vec<String> = hurt.iter().take(8).map(|snapshot| snapshot.id.short()).collect();
        error = error
            .with("sources", sources.into_iter().collect::<Vec<_>>().join(" "))
            .with("damaged snapshots", format!("{} of {}", hurt.len(), report.snapshots.len()))
            .with("such as", named.join(" "));
    }
    let problem = hurt.iter().flat_map(|snapshot| &snapshot.problems).next();
    if let Some(problem) = problem {
        error = error.with("first", format!("{}: {}", problem.part, problem.message));
    } else if let Some(first) = report.elsewhere.first() {
        error = error.with("first", first);
    }
    Err(error.hint(
        "Move damaged packs out of the repository, run `backupctl repair index`, then take a \
         new backup: it stores again what they held, which heals the snapshots that need it.",
    ))
}
