//! Finding the end of one transaction in stored WAL: the server stops there and nowhere else.

use backup_core::{Error, ErrorKind, Lsn, Result, WalFacts, WalFile, WalSegment};
use backup_ops::wal::{RecoveryPlan, WalLog, segments_on_the_way};
use backup_postgres::wal::{Ended, Found, WalEvent, scanner};
use backup_repository::Repository;
use jiff::Timestamp;

use crate::wal::read_wal;

/// Where and how a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionEnd {
    /// Whether it was rolled back: recovery stops there as well, with nothing of it.
    pub rolled_back: bool,
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Position behind the record.
    pub end: Lsn,
}

/// Reads the segments that may hold the end of a transaction and returns it: the first one after
/// the copy is consistent.
///
/// Fails with `NotFound` when no transaction of that id ended there: it may have been running
/// still, or the id is a savepoint's, at which a server does not stop.
pub async fn find_transaction(
    repository: &Repository,
    log: &WalLog,
    plan: &RecoveryPlan,
    xid: u32,
) -> Result<TransactionEnd> {
    let segments = segments_on_the_way(repository, log, plan).await?;
    let mut early = None;
    for position in to_read(&segments, xid) {
        let Some((segment, _)) = segments.get(position) else { continue };
        // The record may end in the next segment.
        let next = segments.get(position + 1).map(|(next, _)| *next);
        match search(repository, log, *segment, next, xid).await? {
            Some(found) if found.end > plan.base.stop => return Ok(found),
            Some(found) => early = Some(found),
            None => {}
        }
    }
    let error = Error::new(ErrorKind::NotFound, "find transaction")
        .with("transaction", xid)
        .with("snapshot", plan.base.snapshot.short())
        .with("timeline", plan.timeline);
    Err(match early {
        Some(found) => error
            .because(format!("it ended at {}, before that snapshot is consistent", found.end))
            .hint("Take an older snapshot, or the snapshot as it is: --immediate."),
        None => error.because("no transaction of that id ends in the stored WAL").hint(
            "A transaction that was still running has no end, and ids of savepoints are none that \
             a server stops at: give the id that pg_current_xact_id() returned, or a time (--at).",
        ),
    })
}

/// Returns which segments to read: those in which it is likely first, then every one that ends in a
/// record of which neither it nor the next one tells.
fn to_read(segments: &[(WalSegment, WalFacts)], xid: u32) -> Vec<usize> {
    let (mut order, rest): (Vec<usize>, Vec<usize>) =
        (0..segments.len()).partition(|position| may_hold(segments, *position, xid));
    let last = segments.len().saturating_sub(1);
    let crosses = |position: &usize| {
        *position < last && segments.get(*position).is_some_and(|(_, facts)| facts.straddles())
    };
    order.extend(rest.into_iter().filter(crosses));
    order
}

/// Whether a transaction of that id may have ended in a segment, or in a record that begins there:
/// ids end roughly in their order.
fn may_hold(segments: &[(WalSegment, WalFacts)], position: usize, xid: u32) -> bool {
    let ids = |position: usize| segments.get(position).and_then(|(_, facts)| facts.xids);
    match (ids(position), ids(position + 1)) {
        (Some((low, high)), Some((_, next))) => within(xid, low, high) || within(xid, low, next),
        (Some((low, high)), None) => within(xid, low, high.wrapping_add(1)),
        // A record that fills the segment, and what comes after it.
        (None, _) => true,
    }
}

/// Transaction ids are on a circle.
fn within(xid: u32, low: u32, high: u32) -> bool {
    xid.wrapping_sub(low) <= high.wrapping_sub(low)
}

async fn search(
    repository: &Repository,
    log: &WalLog,
    segment: WalSegment,
    next: Option<WalSegment>,
    xid: u32,
) -> Result<Option<TransactionEnd>> {
    let mut walker = None;
    let mut ended = None;
    for segment in std::iter::once(segment).chain(next) {
        let Some(bytes) = read_wal(repository, log, WalFile::Segment(segment)).await? else {
            break;
        };
        let walker = match &mut walker {
            Some(walker) => walker,
            none => none.insert(scanner(segment, &bytes)?),
        };
        walker.feed(&bytes, &mut |found| ended = ended.or(end_of(&found, xid)));
        if ended.is_some() {
            break;
        }
    }
    Ok(ended)
}

fn end_of(found: &Found, wanted: u32) -> Option<TransactionEnd> {
    match found.event {
        WalEvent::Transaction { ended, xid: Some(xid), at } if xid == wanted => {
            Some(TransactionEnd { rolled_back: ended == Ended::Aborted, at, end: found.end })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_crosses_is_read_whatever_the_ids_around_it_are() {
        let segment = |low: u32, xids, switched| {
            let segment = WalSegment { timeline: 1, high: 0, low };
            let facts = WalFacts {
                xids: Some(xids),
                segment_size: 1 << 20,
                switched,
                ..WalFacts::default()
            };
            (segment, facts)
        };
        let segments = [
            segment(1, (10, 19), false),
            segment(2, (20, 29), true),
            segment(3, (30, 39), false),
            segment(4, (40, 49), false),
        ];
        assert_eq!(to_read(&segments, 25), [0, 1, 2], "the likely ones first");
        // It ran for long, and ended where two segments meet.
        assert_eq!(to_read(&segments, 5), [0, 2]);
    }

    #[test]
    fn only_segments_around_an_id_are_read() {
        let segment = |low: u32, xids| {
            let segment = WalSegment { timeline: 1, high: 0, low };
            (segment, WalFacts { xids, ..WalFacts::default() })
        };
        let segments = [segment(1, Some((10, 19))), segment(2, None), segment(3, Some((22, 30)))];
        let read = |xid| (0..3).filter(|at| may_hold(&segments, *at, xid)).collect::<Vec<_>>();
        assert_eq!(read(12), [0, 1]);
        assert_eq!(read(20), [0, 1], "its record may straddle the first two");
        assert_eq!(read(25), [1, 2]);
        assert_eq!(read(9), [1]);
        assert!(within(3, u32::MAX - 5, 7) && !within(8, u32::MAX - 5, 7));
    }
}
