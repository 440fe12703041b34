//! Everything at one instant, out of settings, snapshots, runs and what the daemon says.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use backup::config::{DrillEvery, SourceSettings};
use backup::daemon::{Daemon, Loaded, Status, StreamStanding};
use backup::ops::SourceStatus;
use backup::ops::alerting::Undelivered;
use backup::ops::document::{ConditionDocument, SizeDocument};
use backup::ops::drill::DrillReceipt;
use backup::ops::group::{GroupStatus, RecoverySet};
use backup::ops::health::{Condition, RepositoryHealth};
use backup_api::port::Job;
use backup_api::view::{
    Alert, Delivery, Fleet, Group, LastRun, Next, Program, Repository, RunTotal, SizePoint, Source,
    State, SuccessRate, Window,
};
use backup_core::port::OpenProblem;
use backup_core::{HeadRecord, JobKey, JobKind, Run, RunState, Severity, SourceName};
use jiff::{SignedDuration, Timestamp};

use super::past::{Own, Past};
use super::{strip, translate};

/// Sizes a row shows.
const SIZES: usize = 30;

/// What everything is painted from.
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) started_at: Timestamp,
    pub(super) loaded: Arc<Loaded>,
    pub(super) status: Status,
    pub(super) streams: BTreeMap<SourceName, StreamStanding>,
    pub(super) standings: Arc<Vec<SourceStatus>>,
    pub(super) groups: Arc<Vec<GroupStatus>>,
    pub(super) records: Arc<Vec<HeadRecord>>,
    pub(super) problems: Vec<OpenProblem>,
    pub(super) undelivered: Vec<Undelivered>,
    pub(super) repository: Option<Repository>,
    pub(super) space: Option<Arc<RepositoryHealth>>,
    pub(super) repository_problems: Vec<String>,
}

impl Facts {
    /// What the daemon says by itself, without its memory.
    pub(super) fn empty(daemon: &Daemon) -> Self {
        Self {
            now: daemon.clock().now(),
            started_at: daemon.started_at(),
            loaded: daemon.loaded(),
            status: daemon.status(),
            streams: daemon.streams(),
            standings: daemon.standings().borrow().clone(),
            groups: daemon.group_standings(),
            records: Arc::default(),
            problems: Vec::new(),
            undelivered: Vec::new(),
            repository: None,
            space: daemon.repository_health(),
            repository_problems: daemon.repository_problems(),
        }
    }
}

/// What is looked up for each source, by its name: a thousand sources are looked at as one.
struct Lookup<'a> {
    standings: BTreeMap<&'a SourceName, &'a SourceStatus>,
    /// Newest first.
    records: BTreeMap<&'a SourceName, Vec<&'a HeadRecord>>,
    active: BTreeMap<&'a SourceName, Vec<&'a Run>>,
    next: BTreeMap<&'a JobKey, Timestamp>,
    past: &'a Past,
}

impl<'a> Lookup<'a> {
    fn new(facts: &'a Facts, past: &'a Past) -> Self {
        let mut records: BTreeMap<&SourceName, Vec<&HeadRecord>> = BTreeMap::new();
        for record in facts.records.iter() {
            records.entry(&record.snapshot.source).or_default().push(record);
        }
        for own in records.values_mut() {
            own.sort_by_key(|record| Reverse((record.snapshot.sequence, record.stored_at)));
        }
        let mut active: BTreeMap<&SourceName, Vec<&Run>> = BTreeMap::new();
        for run in &facts.status.active {
            if let Some(source) = &run.job.source {
                active.entry(source).or_default().push(run);
            }
        }
        Self {
            standings: facts.standings.iter().map(|one| (&one.source, one)).collect(),
            records,
            active,
            next: facts.status.next.iter().map(|(key, at)| (key, *at)).collect(),
            past,
        }
    }
}

