//! Whether a position is one that a server can stop at: behind a record that begins there or later.

use backup_core::{Error, ErrorKind, Lsn, Result, WalFile};
use backup_ops::wal::{RecoveryPlan, WalLog, segments_on_the_way};
use backup_postgres::wal::scanner;
use backup_repository::Repository;

use crate::wal::read_wal;

/// Fails with `NotFound`, and names the nearest position that can be reached, where the last whole
/// record of stored WAL begins before a position: the server would replay everything and then give
/// up. Reads two segments at most.
pub async fn demand_record(
    repository: &Repository,
    log: &WalLog,
    plan: &RecoveryPlan,
    position: Lsn,
) -> Result<()> {
    let segments = segments_on_the_way(repository, log, plan).await?;
    // The last record may begin in the segment before the last.
    let last = segments.get(segments.len().saturating_sub(2)..).unwrap_or_default();
    if last.first().is_none_or(|(_, facts)| position < facts.start) {
        return Ok(());
    }
    let mut walker = None;
    for (segment, _) in last {
        let Some(bytes) = read_wal(repository, log, WalFile::Segment(*segment)).await? else {
            break;
        };
        let walker = match &mut walker {
            Some(walker) => walker,
            none => none.insert(scanner(*segment, &bytes)?),
        };
        walker.feed(&bytes, &mut |_| {});
    }
    match walker.and_then(|walker| walker.last_start()) {
        Some(start) if start < position => Err(refused(plan, position, start)),
        _ => Ok(()),
    }
}

fn refused(plan: &RecoveryPlan, position: Lsn, start: Lsn) -> Error {
    Error::new(ErrorKind::NotFound, "plan recovery")
        .with("goal", format!("position {position}"))
        .with("snapshot", plan.base.snapshot.short())
        .with("timeline", plan.timeline)
        .because(format!(
            "it is inside the last stored record, which begins at {start}: a server stops behind a \
             record that begins at its target or later"
        ))
        .hint(format!(
            "Nearest points that can be reached: --lsn {start} (with that record), or --latest, \
             which is the same moment."
        ))
}
