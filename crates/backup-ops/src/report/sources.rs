//! What one source got in a period.

use backup_core::{JobKind, Run, RunState, SnapshotRecord, SourceName};
use jiff::Timestamp;

use crate::document::SuccessDocument;
use crate::health::{self, Ended};

use super::model::{
    BackupCounts, DrillLine, FailureLine, Period, Promised, SnapshotLine, SourceReport, Target,
};

/// What is on record about one source: of any time, the period is applied here.
#[derive(Clone, Debug)]
pub struct SourceFacts {
    /// Its name.
    pub source: SourceName,
    /// What its owner asked for.
    pub promised: Promised,
    /// Its snapshots that are kept.
    pub snapshots: Vec<SnapshotRecord>,
    /// Its drills.
    pub drills: Vec<DrillLine>,
    /// Its runs; absent where no catalog was at hand.
    pub runs: Option<Vec<Run>>,
}

/// Judges one source.
pub(super) fn report(facts: &SourceFacts, period: Period, now: Timestamp) -> SourceReport {
    let inside = |at: Timestamp| period.from <= at && at < period.to;
    let level = facts.promised.level;
    let snapshots: Vec<SnapshotLine> = facts
        .snapshots
        .iter()
        .filter(|record| inside(record.snapshot.started_at))
        .map(line)
        .collect();
    let good = |line: &&SnapshotLine| !line.suspect;
    let mut backups = BackupCounts {
        succeeded: snapshots.iter().filter(good).count() as u64,
        suspect: snapshots.iter().filter(|line| line.suspect).count() as u64,
        failed: 0,
        proved: snapshots.iter().filter(good).filter(|line| line.level >= level).count() as u64,
    };
    let runs: Vec<&Run> = facts.runs.iter().flatten().filter(|r| inside(r.started_at)).collect();
    if facts.runs.is_some() {
        let count = |state: RunState| {
            let of = |run: &&&Run| run.job.kind == JobKind::Backup && run.state == state;
            runs.iter().filter(of).count() as u64
        };
        // Retention has dropped some of the snapshots that runs remember.
        backups.succeeded = backups.succeeded.max(count(RunState::Succeeded));
        backups.suspect = backups.suspect.max(count(RunState::Suspect));
        backups.failed = count(RunState::Failed);
    }
    let drills: Vec<DrillLine> = facts.drills.iter().filter(|d| inside(d.at)).cloned().collect();
    let slowest = drills.iter().filter_map(|drill| drill.rto_seconds).reduce(f64::max);
    SourceReport {
        success: success(facts, period, now),
        source: facts.source.clone(),
        promised: facts.promised.clone(),
        backups,
        rpo: target(longest_gap(facts, period, now), Some(facts.promised.rpo_seconds)),
        rto: target(slowest, facts.promised.rto_seconds),
        snapshots,
        drills,
        failures: failures(facts, &runs),
    }
}

/// Returns how many backups went well, by what is recorded of runs.
fn success(facts: &SourceFacts, period: Period, now: Timestamp) -> Vec<SuccessDocument> {
    let end = period.to.min(now);
    let Some(runs) = &facts.runs else { return Vec::new() };
    let ended: Vec<Ended> = runs.iter().filter_map(Ended::of).filter(|run| run.at < end).collect();
    let over = |days| SuccessDocument::new(&health::success(&ended, days, end));
    vec![over(30), over(90)]
}

fn line(record: &SnapshotRecord) -> SnapshotLine {
    SnapshotLine {
        id: record.snapshot.id,
        started_at: record.snapshot.started_at,
        stored_at: record.stored_at,
        read_bytes: record.snapshot.read_bytes,
        level: record.verified.level,
        proved_at: record.verified.at,
        suspect: record.snapshot.is_suspect(),
    }
}

fn target(worst: Option<f64>, target: Option<u64>) -> Target {
    let target = target.map(|seconds| seconds as f64);
    let met = worst.zip(target).map(|(worst, target)| worst <= target);
    Target { worst_seconds: worst, target_seconds: target, met }
}

/// Returns the longest time inside the period in which the newest good data was of one instant,
/// in seconds; nothing when there was never any. Instants are those of kept snapshots and of
/// runs that succeeded, since retention drops snapshots.
fn longest_gap(facts: &SourceFacts, period: Period, now: Timestamp) -> Option<f64> {
    let end = period.to.min(now);
    let kept = facts.snapshots.iter().filter(|record| !record.snapshot.is_suspect());
    let ran = facts
        .runs
        .iter()
        .flatten()
        .filter(|run| run.job.kind == JobKind::Backup && run.state == RunState::Succeeded);
    let mut instants: Vec<Timestamp> = kept
        .map(|record| record.snapshot.started_at)
        .chain(ran.map(|run| run.started_at))
        .filter(|at| *at < end)
        .collect();
    instants.sort();
    let first_inside = instants.partition_point(|at| *at < period.from);
    // The last one before the period stands at its beginning.
    let from = first_inside.saturating_sub(1);
    let relevant = instants.get(from..)?;
    let ends = relevant.iter().skip(1).copied().chain([end]);
    let gaps = relevant.iter().zip(ends).map(|(begin, end)| end.duration_since(*begin));
    gaps.map(|gap| gap.as_secs_f64()).reduce(f64::max)
}

fn failures(facts: &SourceFacts, runs: &[&Run]) -> Vec<FailureLine> {
    let all: Vec<&Run> = facts.runs.iter().flatten().collect();
    let answered = |failed: &Run| {
        let later = all.iter().filter(|run| {
            run.job.kind == failed.job.kind
                && run.state == RunState::Succeeded
                && run.started_at > failed.started_at
        });
        later.filter_map(|run| run.ended_at).min()
    };
    runs.iter()
        .filter(|run| matches!(run.state, RunState::Failed | RunState::Suspect))
        .map(|run| FailureLine {
            at: run.started_at,
            job: run.job.kind.to_string(),
            error: match (&run.error, run.state) {
                (Some(error), _) => error.message.clone(),
                (None, RunState::Suspect) => "the snapshot is suspect".into(),
                (None, _) => "not recorded".into(),
            },
            answered_at: answered(run),
        })
        .collect()
}
