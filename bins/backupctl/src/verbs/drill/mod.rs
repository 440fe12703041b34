//! `drill`: restore somewhere disposable, question, throw away, keep the receipt.

mod disaster;
mod set;
mod show;

use backup::default_jobs;
use backup::ops::Selector;
use backup::ops::drill::DrillRequest;
use backup::ops::drill::{self, DrillPoint, DrillReceipt};
use backup::ops::group::{self, RecoverySet};
use backup::ops::wal::RecoveryPlan;
use backup::postgres::scratch::Recovery;
use backup_core::port::DrillTarget;
use backup_core::{Error, ErrorKind, Result, Secret, Snapshot, SnapshotKind, SourceName};
use std::sync::Arc;

use crate::args::DrillArgs;
use crate::exit::Ending;
use crate::session::{Job, Session};

use super::recovery;

/// The program that drills.
const PROGRAM: &str = concat!("backupctl ", env!("CARGO_PKG_VERSION"));

pub(super) async fn run(session: &Session, args: DrillArgs) -> Result<Ending> {
    if args.history {
        return history(session, &args).await;
    }
    if let Some(url) = &args.to {
        session.warn_about_argv("--to", url);
    }
    if args.disaster {
        return disaster::run(session, &args).await;
    }
    if args.via_daemon {
        return via_daemon(session, &args).await;
    }
    drill_all(session, &args).await
}

/// Has the daemon drill each source; ends as if they had been drilled here.
async fn via_daemon(session: &Session, args: &DrillArgs) -> Result<Ending> {
    let names: Vec<SourceName> =
        args.what.iter().map(|word| word.parse()).collect::<Result<_>>()?;
    let mut worst = None;
    for job in session.jobs(&names)? {
        let name = match job {
            Job::Source(source) => &source.name,
            Job::Group(group) => &group.name,
        };
        let receipt = super::daemon::drill(session, name).await?;
        show::receipt(session, &receipt)?;
        worst = worse(worst, &receipt);
    }
    worst.map_or(Ok(Ending::Ok), Err)
}

/// The first bad backup outweighs everything, then the first that could not be told.
/// Somebody hears of what a drill left at the provider, which costs money.
async fn tell_left_behind(session: &Session, receipt: &DrillReceipt) {
    let found = receipt.findings.iter().map(|finding| finding.message.as_str());
    let now = session.clock.now();
    if let Some(alert) = backup::ops::alert::left_behind_of(&receipt.source, found, now) {
        crate::alerts::tell(session, &alert).await;
    }
}

fn worse(worst: Option<Error>, receipt: &DrillReceipt) -> Option<Error> {
    match drill::demand(receipt) {
        Err(error) if worst.as_ref().is_none_or(|w| w.kind() != ErrorKind::Integrity) => {
            Some(error)
        }
        _ => worst,
    }
}

/// Drills each snapshot that is meant; the first bad one decides how this ends, after all of
/// them were drilled.
async fn drill_all(session: &Session, args: &DrillArgs) -> Result<Ending> {
    let mut worst: Option<Error> = None;
    let mut note = |error: Option<Error>| {
        let bad = |error: &Error| error.kind() == ErrorKind::Integrity;
        if let Some(error) = error
            && worst.as_ref().is_none_or(|worst| bad(&error) && !bad(worst))
        {
            worst = Some(error);
        }
    };
    let (sets, args) = sets(session, args).await?;
    for set in &sets {
        note(set::run(session, &args, set).await?);
    }
    if !sets.is_empty() && args.what.is_empty() && !args.point.is_named() {
        return worst.map_or(Ok(Ending::Ok), Err);
    }
    for (snapshot, plan) in subjects(session, &args).await? {
        let receipt = drill_one(session, &args, &snapshot, plan.as_ref()).await?;
        show::receipt(session, &receipt)?;
        tell_left_behind(session, &receipt).await;
        note(worse(None, &receipt));
    }
    worst.map_or(Ok(Ending::Ok), Err)
}

async fn drill_one(
    session: &Session,
    args: &DrillArgs,
    snapshot: &Snapshot,
    plan: Option<&RecoveryPlan>,
) -> Result<DrillReceipt> {
    let repository = session.repository().await?;
    let recovery = plan.map(|plan| backup::scratch_recovery(repository, &snapshot.source, plan));
    let recovery = recovery.unwrap_or_default();
    let (target, mut request) = place(session, args, &snapshot.source, snapshot.kind, recovery)?;
    request.point = plan.map(DrillPoint::of);
    let observer = session.observer();
    let (clock, interrupt) = (&session.clock, &session.interrupt);
    drill::drill(repository, &*target, snapshot, &request, clock, &observer, interrupt).await
}

