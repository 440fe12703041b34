//! What is remembered, also while it cannot be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use backup_core::port::Catalog;
use backup_core::{JobKey, Result, Run, RunId};
use backup_schedule::JobState;

/// Where states of jobs are kept.
pub(super) const JOBS: &str = "jobs";

/// Runs and states on their way to the catalog. What cannot be written waits here and is written
/// with the next: a full disk costs memory of what happened only if the program ends meanwhile.
#[derive(Debug)]
pub struct Memory {
    catalog: Arc<dyn Catalog>,
    runs: BTreeMap<RunId, Option<Run>>,
    states: BTreeMap<JobKey, JobState>,
    problem: Option<String>,
}

/// More would be a leak: the oldest are let go.
const MOST_WAITING: usize = 10_000;

impl Memory {
    /// Writes to `catalog`.
    #[must_use]
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog, runs: BTreeMap::new(), states: BTreeMap::new(), problem: None }
    }

    /// Returns why something could not be written, until it could.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Remembers how a run stands, and the state of its job.
    pub(super) async fn keep(&mut self, run: &Run, state: Option<&JobState>) {
        self.runs.insert(run.id, Some(run.clone()));
        if let Some(state) = state {
            self.states.insert(run.job.clone(), state.clone());
        }
        self.flush().await;
    }

    /// Forgets a run that was none, and remembers the state of its job.
    pub(super) async fn drop(&mut self, run: &Run, state: Option<&JobState>) {
        self.runs.insert(run.id, None);
        if let Some(state) = state {
            self.states.insert(run.job.clone(), state.clone());
        }
        self.flush().await;
    }

    /// Remembers the states of jobs.
    pub(super) async fn keep_states(&mut self, states: Vec<(JobKey, JobState)>) {
        self.states.extend(states);
        self.flush().await;
    }

    /// Writes what waits; returns whether nothing waits any more.
    pub(super) async fn flush(&mut self) -> bool {
        match self.write().await {
            Ok(()) => {
                if self.problem.take().is_some() {
                    tracing::info!("the catalog can be written again");
                }
                true
            }
            Err(error) => {
                if self.problem.is_none() {
                    tracing::error!(%error, hint = error.remedy(), "the catalog cannot be written");
                }
                self.problem = Some(error.to_string());
                while self.runs.len() > MOST_WAITING {
                    self.runs.pop_first();
                }
                false
            }
        }
    }

    async fn write(&mut self) -> Result<()> {
        // A state first: it says that a due time is accounted for, and that must not be lost.
        if !self.states.is_empty() {
            let values: Vec<_> = self
                .states
                .iter()
                .filter_map(|(key, state)| {
                    Some((key.to_string(), Some(serde_json::to_string(state).ok()?)))
                })
                .collect();
            self.catalog.put(JOBS, &values).await?;
            self.states.clear();
        }
        while let Some((id, run)) = self.runs.first_key_value() {
            match run {
                Some(run) => self.catalog.record(run).await?,
                None => self.catalog.drop_run(*id).await?,
            }
            self.runs.pop_first();
        }
        Ok(())
    }
}
