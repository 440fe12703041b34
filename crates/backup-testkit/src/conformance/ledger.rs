//! The contract of [`AlertLedger`].

use std::collections::BTreeMap;

use backup_core::Severity;
use backup_core::port::{
    Alert, AlertBook, AlertLedger, DeliveryState, LedgerChange, OpenProblem, Phase, QueuedAlert,
    Told,
};
use jiff::Timestamp;

/// Holds an empty ledger to its contract. `reopen` closes it and opens it again from what it
/// kept, as a restart would.
///
/// # Panics
/// When it breaks the contract.
pub async fn ledger<L, F>(mut ledger: L, reopen: impl Fn(L) -> F)
where
    L: AlertLedger,
    F: Future<Output = L>,
{
    let fresh = ledger.load().await;
    assert!(fresh.is_ok_and(|book| book == AlertBook::default()), "an empty ledger is empty");

    let mut book = AlertBook::default();
    for changes in story() {
        let applied = ledger.apply(&changes).await;
        assert!(applied.is_ok(), "{applied:?}");
        changes.iter().for_each(|change| book.apply(change));
        let loaded = ledger.load().await;
        assert!(loaded.as_ref().is_ok_and(|loaded| *loaded == book), "{loaded:#?} {book:#?}");
        ledger = reopen(ledger).await;
        let loaded = ledger.load().await;
        let survived = loaded.as_ref().is_ok_and(|loaded| *loaded == book);
        assert!(survived, "lost by a restart: {loaded:#?} {book:#?}");
    }

    let recent = ledger.recent(2).await.unwrap_or_default();
    let ids: Vec<u64> = recent.iter().map(|one| one.id).collect();
    assert_eq!(ids, [8, 7], "the newest come first");
    let states: Vec<DeliveryState> = recent.iter().map(|one| one.state).collect();
    assert_eq!(states, [DeliveryState::Waiting, DeliveryState::Dropped]);
    assert!(ledger.apply(&[]).await.is_ok(), "no change is a change that works");
}

/// Batches of changes that use every kind and every field.
fn story() -> Vec<Vec<LedgerChange>> {
    let first = delivery(0, DeliveryState::Waiting);
    let second = delivery(7, DeliveryState::Waiting);
    let mut told = OpenProblem { told: BTreeMap::new(), ..problem("backup/shop") };
    told.told.insert("slack".into(), Told { severity: Severity::Critical, at: at(5) });
    let retried = QueuedAlert {
        attempts: 3,
        next_try: at(90),
        last_error: Some("refused — \"später\"\n".into()),
        channel_down: true,
        ..second.clone()
    };
    vec![
        vec![LedgerChange::Problem(problem("backup/shop")), LedgerChange::Delivery(first.clone())],
        vec![LedgerChange::Problem(told), LedgerChange::Delivery(second)],
        vec![LedgerChange::Delivery(ended(first, DeliveryState::Delivered))],
        vec![LedgerChange::Delivery(retried.clone()), LedgerChange::Problem(problem("prune"))],
        vec![
            LedgerChange::Closed("backup/shop".into()),
            LedgerChange::Closed("nobody knows this one".into()),
            LedgerChange::Delivery(ended(retried, DeliveryState::Dropped)),
            LedgerChange::Delivery(delivery(8, DeliveryState::Waiting)),
        ],
    ]
}

fn ended(delivery: QueuedAlert, state: DeliveryState) -> QueuedAlert {
    QueuedAlert { state, ended_at: Some(at(100)), ..delivery }
}

fn problem(key: &str) -> OpenProblem {
    let alert = Alert { problem: Some(key.into()), ..alert() };
    OpenProblem { key: key.into(), alert, since: at(1), told: BTreeMap::new() }
}

fn delivery(id: u64, state: DeliveryState) -> QueuedAlert {
    QueuedAlert {
        id,
        channel: "slack".into(),
        alert: alert(),
        queued_at: at(2),
        attempts: 0,
        next_try: at(2),
        last_error: None,
        channel_down: false,
        state,
        ended_at: None,
    }
}

fn alert() -> Alert {
    Alert {
        severity: Severity::Critical,
        event: "backup.failed".into(),
        source: Some("shop".into()),
        title: "backup of shop failed: größer als \"erwartet\"".into(),
        body: "line\nline\n".into(),
        at: at(0),
        facts: vec![("exit_code".into(), "3".into()), ("exit_code".into(), "3".into())],
        problem: Some("backup/shop".into()),
        phase: Phase::Open,
    }
}

fn at(seconds: i64) -> Timestamp {
    // Finer than a second: what is loaded must be what was stored.
    Timestamp::new(1_767_225_600 + seconds, 123_456_789).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLedger;

    #[tokio::test]
    async fn the_ledger_in_memory_keeps_the_contract() {
        ledger(MemoryLedger::default(), |same| async move { same }).await;
    }
}