pub(super) fn fleet(facts: &Facts, past: &Past) -> Fleet {
    let lookup = Lookup::new(facts, past);
    let settings = &facts.loaded.settings.sources;
    let mut sources: Vec<_> = settings.iter().map(|one| source(facts, &lookup, one)).collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Fleet {
        at: facts.now,
        program: Program {
            version: facts.status.version.clone(),
            started_at: facts.started_at,
            enabled: {
                let settings = &facts.loaded.settings;
                let own = settings.sources.iter().any(|s| s.schedule.backup.is_some());
                own || settings.groups.iter().any(|group| group.schedule.backup.is_some())
            },
            problems: facts.status.problems.clone(),
        },
        sources,
        groups: facts.groups.iter().map(|status| group(facts, status)).collect(),
        repositories: facts.repository.iter().map(|found| repository(facts, found)).collect(),
        alerts: alerts(facts),
    }
}

fn group(facts: &Facts, status: &GroupStatus) -> Group {
    let drill = status.drill.as_ref();
    let key = JobKey::of(JobKind::Backup, &status.group);
    let next = facts.status.next.iter().find(|(known, _)| *known == key);
    Group {
        name: status.group.clone(),
        members: status.promise.members.clone(),
        state: status.standing.into(),
        reasons: status.reasons.clone(),
        rpo_seconds: status.promise.rpo.as_secs(),
        newest_set: status.newest.as_ref().map(|set| set.id.to_string()),
        newest_at: status.newest.as_ref().map(RecoverySet::begun_at),
        complete: status.complete as u64,
        incomplete: status.incomplete as u64,
        drill_verdict: drill.map(|drill| drill.newest.verdict.clone()),
        drill_passed_at: drill.and_then(|drill| drill.passed_at),
        next_at: next.map(|(_, at)| *at),
    }
}

fn source(facts: &Facts, lookup: &Lookup<'_>, settings: &SourceSettings) -> Source {
    let name = &settings.name;
    let standing = lookup.standings.get(name).copied();
    let own = lookup.records.get(name).map(Vec::as_slice).unwrap_or_default();
    let past = lookup.past.of(name);
    let runs: Vec<&Run> = past.map(|past| past.runs.iter().collect()).unwrap_or_default();
    let active = lookup.active.get(name).map(Vec::as_slice).unwrap_or_default();
    let active_runs: Vec<_> = active.iter().map(|run| run.id.to_string()).collect();
    let health = standing.map(|standing| &standing.health);
    let newest = standing.and_then(|standing| standing.newest.as_ref());
    let proved = standing.and_then(|standing| standing.newest_proved.as_ref());
    let mut oldest_first: Vec<_> = own.iter().rev().copied().collect();
    let stream = facts.streams.get(name);
    let window = stream.and_then(translate::continuous).or_else(|| window(&oldest_first));
    oldest_first.drain(..oldest_first.len().saturating_sub(SIZES));
    let (state, reasons) = match standing {
        Some(standing) if standing.snapshots == 0 && !active_runs.is_empty() => {
            (State::Running, vec!["Its first backup is running.".to_owned()])
        }
        Some(standing) => (standing.standing.into(), standing.reasons.clone()),
        None => (State::NeverBackedUp, vec!["It has not been looked at yet.".to_owned()]),
    };
    Source {
        name: name.clone(),
        engine: newest.map_or("postgres", |r| r.snapshot.identity.engine.as_str()).to_owned(),
        provider: settings.provider.as_str().to_owned(),
        location: None,
        state,
        reasons,
        conditions: conditions(health.map_or(&[], |health| &health.conditions)),
        expected_at: health.and_then(|health| health.backup).map(|backup| backup.expected_at),
        rpo_seconds: settings.protection.rpo.as_duration().as_secs(),
        required_level: settings.protection.level,
        rto_budget_seconds: settings.drill.rto.map(|rto| rto.as_duration().as_secs()),
        newest_at: newest.map(|record| record.snapshot.started_at),
        newest_snapshot: newest.map(|record| record.snapshot.id.to_string()),
        newest_level: newest.map(|record| record.verified.level),
        proved_at: proved.map(|record| record.snapshot.started_at),
        proved_snapshot: proved.map(|record| record.snapshot.id.to_string()),
        verified_at: own.iter().filter_map(|record| record.verified.at).max(),
        drill: standing
            .and_then(|standing| standing.drill.as_ref())
            .map(|drill| translate::drill(&drill.newest, drill_run(&drill.newest, &runs))),
        longest_unverified_seconds: health
            .and_then(|health| health.longest_unverified)
            .map(|age| age.as_secs()),
        size: health.and_then(|health| health.size.as_ref()).map(SizeDocument::new),
        window,
        snapshots: standing.map_or(own.len() as u64, |standing| standing.snapshots as u64),
        stored_bytes: own.iter().map(|record| record.snapshot.stored_bytes).sum(),
        sizes: oldest_first.into_iter().map(size).collect(),
        days: strip::days(settings, &facts.loaded.settings.zone, &runs, facts.now),
        next: next(facts, lookup, settings),
        last: Job::ALL.into_iter().filter_map(|job| last(job, &runs)).collect(),
        active_runs,
        totals: past.map(totals).unwrap_or_default(),
        success: vec![rate(&runs, 30, facts.now), rate(&runs, 90, facts.now)],
        wal: stream.and_then(|stream| translate::wal(stream, facts.now)),
        native: standing.and_then(translate::native),
    }
}

