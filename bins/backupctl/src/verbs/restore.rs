//! `restore`: a snapshot into a new database.

use std::sync::Arc;

use backup::ops::document::{RestoreDocument, RestorePlanDocument};
use backup::ops::restore::{self, PlannedRestore, RestoreReceipt};
use backup_core::port::{FileOptions, Observer, RestoreOptions, RestorePlan};
use backup_core::{ByteSize, Error, ErrorKind, Result, Snapshot, SnapshotKind, SourceName};

use crate::args::RestoreArgs;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

use super::native::{self, NativeTarget};
use super::{extract, recovery, restore_set};

/// Returns what stands behind `MEMBER=`, if that is there.
fn without_member(to: &str) -> &str {
    match to.split_once('=') {
        Some((name, target)) if name.parse::<SourceName>().is_ok() => target,
        _ => to,
    }
}

pub(super) async fn run(session: &Session, args: RestoreArgs) -> Result<Ending> {
    for to in &args.to {
        session.warn_about_argv("--to", without_member(to));
    }
    // What the provider keeps is asked for by names that the repository may not know.
    if let [to] = args.to.as_slice()
        && let Some(to) = NativeTarget::parse(to)
    {
        return Box::pin(native::restore(session, &args, to)).await;
    }
    if let Some(set) = session.set(&args.snapshot).await? {
        return Box::pin(restore_set::run(session, &args, &set)).await;
    }
    let to = single(&args)?;
    if let Some(database) = args.database.clone() {
        return Box::pin(extract::run(session, args, &database)).await;
    }
    let recovery = recovery::plan(session, &args.recovery, &args.snapshot).await?;
    let record = match &recovery {
        Some(recovery) => recovery.record.clone(),
        None => session.select(&args.snapshot).await?,
    };
    let snapshot = &record.snapshot;
    refuse_physical_into_database(snapshot, to)?;
    let provider = session.place(to, snapshot.kind)?;
    let observer = session.observer();
    let mut options = options(session, &snapshot.source, &args, observer.clone());
    options.recovery = recovery.as_ref().map(|r| r.settings.clone()).unwrap_or_default();
    let mut planned =
        restore::plan(provider.as_ref(), snapshot, &options, &session.interrupt).await?;
    if let Some(recovery) = &recovery {
        recovery.describe(&mut planned.plan);
    }
    if args.preview {
        let repository = session.repository().await?;
        planned.look_closer(repository, &session.interrupt).await?;
        return preview(session, &record.snapshot, &planned);
    }
    for finding in &planned.plan.findings {
        session.screen.say(&render::finding(finding));
    }
    let repository = session.repository().await?;
    let mut receipt =
        planned.execute(repository, &session.clock, &observer, &session.interrupt).await?;
    drop(observer);
    if args.recovery.start {
        let started = recovery::start(session, to, recovery.as_ref()).await?;
        receipt.report.findings.extend(started);
    }
    show(session, &receipt)?;
    Ok(Ending::Ok)
}

/// Returns the one place that a single snapshot goes to.
pub(super) fn single(args: &RestoreArgs) -> Result<&str> {
    match args.to.as_slice() {
        [to] if !args.incomplete => Ok(to),
        _ => Err(Error::new(ErrorKind::Usage, "restore snapshot")
            .because("several --to, and --incomplete, are for recovery sets")
            .hint("Name a group, such as GROUP@latest, or one --to.")),
    }
}

/// A cluster does not fit into a database; one of its databases does.
pub(super) fn refuse_physical_into_database(snapshot: &Snapshot, to: &str) -> Result<()> {
    if snapshot.kind != SnapshotKind::Physical || !to.contains("://") || to.starts_with("file://") {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "restore cluster into database")
        .with("snapshot", snapshot.id.short())
        .because("the snapshot is physical: a whole cluster")
        .hint(
            "Say which database to take out of it with --database NAME (and --table), or name a \
             directory for the whole cluster.",
        ))
}

/// Returns how to restore, by what was typed and what is configured.
pub(super) fn options(
    session: &Session,
    source: &SourceName,
    args: &RestoreArgs,
    observer: Arc<dyn Observer>,
) -> RestoreOptions {
    let preferred = session.restore_preferences(source);
    let typed = args.map_roles.clone();
    RestoreOptions {
        jobs: args.jobs.or(preferred.jobs).unwrap_or_else(::backup::default_jobs),
        tables: args.tables.clone(),
        schemas: args.schemas.clone(),
        no_owner: args.no_owner || preferred.no_owner,
        no_privileges: args.no_privileges || preferred.no_privileges,
        create_roles: args.create_roles || preferred.create_roles,
        role_map: if typed.is_empty() { preferred.role_map } else { typed },
        without_extensions: Vec::new(),
        ordered: args.ordered,
        recovery: <_>::default(),
        delta: args.delta,
        tablespaces: args.tablespaces.clone(),
        files: FileOptions { paths: args.paths.clone(), delete: args.delete },
        observer,
    }
}

fn preview(session: &Session, snapshot: &Snapshot, planned: &PlannedRestore) -> Result<Ending> {
    if session.screen.json() {
        let document = RestorePlanDocument::new(snapshot, planned.location(), &planned.plan);
        session.screen.document(&document)?;
    } else {
        session.screen.data(&describe(snapshot, &planned.location(), &planned.plan));
    }
    Ok(Ending::Ok)
}

pub(super) fn describe(snapshot: &Snapshot, target: &str, plan: &RestorePlan) -> String {
    let mut text = format!(
        "restore snapshot {} of {} ({}) into {target}\n{}{}\n",
        snapshot.id.short(),
        snapshot.source,
        render::time(snapshot.started_at),
        ByteSize(plan.bytes),
        match snapshot.kind {
            SnapshotKind::Physical => String::new(),
            SnapshotKind::Files => format!(" in {} files", render::count(plan.files)),
            SnapshotKind::Logical => format!(" in {} tables", render::count(plan.tables)),
        },
    );
    for (position, step) in plan.steps.iter().enumerate() {
        text.push_str(&format!("{:>3}. {}: {}\n", position + 1, step.action, step.detail));
    }
    for finding in &plan.findings {
        text.push_str(&render::finding(finding));
        text.push('\n');
    }
    text.push_str("nothing was written (--preview)\n");
    text
}

pub(super) fn show(session: &Session, receipt: &RestoreReceipt) -> Result<()> {
    let screen = &session.screen;
    if screen.json() {
        return screen.document(&RestoreDocument::new(receipt));
    }
    let report = &receipt.report;
    let mut text = format!(
        "restored {} of {} into {}\n\
         {}, {} in {} ({})\n",
        receipt.snapshot.id.short(),
        receipt.snapshot.source,
        receipt.location,
        match receipt.snapshot.kind {
            // Of a database that was taken out of it, rows were restored.
            SnapshotKind::Physical if report.replay.is_none() => {
                format!("{} files", render::count(report.files))
            }
            SnapshotKind::Files => format!("{} files", render::count(report.files)),
            _ => format!(
                "{} rows in {} tables",
                render::count(report.rows),
                render::count(report.tables)
            ),
        },
        ByteSize(report.bytes),
        render::seconds(receipt.seconds),
        render::rate(report.bytes, receipt.seconds),
    );
    for (phase, seconds) in &report.phases {
        text.push_str(&format!("  {phase}: {}\n", render::seconds(*seconds)));
    }
    screen.data(&text);
    for finding in &report.findings {
        screen.say(&render::finding(finding));
    }
    Ok(())
}
