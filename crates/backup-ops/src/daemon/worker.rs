//! Who does the work, and who watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{JobKey, Result, Run, RunId, RunPhase, SnapshotId, Trigger};
use jiff::Timestamp;

use super::Board;
use crate::interrupt::Interrupt;

/// Carries out one run.
///
/// Contract: when asked to stop it returns soon, and what it opened on servers ends. Dropped, it
/// ends as well. Nothing half done counts.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Does what the order says and reports; never panics.
    async fn work(&self, order: &Order, interrupt: &Interrupt) -> Report;
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The run it is.
    pub run: RunId,
    /// The job.
    pub key: JobKey,
    /// Why.
    pub trigger: Trigger,
    /// The due time it serves; absent when somebody asked.
    pub due: Option<Timestamp>,
    /// When it was begun.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub result: Result<Verdict>,
    /// The snapshot it committed, also when it failed afterwards.
    pub snapshot: Option<SnapshotId>,
    /// Counts and sizes by name.
    pub numbers: BTreeMap<String, u64>,
    /// Its phases in order.
    pub phases: Vec<RunPhase>,
}

impl From<Result<Verdict>> for Report {
    fn from(result: Result<Verdict>) -> Self {
        Self { result, snapshot: None, numbers: BTreeMap::new(), phases: Vec::new() }
    }
}

/// How a run that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did what it should.
    Good,
    /// What it committed cannot be trusted.
    Suspect,
    /// Another program did this for the same due time.
    DoneElsewhere,
    /// Another program is doing it.
    HeldElsewhere,
}

/// Is told how runs stand. Infallible and quick.
pub trait Watcher: Send + Sync {
    /// A run was queued, began or ended.
    fn changed(&self, run: &Run);

    /// Everything looks like this now.
    fn looked(&self, board: &Arc<Board>);
}