/// Returns the run that a drill was; absent when another program held it.
fn drill_run(receipt: &DrillReceipt, runs: &[&Run]) -> Option<String> {
    let held = |run: &&&Run| {
        matches!(translate::job(run.job.kind), Job::Drill | Job::PointDrill | Job::DisasterDrill)
            && run.started_at <= receipt.at
            && run.ended_at.is_none_or(|end| end >= receipt.at)
    };
    runs.iter().find(held).map(|run| run.id.to_string())
}

/// The instants a source can be brought back to; oldest first in, nothing without snapshots.
pub(super) fn window(own: &[&HeadRecord]) -> Option<Window> {
    let good = || own.iter().filter(|record| !record.snapshot.is_suspect());
    let from = good().map(|record| record.snapshot.started_at).min()?;
    let to = good().map(|record| record.snapshot.started_at).max()?;
    Some(Window { from, to, continuous: false })
}

pub(super) fn size(record: &HeadRecord) -> SizePoint {
    let snapshot = &record.snapshot;
    let took = snapshot.finished_at.duration_since(snapshot.started_at).as_secs_f64();
    SizePoint {
        snapshot: snapshot.id.to_string(),
        at: snapshot.started_at,
        read_bytes: snapshot.read_bytes,
        stored_bytes: snapshot.stored_bytes,
        seconds: took.max(0.0),
        suspect: snapshot.is_suspect(),
    }
}

fn next(facts: &Facts, lookup: &Lookup<'_>, settings: &SourceSettings) -> Vec<Next> {
    let schedule = &settings.schedule;
    let each = settings.drill.every == Some(DrillEvery::Snapshot);
    let jobs = [
        (JobKind::Backup, &schedule.backup),
        (JobKind::Native, &settings.native.schedule),
        (JobKind::Verify, &schedule.verify),
        (JobKind::Drill, &schedule.drill),
        (JobKind::PointDrill, &schedule.point_drill),
        (JobKind::DisasterDrill, &schedule.disaster_drill),
        (JobKind::Forget, &schedule.forget),
    ];
    let mut next: Vec<_> = jobs
        .into_iter()
        .filter_map(|(kind, cron)| {
            let key = JobKey::of(kind, &settings.name);
            let at = lookup.next.get(&key).copied();
            let active = lookup.active.get(&settings.name);
            let running = active.is_some_and(|active| active.iter().any(|run| run.job == key));
            let schedule = match cron {
                Some(cron) => cron.as_str(),
                None if each && kind == JobKind::Drill => "each snapshot",
                None => return None,
            };
            Some(Next {
                job: translate::job(kind),
                schedule: schedule.to_owned(),
                zone: facts.loaded.settings.zone.iana_name().unwrap_or("UTC").to_owned(),
                // A time that has passed and nothing runs: it waits for its turn, or is late.
                overdue_since: at.filter(|at| *at < facts.now && !running),
                at,
            })
        })
        .collect();
    next.sort_by_key(|next| (next.at.is_none(), next.at));
    next
}

