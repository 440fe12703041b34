//! A book that is being changed, and the changes made to it.

use backup_core::port::{Alert, AlertBook, DeliveryState, LedgerChange, OpenProblem, QueuedAlert};
use jiff::Timestamp;

/// Changes take effect at once and are noted.
pub(super) struct Draft {
    pub(super) book: AlertBook,
    changes: Vec<LedgerChange>,
    pub(super) now: Timestamp,
}

impl Draft {
    pub(super) fn new(book: &AlertBook, now: Timestamp) -> Self {
        Self { book: book.clone(), changes: Vec::new(), now }
    }

    pub(super) fn finish(self) -> Vec<LedgerChange> {
        last_words(self.changes)
    }

    fn change(&mut self, change: LedgerChange) {
        self.book.apply(&change);
        self.changes.push(change);
    }

    pub(super) fn put_problem(&mut self, problem: OpenProblem) {
        self.change(LedgerChange::Problem(problem));
    }

    pub(super) fn close_problem(&mut self, key: &str) {
        self.change(LedgerChange::Closed(key.to_owned()));
    }

    pub(super) fn put_delivery(&mut self, delivery: QueuedAlert) {
        self.change(LedgerChange::Delivery(delivery));
    }

    /// Queues an alert for a channel.
    pub(super) fn enqueue(&mut self, channel: &str, alert: Alert) {
        self.put_delivery(QueuedAlert {
            id: self.book.next_id,
            channel: channel.to_owned(),
            alert,
            queued_at: self.now,
            attempts: 0,
            next_try: self.now,
            last_error: None,
            channel_down: false,
            state: DeliveryState::Waiting,
            ended_at: None,
        });
    }

    /// Drops every waiting delivery that `unwanted` picks, saying why.
    pub(super) fn drop_where(&mut self, why: &str, unwanted: impl Fn(&QueuedAlert) -> bool) {
        let picked: Vec<QueuedAlert> =
            self.book.waiting.values().filter(|delivery| unwanted(delivery)).cloned().collect();
        for delivery in picked {
            self.put_delivery(QueuedAlert {
                state: DeliveryState::Dropped,
                last_error: Some(why.to_owned()),
                ended_at: Some(self.now),
                ..delivery
            });
        }
    }

    /// Returns the delivery that waits to tell a channel that a problem exists.
    pub(super) fn waiting_report(&self, channel: &str, key: &str) -> Option<QueuedAlert> {
        let mut waiting = self.book.waiting.values();
        waiting.find(|one| one.channel == channel && one.reports(key)).cloned()
    }
}

/// Returns each thing's last change only, in the order of those.
pub(super) fn last_words(changes: Vec<LedgerChange>) -> Vec<LedgerChange> {
    let mut kept: Vec<LedgerChange> = Vec::with_capacity(changes.len());
    for change in changes {
        kept.retain(|earlier| !same_thing(earlier, &change));
        kept.push(change);
    }
    kept
}

fn same_thing(a: &LedgerChange, b: &LedgerChange) -> bool {
    match (a, b) {
        (LedgerChange::Delivery(a), LedgerChange::Delivery(b)) => a.id == b.id,
        (LedgerChange::Delivery(_), _) | (_, LedgerChange::Delivery(_)) => false,
        (a, b) => key(a) == key(b),
    }
}

fn key(change: &LedgerChange) -> Option<&str> {
    match change {
        LedgerChange::Problem(problem) => Some(&problem.key),
        LedgerChange::Closed(key) => Some(key),
        LedgerChange::Delivery(_) => None,
    }
}
