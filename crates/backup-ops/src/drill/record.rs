//! A drill of a stored snapshot, and what it leaves: a receipt, and the snapshot's proof.

use std::sync::Arc;

use backup_core::port::{Clock, DrillTarget, Observer};
use backup_core::{Error, ErrorKind, Result, Snapshot, Verified, VerifyLevel};
use backup_repository::Repository;

use super::{DrillReceipt, DrillRequest, rehearse};
use crate::document::PhaseDocument;
use crate::interrupt::Interrupt;

/// Drills a snapshot and records what was found: the receipt always; the proof `drilled` when
/// it passed; and where the backup is bad, every earlier proof is taken back, so that nothing
/// better is forgotten in its favour.
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
    if !repository.can_read() {
        return Err(Error::new(ErrorKind::WrongKey, "drill snapshot")
            .hint("The keys here can only write; drill with a passphrase or a recovery key."));
    }
    let before = repository.store().requests().bytes_read;
    let begun = clock.elapsed();
    let parts = interrupt.unless(repository.reader(snapshot)).await?;
    let opening = clock.elapsed().saturating_sub(begun).as_secs_f64();
    let mut receipt =
        rehearse(parts, snapshot, target, request, clock, observer, interrupt).await?;
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
        "failed" => repository.withdraw_verification(snapshot.id).await?,
        _ => {}
    }
    Ok(receipt)
}
