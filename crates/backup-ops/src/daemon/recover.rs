//! After a stop or a kill: what was under way, and what goes on.

use std::collections::BTreeMap;

use backup_core::port::{Catalog, RunFilter};
use backup_core::{Error, ErrorKind, JobKey, Result, Run, RunState};
use backup_schedule::{Job, JobState};
use jiff::Timestamp;

use super::memory::JOBS;

/// What a catalog knew.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The state of each job.
    pub states: BTreeMap<JobKey, JobState>,
    /// Runs that were under way when the program was killed; they are marked now.
    pub interrupted: Vec<Run>,
    /// Runs that were asked for and had not begun.
    pub queued: Vec<Run>,
}

/// Reads what is remembered, marks every run that was under way as interrupted, and has its job
/// run again. Call it before anything starts, and only while no other program uses the catalog.
pub async fn recover(catalog: &dyn Catalog, jobs: &[Job], now: Timestamp) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    for (key, state) in catalog.all(JOBS).await? {
        match (key.parse(), serde_json::from_str(&state)) {
            (Ok(key), Ok(state)) => {
                recovered.states.insert(key, state);
            }
            _ => tracing::warn!(job = %key, "what was known of a job cannot be read"),
        }
    }
    let mut changed = Vec::new();
    for mut run in find(catalog, RunState::Running).await? {
        run.state = RunState::Interrupted;
        let error = Error::new(ErrorKind::Interrupted, "finish run")
            .because("the program ended while it was under way")
            .hint("It is run again; what was stored is not stored twice.");
        run.error = Some((&error).into());
        if let Some(job) = jobs.iter().find(|job| job.key == run.job) {
            let state = recovered
                .states
                .entry(run.job.clone())
                .or_insert_with(|| JobState::from(run.started_at));
            state.killed(job, now);
            changed.push((run.job.clone(), state.clone()));
        }
        recovered.interrupted.push(run);
    }
    // States first: a kill between the two marks the run again, and runs it once all the same.
    let values: Vec<_> = changed
        .iter()
        .filter_map(|(key, state)| {
            Some((key.to_string(), Some(serde_json::to_string(state).ok()?)))
        })
        .collect();
    if !values.is_empty() {
        catalog.put(JOBS, &values).await?;
    }
    for run in &recovered.interrupted {
        catalog.record(run).await?;
    }
    recovered.queued = find(catalog, RunState::Queued).await?;
    recovered.queued.reverse();
    Ok(recovered)
}

async fn find(catalog: &dyn Catalog, state: RunState) -> Result<Vec<Run>> {
    catalog.runs(&RunFilter { state: Some(state), ..RunFilter::default() }).await
}