/// Returns where a snapshot of a source is drilled, and what is asked.
fn place(
    session: &Session,
    args: &DrillArgs,
    source: &SourceName,
    kind: SnapshotKind,
    recovery: Recovery,
) -> Result<(Arc<dyn DrillTarget>, DrillRequest)> {
    let composer = session.composer();
    let mut settings = session.drill_settings(source);
    if args.smoke.is_some() {
        settings.smoke.clone_from(&args.smoke);
    }
    let to = match &args.to {
        Some(url) => Some(Secret::new(url.clone())),
        None => composer.drill_url(&settings)?,
    };
    // A server of databases takes no files: those go where they do without one.
    let to = to.filter(|to| kind != SnapshotKind::Files || !is_server(to));
    let preferences = session.restore_preferences(source);
    let at_provider = to.as_ref().is_some_and(|to| to.expose() == backup::DRILL_AT_PROVIDER);
    let target = if at_provider {
        let source = session.sources(std::slice::from_ref(source))?;
        composer.copy_drill(source.first().copied())?
    } else {
        composer.drill_target_at(to.as_ref(), &preferences, recovery)?
    };
    let jobs = args.jobs.or(preferences.jobs).unwrap_or_else(default_jobs);
    let mut request = backup::drill_request(&settings, jobs, PROGRAM);
    request.disaster = args.disaster;
    Ok((target, request))
}

fn is_server(to: &Secret) -> bool {
    to.expose() == backup::DRILL_AT_PROVIDER
        || (to.expose().contains("://") && !to.expose().starts_with("file://"))
}

/// Takes the recovery sets out of what is to be drilled; without a word everything is: then each
/// configured group's newest set, and every source that is in none. A point in time is no set's.
async fn sets(session: &Session, args: &DrillArgs) -> Result<(Vec<RecoverySet>, DrillArgs)> {
    let (mut found, mut rest) = (Vec::new(), args.clone());
    if args.point.is_named() || args.disaster {
        return Ok((found, rest));
    }
    if !args.what.is_empty() {
        rest.what.clear();
        for word in &args.what {
            match session.set(&word.parse()?).await? {
                Some(set) => found.push(set),
                None => rest.what.push(word.clone()),
            }
        }
        return Ok((found, rest));
    }
    let groups = &session.settings()?.groups;
    if groups.is_empty() {
        return Ok((found, rest));
    }
    let (heads, sets) = session.sets().await?;
    let mut covered: Vec<&SourceName> = Vec::new();
    for group in groups {
        if let Some(set) = group::newest(&sets, &group.name) {
            covered.extend(&group.sources);
            found.push(set.clone());
        }
    }
    let mut alone: Vec<String> = heads
        .iter()
        .map(|head| &head.snapshot.source)
        .filter(|source| !covered.contains(source))
        .map(ToString::to_string)
        .collect();
    alone.sort();
    alone.dedup();
    rest.what = alone;
    Ok((found, rest))
}

/// Returns what is to be drilled: snapshots, each with the way to the point that was asked for.
async fn subjects(
    session: &Session,
    args: &DrillArgs,
) -> Result<Vec<(Snapshot, Option<RecoveryPlan>)>> {
    if !args.point.is_named() {
        let all = snapshots(session, &args.what).await?;
        return Ok(all.into_iter().map(|snapshot| (snapshot, None)).collect());
    }
    let mut words = args.what.clone();
    if words.is_empty() {
        words.push("latest".into());
    }
    let mut found = Vec::new();
    for word in words {
        let records = session.records().await?;
        let source = word.parse::<SourceName>().ok();
        let known = source.filter(|s| records.iter().any(|record| record.snapshot.source == *s));
        let selector = match known {
            Some(source) => Selector::LatestOf(source),
            None => word.parse()?,
        };
        let way = recovery::find(session, &args.point.recovery(), &selector).await?;
        found.extend(way.map(|(record, plan)| (record.snapshot, Some(plan))));
    }
    Ok(found)
}

/// Returns the snapshots that are meant: of a source its newest, else what a selector says.
async fn snapshots(session: &Session, what: &[String]) -> Result<Vec<Snapshot>> {
    let records = session.records().await?;
    let newest =
        |source: &SourceName| backup::ops::select(&records, &Selector::LatestOf(source.clone()));
    if what.is_empty() {
        let sources: std::collections::BTreeSet<&SourceName> =
            records.iter().map(|record| &record.snapshot.source).collect();
        if sources.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "drill snapshots")
                .hint("The repository holds no snapshot yet; run `backupctl backup`."));
        }
        let all = sources.into_iter().map(|source| Ok(newest(source)?.snapshot.clone()));
        return all.collect();
    }
    let mut found = Vec::new();
    for word in what {
        let source = word.parse::<SourceName>().ok();
        let known = source.filter(|s| records.iter().any(|record| record.snapshot.source == *s));
        let record = match known {
            Some(source) => newest(&source)?,
            None => backup::ops::select(&records, &word.parse()?)?,
        };
        found.push(record.snapshot.clone());
    }
    Ok(found)
}

async fn history(session: &Session, args: &DrillArgs) -> Result<Ending> {
    let source = args.what.first().map(|word| word.parse::<SourceName>()).transpose()?;
    let repository = session.repository().await?;
    let reading = drill::history(repository, source.as_ref(), args.limit);
    let receipts = session.interrupt.unless(reading).await?;
    show::history(session, receipts)?;
    Ok(Ending::Ok)
}
