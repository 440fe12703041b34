//! The memory of runs.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{JobKind, Result, Run, RunId, RunState, SourceName};

/// Remembers runs and small states across restarts.
///
/// It is a memory, not a truth: what counts is in the repository, from which a lost catalog is
/// rebuilt. Contract:
/// - What a call returned `Ok` for survives the process being killed at any instant.
/// - `Err` changed nothing. Nobody's backup may fail because of it: callers report it and go on.
/// - Values are text without secrets.
#[async_trait]
pub trait Catalog: Send + Sync + std::fmt::Debug {
    /// Writes a run down, in place of what was known of that id.
    async fn record(&self, run: &Run) -> Result<()>;

    /// Returns a run; `None` when there is none of that id.
    async fn run(&self, id: RunId) -> Result<Option<Run>>;

    /// Returns the runs that `filter` asks for, newest first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>>;

    /// Counts the runs that `filter` asks for, by how they stand; its limit is not heeded.
    async fn count(&self, filter: &RunFilter) -> Result<Vec<(RunState, u64)>>;

    /// Drops one run; success when there is none of that id.
    async fn drop_run(&self, id: RunId) -> Result<()>;

    /// Drops the runs that ended and began before `before`; returns how many.
    async fn drop_runs(&self, before: Timestamp) -> Result<u64>;

    /// Returns the value of `key` in `space`.
    async fn get(&self, space: &str, key: &str) -> Result<Option<String>>;

    /// Returns every key of `space` with its value, by key.
    async fn all(&self, space: &str) -> Result<Vec<(String, String)>>;

    /// Writes several values of `space` at once, all or none; `None` removes.
    async fn put(&self, space: &str, values: &[(String, Option<String>)]) -> Result<()>;

    /// Appends entry `number` to the log named `space`: entries count from 1 without holes, and
    /// are never changed. `Conflict` unless it is one more than the newest.
    async fn append(&self, space: &str, number: u64, body: &str) -> Result<()>;

    /// Returns the entries of a log after number `after`, in order, at most `limit`.
    async fn log(&self, space: &str, after: u64, limit: u32) -> Result<Vec<(u64, String)>>;

    /// Returns the newest entry of a log.
    async fn newest(&self, space: &str) -> Result<Option<(u64, String)>>;
}

/// Which runs are meant; everything absent means "any".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this source.
    pub source: Option<SourceName>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// That stand so.
    pub state: Option<RunState>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// With an id below this one: the next page.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: Option<u32>,
}
