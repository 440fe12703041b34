//! Writes the audit record.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backup_core::port::Clock;
use backup_core::{ErrorKind, Result};
use tokio::sync::Mutex;

use crate::audit::{Act, Chain, Outcome};
use crate::guard::{Caller, Peer};
use crate::port::Ledger;

/// The same reader reading the same again within this time is one entry.
const SAME_READ: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 10_000;

/// Appends to the audit record, one entry after the other.
pub struct Recorder {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    chain: Mutex<Option<Chain>>,
    reads: std::sync::Mutex<HashMap<String, Duration>>,
    refusals: std::sync::Mutex<Refusals>,
    failures: AtomicU64,
}

impl Recorder {
    /// Returns a recorder that goes on where the ledger's record ends.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            ledger,
            clock,
            chain: Mutex::new(None),
            reads: std::sync::Mutex::default(),
            refusals: std::sync::Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// Appends one entry; it is durable when this returns. Another process may append to the
    /// same record meanwhile: then this one follows it.
    pub async fn append(
        &self,
        actor: &str,
        remote: &str,
        action: &str,
        object: &str,
        outcome: Outcome,
    ) -> Result<()> {
        let mut chain = self.chain.lock().await;
        let mut tries = 0;
        let result = loop {
            let mut end = match chain.take() {
                Some(end) => end,
                None => match self.ledger.newest_audit().await {
                    Ok(newest) => Chain::after(newest.as_ref()),
                    Err(error) => break Err(error),
                },
            };
            let entry = end.append(Act {
                at: self.clock.now(),
                actor: plain(actor),
                remote: plain(remote),
                action: plain(action),
                object: plain(object),
                outcome,
            });
            match self.ledger.append_audit(&entry).await {
                Ok(()) => {
                    *chain = Some(end);
                    break Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Conflict && tries < 10 => tries += 1,
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = &result {
            self.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "the audit record cannot be written");
        }
        result
    }

    /// Returns how many entries could not be written.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) async fn of(
        &self,
        caller: &Caller,
        peer: Peer,
        action: &str,
        object: &str,
        outcome: Outcome,
    ) -> Result<()> {
        self.append(&caller.name, &peer.to_string(), action, object, outcome).await
    }

    /// Records that somebody who showed nothing that is known was refused: one entry in some
    /// minutes for all of them, with the number of those since the last one. Whoever has no token
    /// must not be able to fill the record.
    pub(crate) async fn refused(&self, caller: &Caller, peer: Peer, action: &str) {
        let since = {
            let refusals = self.refusals.lock();
            let mut refusals = refusals.unwrap_or_else(std::sync::PoisonError::into_inner);
            refusals.take(self.clock.elapsed())
        };
        let Some(since) = since else { return };
        let object = match since {
            0 => String::new(),
            more => format!("{more} more since the last one that was written down"),
        };
        // It is refused all the same; that it was not written down is counted.
        let _ = self.of(caller, peer, action, &object, Outcome::Denied).await;
    }

    /// Returns whether a read is to be recorded: the first within some minutes.
    pub(crate) fn is_new_read(
        &self,
        caller: &Caller,
        peer: Peer,
        action: &str,
        object: &str,
    ) -> bool {
        let now = self.clock.elapsed();
        let key = format!("{}\0{peer}\0{action}\0{object}", caller.name);
        let mut reads = self.reads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(at) = reads.get(&key)
            && now.saturating_sub(*at) < SAME_READ
        {
            return false;
        }
        if reads.len() >= REMEMBERED {
            reads.retain(|_, at| now.saturating_sub(*at) < SAME_READ);
        }
        if reads.len() >= REMEMBERED {
            reads.clear();
        }
        reads.insert(key, now);
        true
    }
}

/// Refusals of those who showed nothing that is known.
#[derive(Default)]
struct Refusals {
    written: Option<Duration>,
    since: u64,
}

impl Refusals {
    /// Counts one; when it is to be written down, returns how many were not since the last.
    fn take(&mut self, now: Duration) -> Option<u64> {
        if self.written.is_some_and(|at| now.saturating_sub(at) < SAME_READ) {
            self.since += 1;
            return None;
        }
        self.written = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// One short line without control characters.
fn plain(text: &str) -> String {
    text.chars().take(256).map(|c| if c.is_control() { '_' } else { c }).collect()
}
