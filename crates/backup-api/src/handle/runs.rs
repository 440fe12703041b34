//! Runs: looked at, started, stopped.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::{App, Call, Problem, Refused, Reply, json};
use crate::port::{Job, RunFilter, Trigger};
use crate::view::{Run, RunState};

/// `GET /api/v1/runs`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Runs {
    /// Those asked for.
    runs: Vec<Run>,
}

/// What to start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TriggerRequest")]
pub(crate) struct Wanted {
    /// Which job.
    job: Job,
}

pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let filter = RunFilter {
        source: call.source(),
        job: call.text("job").and_then(Job::of),
        state: call.text("state").and_then(RunState::of),
        limit: call.number("limit") as usize,
        offset: call.number("offset") as usize,
    };
    json(StatusCode::OK, &Runs { runs: app.facts.runs(&filter).await? })
}

pub(crate) async fn show(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let id = call.text("run").ok_or_else(Problem::not_found)?;
    json(StatusCode::OK, &app.facts.run(id).await?)
}

pub(crate) async fn trigger(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let wanted: Wanted = call.json()?;
    let run = start(&app, &call, wanted.job).await?;
    let mut reply = json(StatusCode::ACCEPTED, &run)?;
    if let Ok(address) = HeaderValue::from_str(&format!("/api/v1/runs/{}", run.id)) {
        reply.headers_mut().insert(LOCATION, address);
    }
    Ok(reply)
}

/// Starts a job of the source in the path.
pub(crate) async fn start(app: &App, call: &Call, job: Job) -> Result<Run, Refused> {
    let source = call.source().ok_or_else(Problem::not_found)?;
    let trigger = Trigger { source, job, by: call.caller.name.clone() };
    Ok(app.actions.trigger(&trigger).await?)
}

pub(crate) async fn cancel(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let id = call.text("run").ok_or_else(Problem::not_found)?;
    json(StatusCode::ACCEPTED, &app.actions.cancel(id).await?)
}