fn last(job: Job, runs: &[&Run]) -> Option<LastRun> {
    let own = || runs.iter().filter(|run| translate::job(run.job.kind) == job);
    let good = own().find(|run| run.state == RunState::Succeeded);
    let bad = own().find(|run| {
        matches!(run.state, RunState::Failed | RunState::Suspect | RunState::Interrupted)
    });
    if good.is_none() && bad.is_none() {
        return None;
    }
    let end = |run: &&&Run| run.ended_at.unwrap_or(run.started_at);
    Some(LastRun {
        job,
        success_at: good.as_ref().map(end),
        success_seconds: good.and_then(|run| run.seconds()),
        failure_at: bad.as_ref().map(end),
        failure: bad.map(|run| {
            run.error.as_ref().map_or_else(|| run.state.as_str().to_owned(), |e| e.message.clone())
        }),
    })
}

fn totals(past: &Own) -> Vec<RunTotal> {
    let mut totals: Vec<RunTotal> = Vec::new();
    for ((kind, _), (state, count)) in past.totals.iter().filter(|(_, (_, count))| *count > 0) {
        let (job, state) = (translate::job(*kind), translate::state(*state));
        match totals.iter_mut().find(|total| total.job == job && total.state == state) {
            Some(total) => total.count += count,
            None => totals.push(RunTotal { job, state, count: *count }),
        }
    }
    totals
}

fn rate(runs: &[&Run], days: u32, now: Timestamp) -> SuccessRate {
    let since = now - SignedDuration::from_hours(24 * i64::from(days));
    let mut rate = SuccessRate { days, good: 0, all: 0 };
    for run in runs.iter().filter(|run| run.job.kind == JobKind::Backup && run.started_at >= since)
    {
        match run.state {
            RunState::Succeeded => (rate.good, rate.all) = (rate.good + 1, rate.all + 1),
            RunState::Failed | RunState::Suspect => rate.all += 1,
            // What was stopped is run again, or was not wanted.
            RunState::Queued | RunState::Running | RunState::Interrupted | RunState::Cancelled => {}
        }
    }
    rate
}

fn repository(facts: &Facts, measured: &Repository) -> Repository {
    let snapshots = facts.records.len() as u64;
    let source_bytes = facts.records.iter().map(|record| record.snapshot.read_bytes).sum();
    let found = facts.space.as_ref().map_or(&[][..], |space| &space.conditions);
    let wrong = found.iter().filter(|condition| condition.severity > Severity::Info);
    let wrong = wrong.map(|condition| condition.detail.clone());
    Repository {
        snapshots,
        source_bytes: measured.measured_at.map(|_| source_bytes),
        conditions: conditions(found),
        problems: wrong.chain(facts.repository_problems.iter().cloned()).collect(),
        ..measured.clone()
    }
}

fn conditions(found: &[Condition]) -> Vec<ConditionDocument> {
    found.iter().map(ConditionDocument::new).collect()
}

fn alerts(facts: &Facts) -> Vec<Alert> {
    let mut alerts: Vec<_> = facts
        .problems
        .iter()
        .map(|problem| Alert {
            id: problem.key.clone(),
            name: problem.key.split([' ', ':', '/']).next().unwrap_or_default().to_owned(),
            severity: problem.alert.severity.into(),
            source: problem.alert.source.as_ref().and_then(|source| source.parse().ok()),
            message: problem.alert.title.clone(),
            remedy: None,
            since: problem.since,
            resolved_at: None,
            deliveries: problem
                .told
                .iter()
                .map(|(channel, told)| Delivery {
                    channel: channel.clone(),
                    tried_at: told.at,
                    error: None,
                })
                .collect(),
        })
        .collect();
    alerts.extend(facts.undelivered.iter().filter(|waiting| waiting.attempts > 0).map(|waiting| {
        Alert {
            id: format!("undelivered {}", waiting.channel),
            name: "undelivered".into(),
            severity: backup_api::view::AlertSeverity::Warning,
            source: None,
            message: format!("{} alerts wait for {}", waiting.waiting, waiting.channel),
            remedy: None,
            since: waiting.since,
            resolved_at: None,
            deliveries: vec![Delivery {
                channel: waiting.channel.clone(),
                tried_at: waiting.since,
                error: Some(waiting.last_error.clone().unwrap_or_else(|| "not delivered".into())),
            }],
        }
    }));
    alerts
}
