//! A catalog that was lost, from what the repository knows.

use std::collections::BTreeMap;

use backup_core::{HeadRecord, JobKey, JobKind, Run, RunId, RunState, Trigger};
use backup_schedule::JobState;
use jiff::Timestamp;

/// Returns a run for each snapshot: when, how long, how much. Runs that committed nothing left no
/// trace.
#[must_use]
pub fn rebuild(records: &[HeadRecord]) -> Vec<Run> {
    records.iter().map(run).collect()
}

fn run(record: &HeadRecord) -> Run {
    let snapshot = &record.snapshot;
    // The same snapshot always gets the same id.
    let mut id = snapshot.id.0;
    let time = u64::try_from(snapshot.started_at.as_millisecond()).unwrap_or(0);
    id[..6].copy_from_slice(&time.to_be_bytes()[2..]);
    let job = JobKey::of(JobKind::Backup, &snapshot.source);
    let mut run = Run::begin(RunId(id), job, Trigger::Rebuilt, snapshot.started_at);
    run.ended_at = Some(snapshot.finished_at);
    run.state = if snapshot.is_suspect() { RunState::Suspect } else { RunState::Succeeded };
    run.snapshot = Some(snapshot.id);
    run.numbers = numbers(record);
    run
}

/// Returns what is counted about a snapshot's run.
pub(crate) fn numbers(record: &HeadRecord) -> BTreeMap<String, u64> {
    let snapshot = &record.snapshot;
    BTreeMap::from([
        ("read_bytes".to_owned(), snapshot.read_bytes),
        ("added_bytes".to_owned(), snapshot.added_bytes),
        ("stored_bytes".to_owned(), snapshot.stored_bytes),
        ("rows".to_owned(), snapshot.rows),
    ])
}

/// Returns the states of jobs as far as snapshots tell: what was due up to the newest backup and
/// the newest proof is accounted for, so that what was missed since is made up for.
#[must_use]
pub fn states_of(records: &[HeadRecord]) -> BTreeMap<JobKey, JobState> {
    let mut served: BTreeMap<JobKey, Timestamp> = BTreeMap::new();
    let mut saw = |key: JobKey, at: Timestamp| {
        let known = served.entry(key).or_insert(at);
        *known = (*known).max(at);
    };
    for record in records {
        let source = &record.snapshot.source;
        saw(JobKey::of(JobKind::Backup, source), record.snapshot.started_at);
        if let Some(at) = record.verified.at {
            saw(JobKey::of(JobKind::Verify, source), at);
        }
    }
    served.into_iter().map(|(key, at)| (key, JobState::from(at))).collect()
}
