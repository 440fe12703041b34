//! Snapshots, and what restoring one would mean.

use std::sync::Arc;

use backup_ops::document::SnapshotDocument;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::{App, Call, Problem, Refused, Reply, json};
use crate::port::{RestoreQuestion, SnapshotFilter};

/// `GET /api/v1/snapshots`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Snapshots {
    /// Those asked for.
    snapshots: Vec<SnapshotDocument>,
}

pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let filter = SnapshotFilter {
        source: call.source(),
        limit: call.number("limit") as usize,
        offset: call.number("offset") as usize,
    };
    json(StatusCode::OK, &Snapshots { snapshots: app.facts.snapshots(&filter).await? })
}

pub(crate) async fn show(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let id = call.snapshot().ok_or_else(Problem::not_found)?;
    json(StatusCode::OK, &app.facts.snapshot(&id).await?)
}

pub(crate) async fn preview(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let question: RestoreQuestion = call.json()?;
    let (tables, schemas) = (question.tables.len(), question.schemas.len());
    if question.snapshot.is_empty() || question.snapshot.len() > 128 || tables.max(schemas) > 1000 {
        return Err(Problem::bad_request("name a snapshot, and at most 1000 tables or schemas"));
    }
    json(StatusCode::OK, &app.actions.preview_restore(&question).await?)
}
