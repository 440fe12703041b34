//! The audit record, read and checked.

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::audit::{self, Entry};
use crate::http::{App, Call, Refused, Reply, json};

const PAGE: usize = 1000;

/// `GET /api/v1/audit`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Entries {
    /// Those asked for, oldest first.
    entries: Vec<Entry>,
}

/// `GET /api/v1/audit/check`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// Whether every entry follows from the one before.
    pub(crate) intact: bool,
    /// How many entries were found to be good.
    pub(crate) entries: u64,
    /// The hash of the newest good entry. Written down elsewhere, it shows later that nothing
    /// was cut off.
    pub(crate) newest: Option<String>,
    /// Where the record is broken.
    pub(crate) problem: Option<String>,
}

pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let entries = app.ledger.audit(call.number("after"), call.number("limit") as usize).await?;
    json(StatusCode::OK, &Entries { entries })
}

pub(crate) async fn check(app: Arc<App>, _: Call) -> Result<Reply, Refused> {
    json(StatusCode::OK, &look(&app).await?)
}

/// Checks the whole record, a page at a time.
pub(crate) async fn look(app: &App) -> Result<Check, Refused> {
    let mut newest: Option<Entry> = None;
    loop {
        let after = newest.as_ref().map_or(0, |entry| entry.sequence);
        let page = app.ledger.audit(after, PAGE).await?;
        match audit::verify(newest.as_ref(), &page) {
            Ok(end) => newest = end.cloned(),
            Err(problem) => {
                let good = problem.good_until();
                let last = page.into_iter().chain(newest).find(|entry| entry.sequence == good);
                return Ok(Check {
                    intact: false,
                    entries: good,
                    newest: last.map(|entry| entry.hash),
                    problem: Some(problem.to_string()),
                });
            }
        }
        if page.len() < PAGE {
            let entries = newest.as_ref().map_or(0, |entry| entry.sequence);
            let newest = newest.map(|entry| entry.hash);
            return Ok(Check { intact: true, entries, newest, problem: None });
        }
    }
}
