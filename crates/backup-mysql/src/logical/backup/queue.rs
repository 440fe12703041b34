//! What is left to read: tables to be cut, and segments to be copied.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::logical::borders::Border;

/// A piece of work for one reader.
#[derive(Debug)]
pub(super) enum Task {
    /// Cut the table of that number.
    Plan(usize),
    /// Copy the rows of a table from one border up to another.
    Copy(usize, Border, Option<Border>),
}

#[derive(Debug, Default)]
struct State {
    plans: VecDeque<usize>,
    copies: VecDeque<(usize, Border, Option<Border>)>,
    /// Tables that are being cut: more to copy may come.
    planning: usize,
    /// Somebody failed: nobody goes on.
    stopped: bool,
}

/// The work of one backup, shared by its readers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    /// Begins with tables to be cut, in this order.
    pub(super) fn new(tables: impl Iterator<Item = usize>) -> Self {
        let state = State { plans: tables.collect(), ..State::default() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Returns the next piece of work, waiting for it while others may add some; nothing once
    /// all is done.
    pub(super) async fn next(&self) -> Option<Task> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.stopped {
                    return None;
                }
                if let Some((table, from, to)) = state.copies.pop_front() {
                    return Some(Task::Copy(table, from, to));
                }
                if let Some(table) = state.plans.pop_front() {
                    state.planning += 1;
                    return Some(Task::Plan(table));
                }
                if state.planning == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Adds a segment.
    pub(super) fn add(&self, table: usize, from: Border, to: Option<Border>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.copies.push_back((table, from, to));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Says that a table is cut.
    pub(super) fn planned(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.planning = state.planning.saturating_sub(1);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Sends everybody home.
    pub(super) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_wait_for_segments_while_a_table_is_cut() {
        let queue = Queue::new([7].into_iter());
        assert!(matches!(queue.next().await, Some(Task::Plan(7))));
        let (copied, ()) = futures::join!(
            async {
                let mut copied = 0;
                while let Some(Task::Copy(7, ..)) = queue.next().await {
                    copied += 1;
                }
                copied
            },
            async {
                tokio::task::yield_now().await;
                queue.add(7, Border::first(), None);
                tokio::task::yield_now().await;
                queue.add(7, Border { address: 9, key: None }, None);
                queue.planned();
            }
        );
        assert_eq!(copied, 2);
    }

    #[tokio::test]
    async fn whoever_stops_stops_all() {
        let queue = Queue::new([1, 2].into_iter());
        queue.stop();
        assert!(queue.next().await.is_none());
    }
}
