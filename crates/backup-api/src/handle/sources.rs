//! Sources.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::{App, Call, Problem, Refused, Reply, json};
use crate::view::{Fleet, Source};

/// `GET /api/v1/sources`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Sources<'a> {
    /// The instant these facts are from.
    at: Timestamp,
    /// How many of those there are in all.
    total: u64,
    /// Those asked for, by name.
    sources: Vec<&'a Source>,
}

pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let (offset, limit) = (call.number("offset") as usize, call.number("limit") as usize);
    let found = find(&fleet, &call);
    json(
        StatusCode::OK,
        &Sources {
            at: fleet.at,
            total: found.len() as u64,
            sources: found.into_iter().skip(offset).take(limit).collect(),
        },
    )
}

/// Returns the sources that are asked for by `q` and `state`, by name.
pub(crate) fn find<'a>(fleet: &'a Fleet, call: &Call) -> Vec<&'a Source> {
    let part = call.text("q").map(|part| part.trim().to_ascii_lowercase()).unwrap_or_default();
    let state = call.text("state").filter(|state| !state.is_empty());
    let wanted = |source: &&Source| {
        let named = part.is_empty() || source.name.as_str().to_ascii_lowercase().contains(&part);
        named && state.is_none_or(|state| source.state.as_str() == state)
    };
    fleet.sources.iter().filter(wanted).collect()
}

pub(crate) async fn show(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let name = call.source().ok_or_else(Problem::not_found)?;
    let fleet = app.facts.fleet().await?;
    let source = fleet.source(name.as_str()).ok_or_else(|| unknown(name.as_str()))?;
    json(StatusCode::OK, source)
}

pub(crate) async fn history(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let name = call.source().ok_or_else(Problem::not_found)?;
    json(StatusCode::OK, &app.facts.history(&name).await?)
}

pub(crate) async fn plan(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let name = call.source().ok_or_else(Problem::not_found)?;
    json(StatusCode::OK, &app.facts.plan(&name).await?)
}

/// There is no source of that name.
pub(crate) fn unknown(name: &str) -> Refused {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no source `{name}`"))
        .hint("GET /api/v1/sources lists them.")
}
