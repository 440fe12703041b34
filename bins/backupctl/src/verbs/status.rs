//! `status`: protected, or not, and why.

use backup::ops::document::StatusDocument;
use backup::ops::group::{self, GroupStatus};
use backup::ops::health::RepositoryHealth;
use backup::ops::managed;
use backup::ops::{SourceStatus, Standing};
use backup_core::{ByteSize, Error, ErrorKind, Result, SourceName};

use crate::alerts;
use crate::args::StatusArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;
use jiff::Timestamp;
use std::time::Duration;

pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<Ending> {
    let (mut sources, mut groups) = session.standings(&args.sources).await?;
    if sources.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "judge sources").hint(
            "No source is configured and the repository holds no snapshot; set DATABASE_URL \
             and run `backupctl backup`.",
        ));
    }
    let now = session.clock.now();
    let memory = session.memory(args.state.as_deref()).await?;
    if let Some(memory) = &memory {
        backup::daemon::hear_runs(memory.as_ref(), &mut sources, now).await?;
    }
    session.count_natives(sources.iter_mut()).await?;
    group::count_members(&mut groups, &sources);
    let repository = session.repository().await?;
    let (url, memory) = (session.repository_url()?, memory.as_deref());
    let look = backup::repository_health(repository, &url, memory, &sources, now);
    let health = session.interrupt.unless(async { Ok(look.await) }).await?;
    if session.screen.json() {
        let document = StatusDocument::new(&sources, now).with_groups(&groups);
        let document = document.with_repository(&health);
        session.screen.document(&document)?;
    } else {
        session
            .screen
            .data(&(table(&sources, now) + &of_groups(&groups, now) + &space(&health, now)));
    }
    let bad: Vec<&SourceStatus> =
        sources.iter().filter(|source| source.standing != Standing::Protected).collect();
    let bad_groups: Vec<&GroupStatus> =
        groups.iter().filter(|group| group.standing != Standing::Protected).collect();
    if bad.is_empty() && bad_groups.is_empty() {
        return Ok(Ending::Ok);
    }
    let title = match bad.len() {
        0 => format!("{} of {} groups not protected", bad_groups.len(), groups.len()),
        bad => format!("{bad} of {} sources not protected", sources.len()),
    };
    let mut why = reasons(&bad);
    for group in bad_groups {
        for reason in &group.reasons {
            let how = group.standing.label();
            why.push_str(&format!("\ngroup {}: {how}: {reason}", group.group));
        }
    }
    let why = why.trim_start().to_owned();
    alerts::tell(session, &backup::ops::alert::finding("status", None, title, why, now)).await;
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
        ("NEXT", Left),
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
            next(source, now),
            newest.map_or_else(|| "-".into(), |record| record.snapshot.id.short()),
            source.snapshots.to_string(),
        ]);
    }
    let mut text = table.render();
    for native in
        sources.iter().filter_map(|source| Some((&source.source, source.native.as_ref()?)))
    {
        text.push_str(&native_line(native.0, native.1, now));
    }
    for source in sources {
        for reason in &source.reasons {
            text.push_str(&format!("{}: {reason}\n", source.source));
        }
        let more = source.health.conditions.iter();
        for condition in more.filter(|condition| !source.reasons.contains(&condition.detail)) {
            let label = condition.concern.label();
            text.push_str(&format!("{}: {label}: {}\n", source.source, condition.detail));
        }
        if let Some(month) = source.health.success.first().filter(|month| month.all > 0) {
            let (name, share) = (&source.source, render::percent(month.good, month.all));
            let runs = render::count(month.all);
            text.push_str(&format!("{name}: {share} of {runs} backups in 30 days went well\n"));
        }
    }
    text
}

/// The groups, with why they stand as they do.
fn of_groups(groups: &[GroupStatus], now: Timestamp) -> String {
    use Align::{Left, Right};
    if groups.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("GROUP", Left),
        ("STATE", Left),
        ("AGE", Right),
        ("RPO", Right),
        ("DRILLED", Right),
        ("NEWEST SET", Left),
        ("SETS", Right),
        ("INCOMPLETE", Right),
    ]);
    for group in groups {
        let passed = group.drill.as_ref().and_then(|drill| drill.passed_at);
        let since = |at| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        table.row([
            group.group.to_string(),
            group.standing.label().into(),
            group.age.map_or_else(|| "-".into(), render::age),
            render::age(group.promise.rpo),
            match group.newest_passed {
                Some(false) => "FAILED".into(),
                _ => passed.map_or_else(|| "never".into(), |at| render::age(since(at))),
            },
            group.newest.as_ref().map_or_else(|| "-".into(), |set| set.id.short()),
            group.complete.to_string(),
            group.incomplete.to_string(),
        ]);
    }
    let mut text = format!("\n{}", table.render());
    for group in groups {
        for reason in &group.reasons {
            text.push_str(&format!("{}: {reason}\n", group.group));
        }
        if group.promise.keys == 0 {
            text.push_str(&format!("{}: keys: not asked (no drill.keys_sql)\n", group.group));
        }
    }
    text
}

/// What a provider keeps: the weaker class, beside the repository.
fn native_line(source: &SourceName, native: &managed::NativeStanding, now: Timestamp) -> String {
    let newest = native
        .age(now)
        .map_or_else(|| "none".into(), |age| format!("newest {} old", render::age(age)));
    let window =
        native.window.map(|window| format!("; any moment since {}", render::time(window.earliest)));
    let error = native.error.as_ref().map(|error| format!("; {error}"));
    format!(
        "{source}: on provider ({}, dies with the account): {newest}, {} snapshots, {} of them ours{}{}\n",
        native.provider,
        native.snapshots,
        native.ours,
        window.unwrap_or_default(),
        error.unwrap_or_default()
    )
}

/// When the next backup is expected, or for how long it is overdue.
fn next(source: &SourceStatus, now: Timestamp) -> String {
    let Some(backup) = source.health.backup else { return "-".into() };
    let between = |from: Timestamp, to: Timestamp| {
        render::age(Duration::try_from(to.duration_since(from)).unwrap_or_default())
    };
    match backup.overdue_since {
        Some(since) => format!("OVERDUE {}", between(since, now)),
        None if backup.expected_at > now => format!("in {}", between(now, backup.expected_at)),
        None => "due".into(),
    }
}

/// The repository's space and keys.
fn space(health: &RepositoryHealth, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(room) = health.room {
        let (free, all) = (ByteSize(room.available_bytes), ByteSize(room.capacity_bytes));
        text.push_str(&format!("repository: {free} of {all} free"));
        if let Some(forecast) = health.forecast {
            let a_day = ByteSize(forecast.bytes_a_day.abs() as u64);
            let how = if forecast.bytes_a_day < 0.0 { "shrinks" } else { "grows" };
            text.push_str(&format!(", {how} by {a_day} a day"));
        }
        if let Some(days) = health.days_until_full(now) {
            text.push_str(&format!(", full in {days:.0} days"));
        }
        text.push('\n');
    }
    for condition in &health.conditions {
        let label = condition.concern.label();
        text.push_str(&format!("repository: {label}: {}\n", condition.detail));
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
