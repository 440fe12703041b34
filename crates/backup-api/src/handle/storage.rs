//! Repositories and alerts.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::{App, Call, Refused, Reply, json};
use crate::view::{Alert, Repository};

/// `GET /api/v1/storage`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Storage<'a> {
    /// The instant these facts are from.
    at: Timestamp,
    /// Every repository.
    repositories: &'a [Repository],
}

/// `GET /api/v1/alerts`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Alerts<'a> {
    /// The instant these facts are from.
    at: Timestamp,
    /// Every alert that is open or was not delivered.
    alerts: &'a [Alert],
}

pub(crate) async fn show(app: Arc<App>, _: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    json(StatusCode::OK, &Storage { at: fleet.at, repositories: &fleet.repositories })
}

pub(crate) async fn alerts(app: Arc<App>, _: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    json(StatusCode::OK, &Alerts { at: fleet.at, alerts: &fleet.alerts })
}
