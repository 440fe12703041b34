//! The daemon's words, in those of the API.

use backup::daemon::{HeldDrill, Link, StreamStanding};
use backup::ops::SourceStatus;
use backup::ops::drill::DrillReceipt;
use backup_api::port::Job;
use backup_api::view::{Drill, Native, Phase, Run, RunCause, RunState, Wal, Window};
use backup_core::{JobKey, JobKind, RunState as CoreState, SourceName, Trigger};
use jiff::{SignedDuration, Timestamp};

use super::live::Notes;

pub(super) fn job(kind: JobKind) -> Job {
    match kind {
        JobKind::Backup => Job::Backup,
        JobKind::Native => Job::Native,
        JobKind::Verify => Job::Verify,
        JobKind::Drill => Job::Drill,
        JobKind::PointDrill => Job::PointDrill,
        JobKind::DisasterDrill => Job::DisasterDrill,
        // Of a source: what retention lets go. Of the repository: the space it leaves.
        JobKind::Forget | JobKind::Prune => Job::Prune,
    }
}

pub(super) fn key(job: Job, source: &SourceName) -> JobKey {
    let kind = match job {
        Job::Backup => JobKind::Backup,
        Job::Native => JobKind::Native,
        Job::Verify => JobKind::Verify,
        Job::Drill => JobKind::Drill,
        Job::PointDrill => JobKind::PointDrill,
        Job::DisasterDrill => JobKind::DisasterDrill,
        Job::Prune => JobKind::Forget,
    };
    JobKey::of(kind, source)
}

pub(super) fn kinds(job: Option<Job>) -> &'static [Option<JobKind>] {
    match job {
        None => &[None],
        Some(Job::Backup) => &[Some(JobKind::Backup)],
        Some(Job::Native) => &[Some(JobKind::Native)],
        Some(Job::Verify) => &[Some(JobKind::Verify)],
        Some(Job::Drill) => &[Some(JobKind::Drill)],
        Some(Job::PointDrill) => &[Some(JobKind::PointDrill)],
        Some(Job::DisasterDrill) => &[Some(JobKind::DisasterDrill)],
        Some(Job::Prune) => &[Some(JobKind::Forget), Some(JobKind::Prune)],
    }
}

pub(super) fn state(state: CoreState) -> RunState {
    match state {
        CoreState::Queued => RunState::Queued,
        CoreState::Running => RunState::Running,
        CoreState::Succeeded => RunState::Succeeded,
        CoreState::Suspect => RunState::Suspect,
        CoreState::Failed => RunState::Failed,
        CoreState::Interrupted => RunState::Interrupted,
        CoreState::Cancelled => RunState::Cancelled,
    }
}

pub(super) fn core_state(state: RunState) -> CoreState {
    match state {
        RunState::Queued => CoreState::Queued,
        RunState::Running => CoreState::Running,
        RunState::Succeeded => CoreState::Succeeded,
        RunState::Suspect => CoreState::Suspect,
        RunState::Failed => CoreState::Failed,
        RunState::Interrupted => CoreState::Interrupted,
        RunState::Cancelled => CoreState::Cancelled,
    }
}

/// A run, with what was noted about it while it went on.
pub(super) fn run(run: &backup_core::Run, notes: Option<&Notes>) -> Run {
    let state = state(run.state);
    let number = |name: &str| run.numbers.get(name).copied();
    Run {
        id: run.id.to_string(),
        source: run.job.source.clone(),
        job: job(run.job.kind),
        cause: match run.trigger {
            Trigger::Schedule | Trigger::Rebuilt => RunCause::Schedule,
            Trigger::CatchUp => RunCause::CatchUp,
            Trigger::Retry => RunCause::Retry,
            Trigger::Snapshot => RunCause::Follow,
            Trigger::Request => RunCause::Manual,
        },
        by: run.actor.clone(),
        state,
        attempt: run.attempt,
        queued_at: run.started_at,
        started_at: (state != RunState::Queued).then_some(run.started_at),
        finished_at: run.ended_at,
        expected_bytes: notes.and_then(|notes| notes.expected_bytes),
        done_bytes: number("read_bytes")
            .or_else(|| notes.map(|notes| notes.done_bytes))
            .unwrap_or_default(),
        stored_bytes: number("stored_bytes")
            .or_else(|| notes.map(|notes| notes.stored_bytes))
            .unwrap_or_default(),
        snapshot: run.snapshot.map(|id| id.to_string()),
        error: run.error.as_ref().map(|error| error.message.clone()),
        remedy: run.error.as_ref().and_then(|error| error.hint.clone()),
    }
}

/// A drill that this daemon remembers.
pub(super) fn held(held: &HeldDrill) -> Drill {
    drill(&held.receipt, held.run.map(|run| run.to_string()))
}

/// What a drill found, and the run it was.
pub(super) fn drill(receipt: &DrillReceipt, run: Option<String>) -> Drill {
    let wrong = |outcome: &str| !matches!(outcome, "passed" | "skipped");
    let failures = receipt.questions.iter().filter(|question| wrong(&question.outcome));
    let took = SignedDuration::try_from_secs_f64(receipt.seconds).unwrap_or_default();
    Drill {
        run,
        snapshot: receipt.snapshot.clone(),
        at: receipt.at.saturating_add(took).unwrap_or(receipt.at),
        verdict: receipt.verdict.clone(),
        passed: receipt.verdict == "passed",
        rto_seconds: receipt.rto_seconds,
        phases: receipt.phases.clone(),
        questions: receipt.questions.len() as u64,
        failures: failures.map(|failed| format!("{}: {}", failed.name, failed.detail)).collect(),
    }
}

/// How receiving WAL stands; nothing where another daemon receives it and says so.
pub(super) fn wal(stream: &StreamStanding, now: Timestamp) -> Option<Wal> {
    if stream.link == Link::Elsewhere {
        return None;
    }
    let problem = match &stream.link {
        Link::Stopped(why) | Link::Retrying(why) => Some(why.clone()),
        _ => stream.holes.first().cloned(),
    };
    Some(Wal {
        streaming: stream.link == Link::Streaming,
        lag_seconds: stream.lag(now).map(|lag| lag.as_secs_f64()),
        lag_bytes: stream.lag_bytes,
        segment: stream.segment(),
        gaps: stream.gaps,
        problem,
    })
}

/// What the provider of a source keeps, where that is looked at.
pub(super) fn native(status: &SourceStatus) -> Option<Native> {
    let native = status.native.as_ref()?;
    Some(Native {
        provider: native.provider.clone(),
        newest_at: native.newest.as_ref().map(|newest| newest.created_at),
        snapshots: native.snapshots as u64,
        ours: native.ours as u64,
        earliest: native.window.map(|window| window.earliest),
        rpo_seconds: status.promise.rpo_of_both.map(|rpo| rpo.as_secs()),
        problem: native.error.clone(),
    })
}

/// The unbroken range of instants that WAL and a physical snapshot bring back.
pub(super) fn continuous(stream: &StreamStanding) -> Option<Window> {
    stream.window().map(|(from, to)| Window { from, to, continuous: true })
}

/// The phases of a run that nobody watched: one after the other from its beginning.
pub(super) fn phases(run: &backup_core::Run) -> Vec<Phase> {
    let mut at = run.started_at;
    run.phases
        .iter()
        .map(|phase| {
            let started_at = at;
            at += SignedDuration::try_from_secs_f64(phase.seconds).unwrap_or_default();
            Phase { name: phase.name.clone(), started_at, finished_at: Some(at) }
        })
        .collect()
}
