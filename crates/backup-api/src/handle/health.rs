//! Health: of the daemon, and of what it protects.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::{App, Call, Refused, Reply, json};
use crate::view::{AlertSeverity, Program, State};

/// `GET /health`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Liveness {
    /// `ok`.
    status: String,
}

pub(crate) fn liveness(_: &App, _: &Call) -> Result<Reply, Refused> {
    json(StatusCode::OK, &Liveness { status: "ok".into() })
}

/// `GET /health/detailed`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Detailed {
    /// `ok`, or `degraded` when something is wrong with the daemon or a repository.
    #[schemars(extend("enum" = ["ok", "degraded"]))]
    status: String,
    /// The instant these facts are from.
    at: Timestamp,
    /// The daemon.
    program: Program,
    /// Each repository with what is wrong with it.
    repositories: Vec<RepositoryHealth>,
    /// How many alerts are open, by severity.
    open_alerts: BTreeMap<String, u64>,
    /// Alerts that could not be delivered at the last try.
    undelivered_alerts: u64,
    /// Entries of the audit record that could not be written since the daemon started.
    audit_failures: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RepositoryHealth {
    /// Its name.
    name: String,
    /// When it was last measured.
    measured_at: Option<Timestamp>,
    /// What is wrong, a sentence each.
    problems: Vec<String>,
}

pub(crate) async fn detailed(app: Arc<App>, _: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let open = || fleet.alerts.iter().filter(|alert| alert.resolved_at.is_none());
    let mut open_alerts = BTreeMap::new();
    for severity in [AlertSeverity::Info, AlertSeverity::Warning, AlertSeverity::Critical] {
        let count = open().filter(|alert| alert.severity == severity).count() as u64;
        open_alerts.insert(severity.as_str().to_owned(), count);
    }
    let audit_failures = app.recorder.failures();
    let good = fleet.program.problems.is_empty()
        && fleet.repositories.iter().all(|repository| repository.problems.is_empty())
        && audit_failures == 0;
    json(
        StatusCode::OK,
        &Detailed {
            status: if good { "ok" } else { "degraded" }.into(),
            at: fleet.at,
            program: fleet.program.clone(),
            repositories: fleet
                .repositories
                .iter()
                .map(|repository| RepositoryHealth {
                    name: repository.name.clone(),
                    measured_at: repository.measured_at,
                    problems: repository.problems.clone(),
                })
                .collect(),
            undelivered_alerts: fleet
                .alerts
                .iter()
                .filter(|alert| alert.deliveries.iter().any(|d| d.error.is_some()))
                .count() as u64,
            open_alerts,
            audit_failures,
        },
    )
}

/// `GET /health/backups`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Backups {
    /// The instant these facts are from.
    at: Timestamp,
    /// Whether there is a source and every one is protected, and every group.
    protected: bool,
    /// How many sources stand how.
    states: BTreeMap<String, u64>,
    /// Those that are not protected.
    attention: Vec<Attention>,
    /// Groups that are not protected; absent where every one is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attention_groups: Vec<GroupAttention>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct GroupAttention {
    /// The group.
    group: String,
    /// How it stands.
    state: State,
    /// Why, a sentence each.
    reasons: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Attention {
    /// The source.
    source: String,
    /// How it stands.
    state: State,
    /// Why, a sentence each.
    reasons: Vec<String>,
}

pub(crate) async fn backups(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let protected = fleet.is_protected();
    let count = |state| fleet.sources.iter().filter(|source| source.state == state).count() as u64;
    let body = Backups {
        at: fleet.at,
        protected,
        states: State::ALL.iter().map(|s| (s.as_str().to_owned(), count(*s))).collect(),
        attention: fleet
            .sources
            .iter()
            .filter(|source| source.state != State::Protected)
            .map(|source| Attention {
                source: source.name.to_string(),
                state: source.state,
                reasons: source.reasons.clone(),
            })
            .collect(),
        attention_groups: fleet
            .groups
            .iter()
            .filter(|group| group.state != State::Protected)
            .map(|group| GroupAttention {
                group: group.name.to_string(),
                state: group.state,
                reasons: group.reasons.clone(),
            })
            .collect(),
    };
    let strict = call.flag("strict") && !protected;
    json(if strict { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &body)
}
