//! The part of `restore` that brings a cluster to a point in time.

use backup::ops::wal::{
    RecoveryBase, RecoveryGoal, RecoveryPlan, TimelineChoice, WalLog, find_recovery,
};
use backup::ops::{Selector, select};
use backup::recovery::{self, Reached, ReachedState};
use backup::repository::Repository;
use backup_core::port::{RecoveryAction, RecoverySettings, RestorePlan, RestoreStep};
use backup_core::{Error, ErrorKind, Finding, Result, SnapshotKind, SnapshotRecord, SourceName};

use crate::args::{RecoveryArgs, Timeline};
use crate::session::Session;

/// What `restore` does beyond the snapshot.
pub(super) struct Recovery {
    /// The snapshot to begin from.
    pub(super) record: SnapshotRecord,
    /// What the copy is told.
    pub(super) settings: RecoverySettings,
    plan: RecoveryPlan,
}

/// Chooses the snapshot and plans the way from there; nothing when no point was asked for.
pub(super) async fn plan(
    session: &Session,
    args: &RecoveryArgs,
    selector: &Selector,
) -> Result<Option<Recovery>> {
    let Some((record, plan)) = find(session, args, selector).await? else { return Ok(None) };
    let log = WalLog { source: record.snapshot.source.clone(), system: plan.base.system };
    let command = recovery::restore_command(session.environment(), session.config(), &log)?;
    let settings = recovery::settings(&plan, Some(command), RecoveryAction::Pause);
    Ok(Some(Recovery { record, settings, plan }))
}

/// Chooses the snapshot and plans the way from there to the point that was asked for; nothing
/// when none was. Fails with `NotFound` where no stored WAL leads there.
pub(super) async fn find(
    session: &Session,
    args: &RecoveryArgs,
    selector: &Selector,
) -> Result<Option<(SnapshotRecord, RecoveryPlan)>> {
    let Some(goal) = goal(args) else { return Ok(None) };
    let records = session.records().await?;
    let candidates = candidates(&records, selector)?;
    let source = candidates.first().map(|record| record.snapshot.source.clone());
    let Some(source) = source else {
        return Err(Error::new(ErrorKind::NotFound, "plan recovery")
            .with("snapshot", selector)
            .because("it is not physical, and no physical snapshot of that source is stored")
            .hint("Points in time need a physical snapshot: `backupctl backup --mode physical`."));
    };
    let bases: Vec<RecoveryBase> =
        candidates.iter().filter_map(|record| RecoveryBase::of(&record.snapshot)).collect();
    let bases = bases.as_slice();
    let choice = match args.timeline {
        None => TimelineChoice::Latest,
        Some(Timeline::Current) => TimelineChoice::Current,
        Some(Timeline::Number(number)) => TimelineChoice::Number(number),
    };
    let repository = session.repository().await?;
    let found = reach(repository, &source, bases, choice, &goal);
    let plan = session.interrupt.unless(found).await?;
    let record = candidates
        .into_iter()
        .find(|record| record.snapshot.id == plan.base.snapshot)
        .ok_or_else(|| Error::new(ErrorKind::Failed, "plan recovery"))?;
    Ok(Some((record, plan)))
}

