//! `status`: protected, or not, and why.

use backup::ops::document::StatusDocument;
use backup::ops::{SourceStatus, Standing};
use backup_core::{Error, ErrorKind, Result};

use crate::alerts;
use crate::args::StatusArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;
use jiff::Timestamp;
use std::time::Duration;

pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<Ending> {
    let sources = session.standings(&args.sources).await?;
    if sources.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "judge sources").hint(
            "No source is configured and the repository holds no snapshot; set DATABASE_URL \
             and run `backupctl backup`.",
        ));
    }
    let now = session.clock.now();
    if session.screen.json() {
        session.screen.document(&StatusDocument::new(&sources, now))?;
    } else {
        session.screen.data(&table(&sources, now));
    }
    let bad: Vec<&SourceStatus> =
        sources.iter().filter(|source| source.standing != Standing::Protected).collect();
    if bad.is_empty() {
        return Ok(Ending::Ok);
    }
    let title = format!("{} of {} sources not protected", bad.len(), sources.len());
    alerts::tell(session, &backup::ops::alert::finding("status", None, title, reasons(&bad), now))
        .await;
    Ok(Ending::Found(ErrorKind::Suspect))
}

fn reasons(sources: &[&SourceStatus]) -> String {
    let lines: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            source.reasons.iter().map(move |reason| {
                format!("{}: {}: {reason}", source.source, source.standing.label())
            })
        })
        .collect();
    lines.join("\n")
}

fn table(sources: &[SourceStatus], now: Timestamp) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("SOURCE", Left),
        ("STATE", Left),
        ("AGE", Right),
        ("RPO", Right),
        ("VERIFIED", Left),
        ("NEEDS", Left),
        ("DRILLED", Right),
        ("RTO", Right),
        ("NEWEST", Left),
        ("SNAPSHOTS", Right),
    ]);
    for source in sources {
        let newest = source.newest.as_ref();
        table.row([
            source.source.to_string(),
            source.standing.label().into(),
            source.age.map_or_else(|| "-".into(), render::age),
            render::age(source.promise.rpo),
            newest.map_or("-", |record| record.verified.level.as_str()).into(),
            source.promise.level.as_str().into(),
            drilled(source, now),
            source
                .drill
                .as_ref()
                .and_then(|drill| drill.newest.rto_seconds)
                .map_or_else(|| "-".into(), render::seconds),
            newest.map_or_else(|| "-".into(), |record| record.snapshot.id.short()),
            source.snapshots.to_string(),
        ]);
    }
    let mut text = table.render();
    for source in sources {
        for reason in &source.reasons {
            text.push_str(&format!("{}: {reason}\n", source.source));
        }
    }
    text
}

/// How long ago a drill last passed.
fn drilled(source: &SourceStatus, now: Timestamp) -> String {
    let Some(drill) = &source.drill else { return "never".into() };
    let passed = drill.passed_at.map(|at| Duration::try_from(now.duration_since(at)));
    match (drill.newest.verdict.as_str(), passed) {
        ("failed", _) => "FAILED".into(),
        (_, Some(age)) => render::age(age.unwrap_or_default()),
        (_, None) => "never".into(),
    }
}
