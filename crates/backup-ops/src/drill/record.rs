//! A drill of a stored snapshot, and what it leaves: a receipt, and the snapshot's proof.

use std::sync::Arc;

use backup_core::port::{Clock, DrillTarget, NoObserver, Observer};
use backup_core::{Error, ErrorKind, Result, Snapshot, Verified, VerifyLevel};
use backup_repository::Repository;
use backup_verification::{Depth, Request};

use super::{DrillReceipt, DrillRequest, Rehearsal, rehearse};
use crate::document::PhaseDocument;
use crate::interrupt::Interrupt;

/// Drills a snapshot and records what was found: the receipt always; the proof `drilled` when
/// it passed; and where the backup is bad, every earlier proof is taken back, so that nothing
/// better is forgotten in its favour. A drill to a point may fail for its WAL: then the snapshot
/// is read back, and loses its proofs only for damage of its own.
///
/// The receipt says what was found (see [`super::demand`]); an error means that the drill
/// itself could not be held.
pub async fn drill(
    repository: &Repository,
    target: &dyn DrillTarget,
    snapshot: &Snapshot,
    request: &DrillRequest,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<DrillReceipt> {
    let drilled = drill_member(repository, target, snapshot, request, clock, observer, interrupt);
    Ok(drilled.await?.receipt)
}

/// As [`drill`], with the answers about the files of the snapshot's recovery set, which are not
/// recorded here: they say nothing about the snapshot itself.
pub(crate) async fn drill_member(
    repository: &Repository,
    target: &dyn DrillTarget,
    snapshot: &Snapshot,
    request: &DrillRequest,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Rehearsal> {
    if !repository.can_read() {
        return Err(Error::new(ErrorKind::WrongKey, "drill snapshot")
            .hint("The keys here can only write; drill with a passphrase or a recovery key."));
    }
    let before = repository.store().requests().bytes_read;
    let begun = clock.elapsed();
    let parts = interrupt.unless(repository.reader(snapshot)).await?;
    let opening = clock.elapsed().saturating_sub(begun).as_secs_f64();
    let rehearsed = rehearse(parts, snapshot, target, request, clock, observer, interrupt).await?;
    let Rehearsal { mut receipt, keys } = rehearsed;
    receipt.phases.insert(0, PhaseDocument { name: "open repository".into(), seconds: opening });
    receipt.seconds += opening;
    receipt.rto_seconds = receipt.rto_seconds.map(|rto| rto + opening);
    receipt.fetched_bytes = repository.store().requests().bytes_read.saturating_sub(before);
    let at = clock.now();
    repository.record_drill(at, &receipt).await?;
    match receipt.verdict.as_str() {
        "passed" => {
            let verified = Verified { level: VerifyLevel::Drilled, at: Some(at) };
            repository.record_verification(snapshot.id, verified).await?;
        }
        // On the way to a point the stored WAL may be to blame: the snapshot is read by itself,
        // which takes its proofs back where it is damaged.
        "failed" if request.point.is_some() => {
            let alone = Request { snapshots: vec![snapshot.id], depth: Depth::Read };
            let silent: Arc<dyn Observer> = Arc::new(NoObserver);
            let read = backup_verification::verify(repository, &alone, clock, &silent);
            interrupt.unless(read).await?;
        }
        "failed" => repository.withdraw_verification(snapshot.id).await?,
        _ => {}
    }
    Ok(Rehearsal { receipt, keys })
}
