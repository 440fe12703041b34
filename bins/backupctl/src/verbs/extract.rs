//! The part of `restore` that takes one database, or tables of it, out of a physical snapshot.

use backup::ops::document::RestorePlanDocument;
use backup::ops::restore::RestoreReceipt;
use backup_core::{Finding, Result};

use super::{recovery, restore};
use crate::args::RestoreArgs;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: RestoreArgs, database: &str) -> Result<Ending> {
    let begun = session.clock.elapsed();
    let (record, plan) = match recovery::find(session, &args.recovery, &args.snapshot).await? {
        Some((record, plan)) => (record, Some(plan)),
        None => (recovery::newest(session, &args.snapshot).await?, None),
    };
    let (snapshot, plan) = (&record.snapshot, plan.as_ref());
    let composer = session.composer();
    let target = composer.extract_target(restore::single(&args)?)?;
    let mut tools = composer.tools().clone();
    if let Some(scratch) = &args.scratch {
        tools = tools.with_temporary(scratch);
    }
    let observer = session.observer();
    let options = restore::options(session, &snapshot.source, &args, observer.clone());
    if args.preview {
        let check = backup::check_extract(&tools, snapshot, &target, &options);
        session.interrupt.unless(check).await?;
        let scratch = tools.temporary();
        let plan = backup::describe_extract(snapshot, plan, database, &target, &options, &scratch);
        if session.screen.json() {
            let location = target.location.clone();
            session.screen.document(&RestorePlanDocument::new(snapshot, location, &plan))?;
        } else {
            session.screen.data(&restore::describe(snapshot, &target.location, &plan));
        }
        return Ok(Ending::Ok);
    }
    let repository = session.repository().await?;
    let from = (snapshot, plan);
    let work = backup::extract(repository, &tools, from, database, &target, &options);
    let mut report = Box::pin(session.interrupt.unless(work)).await?;
    drop((observer, options));
    if let Some(replay) = &report.replay {
        let position = replay.position.map_or_else(|| "?".to_owned(), |at| at.to_string());
        let last = replay.last_commit.map_or_else(|| "none".to_owned(), |at| at.to_string());
        report.findings.push(Finding::note(format!(
            "Database {database} as it was at position {position}; last transaction {last}."
        )));
    }
    let receipt = RestoreReceipt {
        snapshot: snapshot.clone(),
        location: target.location,
        report,
        seconds: session.clock.elapsed().saturating_sub(begun).as_secs_f64(),
    };
    restore::show(session, &receipt)?;
    Ok(Ending::Ok)
}