/// Plans from the best base. A transaction is looked for itself: that stored WAL has others around
/// its id does not say that it ended there. A position must not be behind the beginning of the last
/// record.
async fn reach(
    repository: &Repository,
    source: &SourceName,
    mut bases: &[RecoveryBase],
    choice: TimelineChoice,
    goal: &RecoveryGoal,
) -> Result<RecoveryPlan> {
    let mut first = None;
    loop {
        let planned = find_recovery(repository, source, bases, choice, goal).await;
        let mut plan = match (planned, first) {
            (Ok(plan), _) => plan,
            // What the best one lacks is what a person can do something about.
            (Err(error), Some(first)) if error.kind() == ErrorKind::NotFound => return Err(first),
            (Err(error), _) => return Err(error),
        };
        let log = WalLog { source: source.clone(), system: plan.base.system };
        let xid = match *goal {
            RecoveryGoal::Xid(xid) => xid,
            RecoveryGoal::Lsn(position) => {
                recovery::demand_record(repository, &log, &plan, position).await?;
                return Ok(plan);
            }
            _ => return Ok(plan),
        };
        match recovery::find_transaction(repository, &log, &plan, xid).await {
            Ok(end) => {
                let how = if end.rolled_back { "was rolled back" } else { "committed" };
                plan.notes.push(format!(
                    "Transaction {xid} {how} at {}, position {}; what ended before it is there, \
                     whatever its id.",
                    end.at, end.end
                ));
                return Ok(plan);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let tried = bases.iter().position(|base| *base == plan.base);
                bases = bases.get(tried.map_or(bases.len(), |at| at + 1)..).unwrap_or_default();
                if bases.is_empty() {
                    return Err(error);
                }
                first = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns the physical snapshot that is meant where no point was asked for: the newest.
pub(super) async fn newest(session: &Session, selector: &Selector) -> Result<SnapshotRecord> {
    let records = session.records().await?;
    candidates(&records, selector)?.into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "find physical snapshot")
            .with("snapshot", selector)
            .because("it is not physical, and no physical snapshot of that source is stored")
            .hint("--database takes a database out of a physical snapshot; a logical one is of one database.")
    })
}

/// The physical snapshots that are meant, best first.
fn candidates(records: &[SnapshotRecord], selector: &Selector) -> Result<Vec<SnapshotRecord>> {
    if let Selector::Prefix(_) = selector {
        let one = select(records, selector)?;
        let physical = one.snapshot.kind == SnapshotKind::Physical;
        return Ok(if physical { vec![one.clone()] } else { Vec::new() });
    }
    let mut found: Vec<SnapshotRecord> = records
        .iter()
        .filter(|record| {
            let snapshot = &record.snapshot;
            let named = match selector {
                Selector::LatestOf(source) => snapshot.source == *source,
                _ => true,
            };
            named && snapshot.kind == SnapshotKind::Physical && !snapshot.is_suspect()
        })
        .cloned()
        .collect();
    found.sort_by_key(|record| std::cmp::Reverse(record.snapshot.finished_at));
    // `latest` means one source: that of the newest.
    let source = found.first().map(|record| record.snapshot.source.clone());
    found.retain(|record| Some(&record.snapshot.source) == source.as_ref());
    Ok(found)
}

fn goal(args: &RecoveryArgs) -> Option<RecoveryGoal> {
    if let Some(at) = args.at {
        return Some(RecoveryGoal::Time(at));
    }
    if let Some(lsn) = args.lsn {
        return Some(RecoveryGoal::Lsn(lsn));
    }
    if let Some(xid) = args.xid {
        return Some(RecoveryGoal::Xid(xid));
    }
    if let Some(name) = &args.restore_point {
        return Some(RecoveryGoal::RestorePoint(name.clone()));
    }
    if args.immediate {
        return Some(RecoveryGoal::Immediate);
    }
    args.latest.then_some(RecoveryGoal::Latest)
}

impl Recovery {
    /// Adds what recovery does to what is shown of the restore.
    pub(super) fn describe(&self, plan: &mut RestorePlan) {
        let known = self.plan.last.map_or(String::new(), |last| {
            format!("; the last transaction there ended at {}", last.at)
        });
        plan.steps.push(RestoreStep {
            action: "recover".into(),
            detail: format!(
                "to {} on timeline {}, from position {}; stored WAL reaches {} in {} segments{known}",
                self.plan.goal, self.plan.timeline, self.plan.base.stop, self.plan.reaches,
                self.plan.segments
            ),
        });
        plan.findings.extend(self.plan.notes.iter().map(Finding::note));
        plan.findings.push(Finding::note(
            "The server fetches WAL by restore_command; it needs the repository's passphrase or \
             key file in its environment (BACKUP_PASSPHRASE, BACKUP_PASSPHRASE_FILE or \
             BACKUP_KEY_FILE) when it is started.",
        ));
    }
}

/// Starts a restored cluster and says which point it reached. Fails with `Integrity` where all
/// stored WAL was to be replayed and was not; the server runs then nevertheless.
pub(super) async fn start(
    session: &Session,
    directory: &str,
    recovery: Option<&Recovery>,
) -> Result<Vec<Finding>> {
    let composer = session.composer();
    let tools = composer.tools().clone();
    let work = recovery::start(
        std::path::Path::new(directory.strip_prefix("file://").unwrap_or(directory)),
        &tools,
    );
    let mut reached = session.interrupt.unless(work).await?;
    if let Some(Recovery { plan, .. }) = recovery {
        let replayed = reached.position.parse().ok();
        plan.demand(replayed).map_err(|error| error.with("stop it with", &reached.stop))?;
    }
    let mut findings = std::mem::take(&mut reached.findings);
    findings.push(Finding::note(told(&reached)));
    Ok(findings)
}

fn told(reached: &Reached) -> String {
    let (state, promote) = match reached.state {
        ReachedState::AtTarget => {
            ("paused at its target", format!("\npromote:  {}", reached.promote))
        }
        ReachedState::Open => ("open, on its own timeline", String::new()),
    };
    let last = reached.last_transaction.as_deref().unwrap_or("none");
    format!(
        "running, {state}; replayed up to {}, last transaction {last}\n\
         connect:  psql -h {} -p {} -d postgres\nstop:     {}{promote}",
        reached.position,
        reached.socket.display(),
        reached.port,
        reached.stop
    )
}
