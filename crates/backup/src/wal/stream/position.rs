//! Where to begin: where the stored WAL ends, if the server still has what follows.

use backup_core::{Error, ErrorKind, Lsn, Result, WalFile};
use backup_ops::wal::{Inventory, WalLog, take_inventory};
use backup_postgres::replication::{Replication, slot};
use backup_postgres::{Client, ConnectOptions};
use backup_repository::Repository;

/// Where receiving begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) timeline: u32,
    pub(super) start: Lsn,
    /// Stored WAL ends here although the server's goes on later only: the rest is lost.
    pub(super) lost_from: Option<(u32, Lsn)>,
}

/// What the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Its timeline now.
    pub(super) timeline: u32,
    /// Where its WAL ends.
    pub(super) end: Lsn,
    /// From where on the slot keeps WAL; `None` if it keeps none.
    pub(super) kept: Option<Lsn>,
    pub(super) segment_size: u64,
}

/// Returns where whole segments end on the newest stored timeline that the server knows.
///
/// Several are stored at once, so that after a failure one before the last may be missing. What
/// lies before `kept` was acknowledged in order; from there on, the first that is missing is the
/// end: the slot has it still.
pub(super) fn stored_end(
    inventory: &Inventory,
    timeline: u32,
    kept: Option<Lsn>,
) -> Option<(u32, Lsn)> {
    let size = inventory.segment_size;
    let stored = inventory.timelines.range(..=timeline).rev();
    let mut ends = stored.filter_map(|(number, wal)| {
        let (start, _) = wal.segments.last_key_value()?;
        let end = Lsn(start.0.saturating_add(size));
        let begin = wal.history.as_ref().and_then(|history| history.last());
        let begin = begin.map_or(Lsn(0), |branch| branch.end);
        let mut at = kept.map_or(end, |kept| kept.max(begin).segment_start(size));
        while at < end && wal.segments.contains_key(&at) {
            at = Lsn(at.0.saturating_add(size));
        }
        Some((*number, at.min(end)))
    });
    ends.next()
}

/// Decides; pure.
pub(super) fn choose(stored: Option<(u32, Lsn)>, offer: Offer) -> Position {
    let fresh = offer.kept.unwrap_or(offer.end).segment_start(offer.segment_size);
    match stored {
        None => Position { timeline: offer.timeline, start: fresh, lost_from: None },
        // What is stored already ends where the server is, or even later by a segment that was
        // archived by other means.
        Some((timeline, end)) => Position { timeline, start: end, lost_from: None },
    }
}

/// Where to go on after the server said that what follows the stored WAL is gone.
pub(super) fn after_loss(stored: (u32, Lsn), offer: Offer) -> Position {
    let start = offer.kept.unwrap_or(offer.end).segment_start(offer.segment_size);
    Position { timeline: offer.timeline, start, lost_from: Some(stored) }
}

/// Makes sure that the slot is there and usable, and returns what it keeps. A slot that lost its
/// WAL is made anew: it keeps nothing any more.
pub(super) async fn ready_slot(
    session: &mut Replication,
    connect: &ConnectOptions,
    name: &str,
) -> Result<Option<Lsn>> {
    let mut client = Client::connect(connect).await?;
    let mut state = slot(&mut client, name).await?;
    if state.as_ref().is_some_and(|state| state.wal_status.as_deref() == Some("lost")) {
        session.drop_slot(name, false).await?;
        state = None;
    }
    if state.is_none() {
        match session.create_slot(name, false).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            other => other?,
        }
        state = slot(&mut client, name).await?;
    }
    client.close().await;
    Ok(state.and_then(|state| state.restart))
}

/// Stores the history of a timeline, without which nobody could follow it.
pub(super) async fn store_history(
    session: &mut Replication,
    repository: &Repository,
    log: &WalLog,
    timeline: u32,
) -> Result<()> {
    if timeline < 2 {
        return Ok(());
    }
    let history = super::receive::answered(session.timeline_history(timeline)).await?;
    let file = WalFile::History(timeline);
    repository.put_wal(log, file, history.content.into(), None).await.map(|_| ())
}

/// Compares what answers with what is stored.
pub(super) async fn stored(
    repository: &Repository,
    log: &WalLog,
    offer: Offer,
) -> Result<Option<(u32, Lsn)>> {
    let inventory = take_inventory(repository, log).await?;
    if inventory.segment_size != 0 && inventory.segment_size != offer.segment_size {
        return Err(Error::new(ErrorKind::Conflict, "stream WAL")
            .with("source", &log.source)
            .with("stored segment size", inventory.segment_size)
            .with("server's", offer.segment_size)
            .hint("The cluster was rebuilt with other segments; give it a source of its own."));
    }
    Ok(stored_end(&inventory, offer.timeline, offer.kept))
}

#[cfg(test)]
mod tests {
    use backup_core::WalSegment;
    use backup_ops::wal::TimelineWal;
    use backup_repository::{WalEntry, WalObject};

    use super::*;

    const SIZE: u64 = 16 << 20;

    fn offer(kept: Option<u64>) -> Offer {
        Offer {
            timeline: 2,
            end: Lsn(9 * SIZE + 5),
            kept: kept.map(|n| Lsn(n * SIZE + 9)),
            segment_size: SIZE,
        }
    }

    #[test]
    fn a_segment_that_failed_while_later_ones_were_stored_is_asked_for_again() {
        let object = |number: u64| WalObject {
            entry: WalEntry::Gap(WalSegment { timeline: 1, high: 0, low: number as u32 }),
            digest: [0; 8],
            name: format!("wal/shop/1/{number}").parse().unwrap(),
            size: 1,
            stored_at: "2026-11-01T00:00:00Z".parse().unwrap(),
        };
        let segments = [3, 4, 6, 7].map(|number| (Lsn(number * SIZE), object(number)));
        let wal = TimelineWal { segments: segments.into(), ..TimelineWal::default() };
        let inventory =
            Inventory { segment_size: SIZE, timelines: [(1, wal)].into(), ..Inventory::default() };
        let end = |kept: Option<u64>| stored_end(&inventory, 1, kept.map(|n| Lsn(n * SIZE + 9)));
        assert_eq!(end(Some(4)), Some((1, Lsn(5 * SIZE))));
        assert_eq!(
            end(Some(6)),
            Some((1, Lsn(8 * SIZE))),
            "what was acknowledged is not looked at"
        );
        assert_eq!(end(Some(9)), Some((1, Lsn(8 * SIZE))));
        assert_eq!(end(None), Some((1, Lsn(8 * SIZE))));
    }

    #[test]
    fn it_goes_on_where_stored_wal_ends() {
        let fresh = |kept| choose(None, offer(kept)).start;
        assert_eq!(fresh(None), Lsn(9 * SIZE));
        assert_eq!(fresh(Some(7)), Lsn(7 * SIZE));
        let on = choose(Some((1, Lsn(5 * SIZE))), offer(Some(7)));
        assert_eq!((on.timeline, on.start, on.lost_from), (1, Lsn(5 * SIZE), None));
        let after = after_loss((1, Lsn(5 * SIZE)), offer(Some(7)));
        assert_eq!((after.timeline, after.start), (2, Lsn(7 * SIZE)));
        assert_eq!(after.lost_from, Some((1, Lsn(5 * SIZE))));
    }
}
