//! Runs as rows.

use backup_core::port::RunFilter;
use backup_core::{Error, ErrorKind, Result, Run, RunState};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::open::failed;

const STATES: [RunState; 7] = [
    RunState::Queued,
    RunState::Running,
    RunState::Succeeded,
    RunState::Suspect,
    RunState::Failed,
    RunState::Interrupted,
    RunState::Cancelled,
];

/// A page is never larger, whatever is asked for.
const MOST: u32 = 100_000;

pub(crate) fn record(connection: &Connection, run: &Run) -> Result<()> {
    let body = serde_json::to_string(run)
        .map_err(|error| Error::new(ErrorKind::Failed, "write run").because(error))?;
    let source = run.job.source.as_ref().map(backup_core::SourceName::as_str);
    connection
        .prepare_cached(
            "INSERT INTO runs (id, kind, source, state, started_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET state = ?4, started_at = ?5, body = ?6",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                run.id.as_bytes(),
                run.job.kind.as_str(),
                source,
                run.state.as_str(),
                run.started_at.as_millisecond(),
                body
            ])
        })
        .map_err(failed("write run"))?;
    Ok(())
}

pub(crate) fn find(connection: &Connection, filter: &RunFilter) -> Result<Vec<Run>> {
    let (clauses, mut values) = clauses(filter);
    values.push(Value::Integer(filter.limit.unwrap_or(MOST).min(MOST).into()));
    let sql = format!("SELECT body FROM runs WHERE {clauses} ORDER BY id DESC LIMIT ?");
    let bodies: Vec<String> = select(connection, &sql, values, |row| row.get(0))?;
    bodies.iter().map(|body| read(body)).collect()
}

pub(crate) fn count(connection: &Connection, filter: &RunFilter) -> Result<Vec<(RunState, u64)>> {
    let (clauses, values) = clauses(filter);
    let sql = format!("SELECT state, count(*) FROM runs WHERE {clauses} GROUP BY state");
    let rows: Vec<(String, u64)> =
        select(connection, &sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let state = |word: &str| STATES.into_iter().find(|state| state.as_str() == word);
    Ok(rows.into_iter().filter_map(|(word, count)| Some((state(&word)?, count))).collect())
}

pub(crate) fn one(connection: &Connection, id: [u8; 16]) -> Result<Option<Run>> {
    let bodies: Vec<String> = select(
        connection,
        "SELECT body FROM runs WHERE id = ?",
        vec![Value::Blob(id.to_vec())],
        |row| row.get(0),
    )?;
    bodies.first().map(|body| read(body)).transpose()
}

fn read(body: &str) -> Result<Run> {
    serde_json::from_str(body).map_err(|error| {
        Error::new(ErrorKind::Failed, "read run").because(error).hint(
            "The catalog holds what this program did not write; move it away: it is rebuilt from \
             the repository.",
        )
    })
}

fn clauses(filter: &RunFilter) -> (String, Vec<Value>) {
    let mut clauses = vec!["1"];
    let mut values = Vec::new();
    let mut add = |clause, value| {
        clauses.push(clause);
        values.push(value);
    };
    if let Some(source) = &filter.source {
        add("source = ?", Value::Text(source.to_string()));
    }
    if let Some(kind) = filter.kind {
        add("kind = ?", Value::Text(kind.as_str().into()));
    }
    if let Some(state) = filter.state {
        add("state = ?", Value::Text(state.as_str().into()));
    }
    if let Some(since) = filter.since {
        add("started_at >= ?", Value::Integer(since.as_millisecond()));
    }
    if let Some(before) = filter.before {
        add("id < ?", Value::Blob(before.as_bytes().to_vec()));
    }
    (clauses.join(" AND "), values)
}

pub(crate) fn select<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.query_map(params_from_iter(values), row)?.collect::<Result<_, _>>()
        })
        .map_err(failed("read catalog"))
}
