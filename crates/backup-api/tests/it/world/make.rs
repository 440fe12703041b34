//! Makes up a month of somebody's databases, the same every time.

use std::collections::BTreeMap;

use backup_api::port::Job;
use backup_api::view::{
    Alert, AlertSeverity, Day, DayState, Delivery, Drill, Fleet, Forecast, Gap, Group, Growth,
    LastRun, LogLevel, LogLine, Native, Next, Phase, Plan, Program, PrunePreview, Repository, Run,
    RunCause, RunDetail, RunState, RunTotal, SizePoint, Source, SourceHistory, State, SuccessRate,
    Wal, Window,
};
use backup_core::{SourceName, VerifyLevel};
use backup_ops::document::{
    ConditionDocument, DecisionDocument, IdentityDocument, PhaseDocument, SizeDocument,
    SnapshotDocument, VerifiedDocument,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A daemon's state, all of it.
pub(crate) struct Picture {
    pub(crate) now: Timestamp,
    pub(crate) fleet: Fleet,
    pub(crate) snapshots: Vec<SnapshotDocument>,
    pub(crate) histories: BTreeMap<SourceName, SourceHistory>,
    pub(crate) plans: BTreeMap<SourceName, Plan>,
    pub(crate) runs: BTreeMap<String, RunDetail>,
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Sources by name, with the state each is to be in.
pub(crate) fn picture(now: Timestamp, sources: &[(&str, State)]) -> Picture {
    let mut picture = Picture {
        now,
        fleet: Fleet {
            at: now,
            program: Program {
                version: "0.1.0".into(),
                started_at: before(now, 12 * DAY + 3 * HOUR),
                enabled: true,
                problems: Vec::new(),
            },
            sources: Vec::new(),
            groups: Vec::new(),
            repositories: Vec::new(),
            alerts: Vec::new(),
        },
        snapshots: Vec::new(),
        histories: BTreeMap::new(),
        plans: BTreeMap::new(),
        runs: BTreeMap::new(),
    };
    for (number, (name, state)) in sources.iter().enumerate() {
        One { now, number, name: name.parse().unwrap(), state: *state }.paint(&mut picture);
    }
    picture.fleet.sources.sort_by(|a, b| a.name.cmp(&b.name));
    picture.fleet.groups.push(group(now, sources));
    picture.fleet.repositories.push(repository(now, &picture));
    picture
}

/// A database with its files, as one set.
fn group(now: Timestamp, sources: &[(&str, State)]) -> Group {
    let database = sources.first().map_or("orders", |(name, _)| name);
    Group {
        name: "with-files".parse().unwrap(),
        members: vec![database.parse().unwrap(), "uploads".parse().unwrap()],
        state: State::Protected,
        reasons: Vec::new(),
        rpo_seconds: 93_600,
        newest_set: Some("5e7".repeat(10) + "5e"),
        newest_at: Some(before(now, 7 * HOUR)),
        complete: 30,
        incomplete: 1,
        drill_verdict: Some("passed".into()),
        drill_passed_at: Some(before(now, 5 * DAY)),
        next_at: None,
    }
}

fn before(now: Timestamp, seconds: i64) -> Timestamp {
    now - SignedDuration::from_secs(seconds)
}

/// One source to be painted.
struct One {
    now: Timestamp,
    number: usize,
    name: SourceName,
    state: State,
}

impl One {
    /// Days between today and its newest snapshot.
    fn lateness(&self) -> i64 {
        match self.state {
            State::Unprotected => 3,
            _ => 0,
        }
    }

    fn conditions(&self) -> Vec<ConditionDocument> {
        let late = ConditionDocument {
            name: "overdue".into(),
            severity: "warning".into(),
            detail: "A backup was due at 2026-02-27 03:00 UTC and has not come.".into(),
        };
        if self.state == State::Unprotected { vec![late] } else { Vec::new() }
    }

    fn has_history(&self) -> bool {
        !matches!(self.state, State::NeverBackedUp | State::Running)
    }

    /// A number that looks like chance and is not.
    fn wobble(&self, salt: usize, most: u64) -> u64 {
        let mixed = (self.number as u64 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add((salt as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) % most.max(1)
    }

    fn paint(&self, picture: &mut Picture) {
        let sizes = self.sizes();
        let snapshots: Vec<_> =
            sizes.iter().enumerate().map(|(order, size)| self.snapshot(order, size)).collect();
        let drills = self.drills(&sizes);
        let runs = self.runs(&sizes, &drills);
        picture.fleet.sources.push(self.source(&sizes, &snapshots, &drills, &runs));
        picture.fleet.alerts.extend(self.alert());
        picture.histories.insert(self.name.clone(), self.history(&sizes, &snapshots, drills));
        picture.plans.insert(self.name.clone(), self.plan(&snapshots));
        picture.snapshots.extend(snapshots);
        picture.runs.extend(runs.into_iter().map(|detail| (detail.run.id.clone(), detail)));
    }

    fn sizes(&self) -> Vec<SizePoint> {
        if !self.has_history() {
            return Vec::new();
        }
        let base = (1 << 28) << self.wobble(1, 7);
        (self.lateness()..30)
            .rev()
            .filter(|day| *day != 12 || self.number % 4 != 1)
            .map(|day| {
                let grown =
                    base + base / 400 * (30 - day as u64) + self.wobble(day as usize, base / 60);
                SizePoint {
                    snapshot: format!(
                        "{:08x}{:024x}",
                        self.wobble(day as usize + 77, 1 << 32),
                        day
                    ),
                    at: before(self.now, day * DAY + 7 * HOUR),
                    read_bytes: grown,
                    stored_bytes: if day == 29 {
                        grown / 4
                    } else {
                        grown / 90 + self.wobble(day as usize + 5, base / 200)
                    },
                    seconds: grown as f64 / 210e6
                        + 4.0
                        + self.wobble(day as usize + 9, 40) as f64 / 10.0,
                    suspect: false,
                }
            })
            .collect()
    }

    fn snapshot(&self, order: usize, size: &SizePoint) -> SnapshotDocument {
        let newest = size.at > before(self.now, DAY);
        let level = match (newest, self.state) {
            (true, State::AtRisk) => "exists",
            _ if order % 7 == 3 => "drilled",
            _ => "read",
        };
        let finished = size.at + SignedDuration::from_secs_f64(size.seconds);
        SnapshotDocument {
            id: size.snapshot.clone(),
            source: self.name.to_string(),
            kind: "logical".into(),
            sequence: order as u64 + 1,
            started_at: size.at,
            finished_at: finished,
            stored_at: finished,
            read_bytes: size.read_bytes,
            added_bytes: size.stored_bytes * 3,
            stored_bytes: size.stored_bytes,
            tables: 20 + self.wobble(3, 90),
            rows: size.read_bytes / 140,
            suspect: size.suspect,
            fuzzy: false,
            pinned: order == 0,
            verified: VerifiedDocument { level: level.into(), at: Some(finished) },
            identity: IdentityDocument {
                engine: "postgres".into(),
                system: format!("72{:017}", self.wobble(2, 1 << 50)),
                database: "16384".into(),
            },
            server_version: "17.11".into(),
            program: "backupd 0.1.0".into(),
            findings: Vec::new(),
            set: None,
        }
    }

    fn drills(&self, sizes: &[SizePoint]) -> Vec<Drill> {
        let mut drills: Vec<_> = sizes
            .iter()
            .skip(3)
            .step_by(7)
            .enumerate()
            .map(|(order, size)| {
                let failed = self.state == State::AtRisk && order == 3;
                let fetch = size.read_bytes as f64 / 300e6;
                Drill {
                    run: Some(format!("drill-{}-{order}", self.name)),
                    snapshot: size.snapshot.clone(),
                    at: size.at + SignedDuration::from_hours(2),
                    verdict: if failed { "failed" } else { "passed" }.into(),
                    passed: !failed,
                    rto_seconds: (!failed).then_some(fetch * 2.1 + 3.5),
                    phases: [
                        ("fetch", fetch),
                        ("load", fetch),
                        ("indexes", fetch * 0.1),
                        ("questions", 3.5),
                    ]
                    .map(|(name, seconds)| PhaseDocument { name: name.into(), seconds })
                    .into(),
                    questions: 3 + self.wobble(4, 20),
                    failures: if failed {
                        vec!["public.orders has 0 rows; 1,204,551 were recorded.".into()]
                    } else {
                        Vec::new()
                    },
                }
            })
            .collect();
        drills.reverse();
        drills
    }

    fn runs(&self, sizes: &[SizePoint], drills: &[Drill]) -> Vec<RunDetail> {
        let mut runs: Vec<_> =
            sizes.iter().rev().take(12).map(|size| self.backup_run(size)).collect();
        for drill in drills {
            let mut detail = self.backup_run(&sizes[0]);
            detail.run.id = drill.run.clone().unwrap_or_default();
            detail.run.job = Job::Drill;
            detail.run.state = if drill.passed { RunState::Succeeded } else { RunState::Failed };
            detail.run.error = drill.failures.first().cloned();
            detail.run.snapshot = Some(drill.snapshot.clone());
            let length = drill.phases.iter().map(|p| p.seconds).sum();
            let begun = drill.at - SignedDuration::from_secs_f64(length);
            detail.run.queued_at = begun;
            detail.run.started_at = Some(begun);
            detail.run.finished_at = Some(drill.at);
            runs.push(detail);
        }
        if self.state == State::Unprotected {
            for late in 0..3 {
                runs.push(self.failed_run(late));
            }
        }
        if self.state == State::Running || self.number == 2 {
            runs.push(self.running_run());
        }
        runs
    }

    fn backup_run(&self, size: &SizePoint) -> RunDetail {
        let finished = size.at + SignedDuration::from_secs_f64(size.seconds);
        let at = |share: f64| size.at + SignedDuration::from_secs_f64(size.seconds * share);
        let phase = |name: &str, from: f64, to: f64| Phase {
            name: name.into(),
            started_at: at(from),
            finished_at: Some(at(to)),
        };
        RunDetail {
            run: Run {
                id: format!("run-{}-{}", self.name, &size.snapshot[..8]),
                source: Some(self.name.clone()),
                job: Job::Backup,
                cause: RunCause::Schedule,
                by: None,
                state: RunState::Succeeded,
                attempt: 1,
                queued_at: size.at,
                started_at: Some(size.at),
                finished_at: Some(finished),
                expected_bytes: Some(size.read_bytes),
                done_bytes: size.read_bytes,
                stored_bytes: size.stored_bytes,
                snapshot: Some(size.snapshot.clone()),
                error: None,
                remedy: None,
            },
            phases: vec![
                phase("read schema", 0.0, 0.04),
                phase("copy rows", 0.04, 0.93),
                phase("commit", 0.93, 1.0),
            ],
            log: vec![
                LogLine {
                    at: at(0.0),
                    level: LogLevel::Info,
                    message: "copying 42 tables in one instant".into(),
                },
                LogLine {
                    at: at(1.0),
                    level: LogLevel::Info,
                    message: format!("committed {}", &size.snapshot[..8]),
                },
            ],
        }
    }

    fn failed_run(&self, days: i64) -> RunDetail {
        let began = before(self.now, days * DAY + 7 * HOUR);
        let ended = began + SignedDuration::from_secs(31);
        let error = "connect to server (host: db-7.internal): connection refused";
        RunDetail {
            run: Run {
                id: format!("run-{}-failed{days}", self.name),
                source: Some(self.name.clone()),
                job: Job::Backup,
                cause: if days == 0 { RunCause::Retry } else { RunCause::Schedule },
                by: None,
                state: RunState::Failed,
                attempt: 3,
                queued_at: began,
                started_at: Some(began),
                finished_at: Some(ended),
                expected_bytes: None,
                done_bytes: 0,
                stored_bytes: 0,
                snapshot: None,
                error: Some(error.into()),
                remedy: Some("Start the server, or correct the address in `backup.toml`.".into()),
            },
            phases: vec![Phase {
                name: "connect".into(),
                started_at: began,
                finished_at: Some(ended),
            }],
            log: vec![
                LogLine {
                    at: began,
                    level: LogLevel::Warning,
                    message: "attempt 2 failed, trying again in 30 s".into(),
                },
                LogLine { at: ended, level: LogLevel::Error, message: error.into() },
            ],
        }
    }

    fn running_run(&self) -> RunDetail {
        let began = before(self.now, 94);
        RunDetail {
            run: Run {
                id: format!("run-{}-now", self.name),
                source: Some(self.name.clone()),
                job: Job::Backup,
                cause: RunCause::Manual,
                by: Some("token oncall".into()),
                state: RunState::Running,
                attempt: 1,
                queued_at: before(self.now, 95),
                started_at: Some(began),
                finished_at: None,
                expected_bytes: Some(21 << 30),
                done_bytes: 13 << 30,
                stored_bytes: 210 << 20,
                snapshot: None,
                error: None,
                remedy: None,
            },
            phases: vec![
                Phase {
                    name: "read schema".into(),
                    started_at: began,
                    finished_at: Some(before(self.now, 90)),
                },
                Phase {
                    name: "copy rows".into(),
                    started_at: before(self.now, 90),
                    finished_at: None,
                },
            ],
            log: vec![
                LogLine {
                    at: began,
                    level: LogLevel::Info,
                    message: "copying 42 tables in one instant".into(),
                },
                LogLine {
                    at: before(self.now, 40),
                    level: LogLevel::Info,
                    message: "public.orders: 18,204,118 rows".into(),
                },
                LogLine {
                    at: before(self.now, 12),
                    level: LogLevel::Warning,
                    message: "write pack failed once (timeout), tried again".into(),
                },
            ],
        }
    }

    /// One in three is at a provider that takes snapshots.
    fn native(&self) -> Option<Native> {
        (self.number % 3 == 1).then(|| Native {
            provider: "neon".into(),
            newest_at: Some(before(self.now, 1800)),
            snapshots: 25,
            ours: 24,
            earliest: Some(before(self.now, 7 * DAY)),
            rpo_seconds: Some(7200),
            problem: None,
        })
    }

    fn days(&self) -> Vec<Day> {
        (0..30)
            .rev()
            .map(|day| {
                let state = match (self.state, day) {
                    (State::NeverBackedUp | State::Running, _) => DayState::Before,
                    (State::Unprotected, 1 | 2) => DayState::Failed,
                    (State::Unprotected, 0) => DayState::Overdue,
                    (_, 12) if self.number % 4 == 1 => DayState::Failed,
                    (_, 19) if self.number % 3 == 1 => DayState::Warning,
                    (_, 24) if self.number % 5 == 2 => DayState::Overdue,
                    _ => DayState::Good,
                };
                let date = before(self.now, day * DAY).to_zoned(TimeZone::UTC).date();
                Day { date, state, note: state.label().into() }
            })
            .collect()
    }

    fn source(
        &self,
        sizes: &[SizePoint],
        snapshots: &[SnapshotDocument],
        drills: &[Drill],
        runs: &[RunDetail],
    ) -> Source {
        let newest = snapshots.last();
        let proved = snapshots.iter().rev().find(|s| s.verified.level != "exists");
        let good = sizes.len() as u64;
        let failed = runs
            .iter()
            .filter(|detail| detail.run.state == RunState::Failed)
            .max_by_key(|d| d.run.queued_at);
        let wal = (self.has_history() && self.number.is_multiple_of(3)).then(|| Wal {
            streaming: true,
            lag_seconds: Some(0.4 + self.wobble(6, 30) as f64 / 10.0),
            lag_bytes: Some(self.wobble(7, 1 << 18)),
            segment: Some("0000000100000007000000A3".into()),
            gaps: 1,
            problem: None,
        });
        Source {
            name: self.name.clone(),
            engine: if self.name.as_str().contains("uploads") { "files" } else { "postgres" }
                .into(),
            provider: ["postgres", "neon", "supabase"][self.number % 3].into(),
            location: Some(format!("db-{}.internal/{}", self.number, self.name)),
            state: self.state,
            reasons: self.reasons(),
            rpo_seconds: 26 * 3600,
            required_level: VerifyLevel::Read,
            conditions: self.conditions(),
            expected_at: Some(self.now + SignedDuration::from_secs(17 * HOUR)),
            longest_unverified_seconds: Some(6 * DAY as u64),
            size: sizes.last().map(|size| SizeDocument {
                newest_bytes: size.read_bytes,
                usual_bytes: size.read_bytes / 2,
                ratio: Some(2.0),
                bytes_a_day: Some(1e6),
            }),
            rto_budget_seconds: Some(1800),
            newest_at: newest.map(|s| s.started_at),
            newest_snapshot: newest.map(|s| s.id.clone()),
            newest_level: newest.map(|_| {
                if self.state == State::AtRisk { VerifyLevel::Exists } else { VerifyLevel::Read }
            }),
            proved_at: proved.map(|s| s.started_at),
            proved_snapshot: proved.map(|s| s.id.clone()),
            verified_at: proved.and_then(|s| s.verified.at),
            drill: drills.first().cloned(),
            window: Some(()).and_then(|()| {
                Some(Window {
                    from: snapshots.first()?.started_at,
                    to: if wal.is_some() { before(self.now, 2) } else { newest?.started_at },
                    continuous: wal.is_some(),
                })
            }),
            snapshots: good,
            stored_bytes: sizes.iter().map(|s| s.stored_bytes).sum(),
            sizes: sizes.to_vec(),
            days: self.days(),
            next: self.next(),
            last: vec![LastRun {
                job: Job::Backup,
                success_at: newest.map(|s| s.finished_at),
                success_seconds: sizes.last().map(|s| s.seconds),
                failure_at: failed.and_then(|detail| detail.run.finished_at),
                failure: failed.and_then(|detail| detail.run.error.clone()),
            }],
            active_runs: runs
                .iter()
                .filter(|d| d.run.state.is_active())
                .map(|d| d.run.id.clone())
                .collect(),
            totals: vec![
                RunTotal { job: Job::Backup, state: RunState::Succeeded, count: good },
                RunTotal {
                    job: Job::Backup,
                    state: RunState::Failed,
                    count: runs.iter().filter(|d| d.run.state == RunState::Failed).count() as u64,
                },
                RunTotal {
                    job: Job::Drill,
                    state: RunState::Succeeded,
                    count: drills.len() as u64,
                },
            ],
            success: vec![
                SuccessRate { days: 30, good, all: 30.max(good) },
                SuccessRate { days: 90, good: good + 60, all: 90.max(good) },
            ],
            wal,
            native: self.native(),
        }
    }

    fn reasons(&self) -> Vec<String> {
        match self.state {
            State::Protected => Vec::new(),
            State::Running => vec!["Its first backup is running.".into()],
            State::AtRisk => vec![
                "The newest snapshot is proved to level exists, not read; run `backupctl verify --read-data`.".into(),
            ],
            State::Unprotected => vec![
                "The newest snapshot is 3 d 7 h old; at most 26 h was promised.".into(),
                "The last 3 backups failed: connection refused.".into(),
            ],
            State::NeverBackedUp => {
                vec![format!("There is no snapshot; run `backupctl backup {}`.", self.name)]
            }
        }
    }

    fn next(&self) -> Vec<Next> {
        let jobs = [(Job::Backup, "0 3 * * *", 17 * HOUR), (Job::Drill, "0 5 * * 0", 3 * DAY)];
        jobs.into_iter()
            .map(|(job, schedule, ahead)| Next {
                job,
                schedule: schedule.into(),
                zone: "Europe/Berlin".into(),
                at: Some(self.now + SignedDuration::from_secs(ahead + self.wobble(8, 900) as i64)),
                overdue_since: (self.state == State::Unprotected && job == Job::Backup)
                    .then(|| before(self.now, 7 * HOUR)),
            })
            .collect()
    }

    fn alert(&self) -> Option<Alert> {
        let (name, severity, message) = match self.state {
            State::Unprotected => {
                ("overdue", AlertSeverity::Critical, "No backup ended well for 3 days.")
            }
            State::AtRisk => {
                ("verify_failed", AlertSeverity::Warning, "The newest snapshot is not proved.")
            }
            _ => return None,
        };
        Some(Alert {
            id: format!("{name}-{}", self.name),
            name: name.into(),
            severity,
            source: Some(self.name.clone()),
            message: message.into(),
            remedy: Some("See docs/alerts.md.".into()),
            since: before(self.now, 7 * HOUR),
            resolved_at: None,
            deliveries: vec![
                Delivery {
                    channel: "slack".into(),
                    tried_at: before(self.now, 7 * HOUR),
                    error: None,
                },
                Delivery {
                    channel: "mail".into(),
                    tried_at: before(self.now, 600),
                    error: Some("connect to relay: timed out".into()),
                },
            ],
        })
    }

    fn history(
        &self,
        sizes: &[SizePoint],
        snapshots: &[SnapshotDocument],
        drills: Vec<Drill>,
    ) -> SourceHistory {
        let (mut windows, mut gaps) = (Vec::new(), Vec::new());
        if let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) {
            if self.number.is_multiple_of(3) {
                let broken = before(self.now, 16 * DAY);
                let healed = before(self.now, 15 * DAY - 4 * HOUR);
                windows.push(Window { from: first.started_at, to: broken, continuous: true });
                gaps.push(Gap {
                    from: broken,
                    to: healed,
                    reason: "The replication slot was lost.".into(),
                });
                windows.push(Window { from: healed, to: before(self.now, 2), continuous: true });
            } else {
                windows.push(Window {
                    from: first.started_at,
                    to: last.started_at,
                    continuous: false,
                });
            }
        }
        SourceHistory {
            source: self.name.clone(),
            windows,
            gaps,
            snapshots: snapshots.to_vec(),
            sizes: sizes.to_vec(),
            drills,
        }
    }

    fn plan(&self, snapshots: &[SnapshotDocument]) -> Plan {
        let decisions = snapshots
            .iter()
            .rev()
            .enumerate()
            .map(|(place, snapshot)| DecisionDocument {
                snapshot: snapshot.id.clone(),
                source: self.name.to_string(),
                action: if place < 14 || place % 7 == 0 { "keep" } else { "forget" }.into(),
                reasons: vec![if place < 14 { "daily" } else { "weekly" }.into()],
            })
            .collect();
        Plan {
            at: self.now,
            source: self.name.clone(),
            decisions,
            warnings: Vec::new(),
            prune: Some(PrunePreview { packs: 7, bytes: 181 << 20, deletable_at: None }),
        }
    }
}

fn repository(now: Timestamp, picture: &Picture) -> Repository {
    let stored: u64 = picture.fleet.sources.iter().map(|source| source.stored_bytes).sum();
    let read: u64 = picture.snapshots.iter().map(|snapshot| snapshot.read_bytes).sum();
    let capacity = (stored * 2).max(1 << 30);
    let growth = (0..60)
        .rev()
        .map(|day| Growth {
            at: before(now, day * DAY),
            stored_bytes: stored - stored / 130 * day as u64,
        })
        .collect();
    Repository {
        name: "main".into(),
        location: "s3://backups/prod (eu-central-1)".into(),
        measured_at: Some(before(now, 1800)),
        stored_bytes: Some(stored),
        objects: Some(stored / (32 << 20) + 300),
        source_bytes: Some(read),
        unused_bytes: Some(181 << 20),
        snapshots: picture.snapshots.len() as u64,
        capacity_bytes: Some(capacity),
        available_bytes: Some(capacity - stored),
        growth,
        forecast: Some(Forecast {
            bytes_a_day: stored as f64 / 130.0,
            days: 60.0,
            full_at: Some(now + SignedDuration::from_secs(130 * DAY)),
        }),
        conditions: vec![ConditionDocument {
            name: "key_single".into(),
            severity: "info".into(),
            detail: "One key is all that opens the repository.".into(),
        }],
        problems: Vec::new(),
    }
}
