//! A ledger in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use backup_core::port::{AlertBook, AlertLedger, LedgerChange, QueuedAlert};
use backup_core::{Error, ErrorKind, Result};

use crate::sync::lock;

/// An [`AlertLedger`] that outlives nothing but the desk that uses it, and breaks on demand.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    book: AlertBook,
    all: BTreeMap<u64, QueuedAlert>,
    broken: bool,
}

impl MemoryLedger {
    /// Makes every call fail from now on, or work again.
    pub fn set_broken(&self, broken: bool) {
        lock(&self.state).broken = broken;
    }

    /// Returns every delivery that was ever recorded, by number.
    #[must_use]
    pub fn deliveries(&self) -> Vec<QueuedAlert> {
        lock(&self.state).all.values().cloned().collect()
    }
}

impl State {
    fn check(&self) -> Result<()> {
        if self.broken {
            return Err(Error::new(ErrorKind::Failed, "write ledger").because("it is broken"));
        }
        Ok(())
    }
}

#[async_trait]
impl AlertLedger for MemoryLedger {
    async fn load(&self) -> Result<AlertBook> {
        let state = lock(&self.state);
        state.check()?;
        Ok(state.book.clone())
    }

    async fn apply(&self, changes: &[LedgerChange]) -> Result<()> {
        let mut state = lock(&self.state);
        state.check()?;
        for change in changes {
            state.book.apply(change);
            if let LedgerChange::Delivery(delivery) = change {
                state.all.insert(delivery.id, delivery.clone());
            }
        }
        Ok(())
    }

    async fn recent(&self, limit: usize) -> Result<Vec<QueuedAlert>> {
        let state = lock(&self.state);
        state.check()?;
        Ok(state.all.values().rev().take(limit).cloned().collect())
    }
}
