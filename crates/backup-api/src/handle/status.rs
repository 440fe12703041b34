//! The summary that existing dashboards read.

use std::sync::Arc;

use backup_ops::document::ConditionDocument;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::{App, Call, Problem, Refused, Reply};
use crate::port::Job;
use crate::view::{Fleet, Group, Source, State, SuccessRate};

/// `GET /api/backup/status`. The spelling of its names is older than ours and kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    /// The instant these facts are from.
    timestamp: Timestamp,
    /// Everything together.
    backup: Summary,
    /// Each source.
    sources: Vec<SourceSummary>,
    /// Each group; absent where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupSummary>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GroupSummary {
    /// Its name.
    name: String,
    /// Its members in the order in which they are taken.
    members: Vec<String>,
    /// How it stands.
    state: State,
    /// Why, a sentence each.
    reasons: Vec<String>,
    /// Whether it is protected.
    protected: bool,
    /// The newest complete set's id.
    newest_set: Option<String>,
    /// When that was begun.
    newest_set_at: Option<Timestamp>,
    /// Seconds since then.
    age_seconds: Option<u64>,
    /// How old it may get.
    rpo_seconds: u64,
    /// How many complete sets there are.
    complete_sets: u64,
    /// How many incomplete ones.
    incomplete_sets: u64,
    /// What the newest drill of a set found.
    last_drill: Option<String>,
    /// When the newest that passed began.
    last_drill_passed: Option<Timestamp>,
    /// When the next set is taken.
    next_backup: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// Whether backups are started by their schedules.
    enabled: bool,
    /// When a backup of any source last ended, well or badly.
    last_backup: Option<Timestamp>,
    /// Whether that one ended well.
    last_backup_success: Option<bool>,
    /// When the next backup of any source starts.
    next_backup: Option<Timestamp>,
    /// How many snapshots there are.
    total_backups: u64,
    /// Why the newest backup that ended badly did, as long as none of its source ended well
    /// after it.
    last_error: Option<String>,
    /// Space where snapshots rest; of several repositories, their sum.
    disk_usage: DiskUsage,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DiskUsage {
    /// Bytes of the devices or quotas; null where there is no end.
    total: Option<u64>,
    /// Bytes that the repositories take; null before they were measured.
    used: Option<u64>,
    /// Bytes that are free; null where there is no end.
    available: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SourceSummary {
    /// Its name.
    name: String,
    /// How it stands.
    state: State,
    /// Why, a sentence each.
    reasons: Vec<String>,
    /// What is worth looking at, by name; also of a source that is protected.
    conditions: Vec<ConditionDocument>,
    /// Whether it is protected.
    protected: bool,
    /// The instant the newest snapshot is from.
    newest_snapshot_at: Option<Timestamp>,
    /// Seconds since then.
    age_seconds: Option<u64>,
    /// How old the newest snapshot may get.
    rpo_seconds: u64,
    /// How far the newest snapshot was proved: `none`, `exists`, `read` or `drilled`.
    verified_level: Option<String>,
    /// When something of it was last verified.
    last_verified: Option<Timestamp>,
    /// When a backup last ended, well or badly.
    last_backup: Option<Timestamp>,
    /// Whether that one ended well.
    last_backup_success: Option<bool>,
    /// When the next backup starts.
    next_backup: Option<Timestamp>,
    /// When the next snapshot is expected by its schedule, counted from the newest one.
    expected_at: Option<Timestamp>,
    /// Since when a backup should have run and did not.
    overdue_since: Option<Timestamp>,
    /// How many snapshots there are.
    total_backups: u64,
    /// Bytes that its snapshots wrote.
    stored_bytes: u64,
    /// Why the newest backup ended badly, if it did.
    last_error: Option<String>,
    /// Seconds since something of it was last verified.
    verified_age_seconds: Option<u64>,
    /// Seconds since its last drill ended.
    drill_age_seconds: Option<u64>,
    /// The newest snapshot's size as a multiple of what is usual.
    size_ratio: Option<f64>,
    /// How many backups went well, over 30 and 90 days.
    success: Vec<SuccessRate>,
    /// How receiving its write-ahead log stands, where it is received.
    wal: Option<WalSummary>,
    /// What its provider keeps of it, where that is looked at.
    native: Option<NativeSummary>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NativeSummary {
    /// The provider's word in configuration.
    provider: String,
    /// When the newest that can be restored was begun, whoever made it.
    newest_at: Option<Timestamp>,
    /// Seconds since then.
    age_seconds: Option<u64>,
    /// How many there are.
    snapshots: u64,
    /// How many of them are ours.
    ours: u64,
    /// When the next one is taken.
    next: Option<Timestamp>,
    /// How old the newest snapshot of either placement may get, where that is promised.
    rpo_seconds: Option<u64>,
    /// Why it is not known, where it is not.
    problem: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WalSummary {
    /// Whether it arrives.
    streaming: bool,
    /// Seconds of it that would be lost if the server were lost now.
    lag_seconds: Option<f64>,
    /// Bytes that the server has written and that are not stored.
    lag_bytes: Option<u64>,
    /// Holes that no snapshot makes up for.
    gaps: u64,
    /// What is wrong, one sentence.
    problem: Option<String>,
}

pub(crate) async fn status(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let made = app.status.of(&fleet, |fleet| {
        serde_json::to_vec(&of(fleet)).map_err(|error| Problem::unwritable(&error))
    })?;
    Ok(made.reply("application/json", &call.headers))
}

fn of(fleet: &Fleet) -> Status {
    let sources: Vec<_> = fleet.sources.iter().map(|source| one(source, fleet.at)).collect();
    let last = sources.iter().filter(|s| s.last_backup.is_some()).max_by_key(|s| s.last_backup);
    let failed = sources.iter().filter(|s| s.last_error.is_some()).max_by_key(|s| s.last_backup);
    let sum = |part: fn(&crate::view::Repository) -> Option<u64>| {
        fleet.repositories.iter().map(part).sum::<Option<u64>>()
    };
    let bounded = !fleet.repositories.is_empty();
    Status {
        timestamp: fleet.at,
        backup: Summary {
            enabled: fleet.program.enabled,
            last_backup: last.and_then(|source| source.last_backup),
            last_backup_success: last.and_then(|source| source.last_backup_success),
            next_backup: {
                let groups = fleet.groups.iter().filter_map(|group| group.next_at);
                sources.iter().filter_map(|source| source.next_backup).chain(groups).min()
            },
            total_backups: sources.iter().map(|source| source.total_backups).sum(),
            last_error: failed.and_then(|source| source.last_error.clone()),
            disk_usage: DiskUsage {
                total: bounded.then(|| sum(|r| r.capacity_bytes)).flatten(),
                used: bounded.then(|| sum(|r| r.stored_bytes)).flatten(),
                available: bounded.then(|| sum(|r| r.available_bytes)).flatten(),
            },
        },
        sources,
        groups: fleet.groups.iter().map(|group| of_group(group, fleet.at)).collect(),
    }
}

fn of_group(group: &Group, now: Timestamp) -> GroupSummary {
    GroupSummary {
        name: group.name.to_string(),
        members: group.members.iter().map(ToString::to_string).collect(),
        state: group.state,
        reasons: group.reasons.clone(),
        protected: group.state == State::Protected,
        newest_set: group.newest_set.clone(),
        newest_set_at: group.newest_at,
        age_seconds: group.newest_at.map(|at| now.duration_since(at).as_secs().max(0) as u64),
        rpo_seconds: group.rpo_seconds,
        complete_sets: group.complete,
        incomplete_sets: group.incomplete,
        last_drill: group.drill_verdict.clone(),
        last_drill_passed: group.drill_passed_at,
        next_backup: group.next_at,
    }
}

fn one(source: &Source, now: Timestamp) -> SourceSummary {
    let last = source.last_of(Job::Backup);
    let (good, bad) = (last.and_then(|l| l.success_at), last.and_then(|l| l.failure_at));
    let next = source.next_of(Job::Backup);
    let age = |at: Timestamp| now.duration_since(at).as_secs().max(0) as u64;
    SourceSummary {
        name: source.name.to_string(),
        state: source.state,
        reasons: source.reasons.clone(),
        conditions: source.conditions.clone(),
        protected: source.state == State::Protected,
        newest_snapshot_at: source.newest_at,
        age_seconds: source.newest_at.map(age),
        rpo_seconds: source.rpo_seconds,
        verified_level: source.newest_level.map(|level| level.as_str().to_owned()),
        last_verified: source.verified_at,
        last_backup: good.max(bad),
        last_backup_success: good.max(bad).map(|_| good >= bad),
        next_backup: next.and_then(|next| next.at),
        expected_at: source.expected_at,
        overdue_since: next.and_then(|next| next.overdue_since),
        total_backups: source.snapshots,
        stored_bytes: source.stored_bytes,
        last_error: (bad > good).then(|| last.and_then(|l| l.failure.clone())).flatten(),
        verified_age_seconds: source.verified_at.map(age),
        drill_age_seconds: source.drill.as_ref().map(|drill| age(drill.at)),
        size_ratio: source.size.as_ref().and_then(|size| size.ratio),
        success: source.success.clone(),
        wal: source.wal.as_ref().map(|wal| WalSummary {
            streaming: wal.streaming,
            lag_seconds: wal.lag_seconds,
            lag_bytes: wal.lag_bytes,
            gaps: wal.gaps,
            problem: wal.problem.clone(),
        }),
        native: source.native.as_ref().map(|native| NativeSummary {
            provider: native.provider.clone(),
            newest_at: native.newest_at,
            age_seconds: native.newest_at.map(age),
            snapshots: native.snapshots,
            ours: native.ours,
            next: source.next_of(Job::Native).and_then(|next| next.at),
            rpo_seconds: native.rpo_seconds,
            problem: native.problem.clone(),
        }),
    }
}
