//! `forget`: drop snapshots by policy or by name.

use backup::ops::document::ForgetDocument;
use backup::ops::forget;
use backup::retention::Plan;
use backup_core::{Error, ErrorKind, HeadRecord, Result, SnapshotId, SnapshotRecord, SourceName};

use crate::args::ForgetArgs;
use crate::exit::Ending;
use crate::session::Session;
use crate::verbs::prune;

pub(super) async fn run(session: &Session, args: ForgetArgs) -> Result<Ending> {
    if args.native {
        return super::native::forget(session, &args.source, args.dry_run).await;
    }
    let records = session.records().await?;
    let (ids, ending) = if args.snapshots.is_empty() {
        let plans = plan(session, &args, &records).await?;
        show_plans(session, &plans, args.dry_run)?;
        let ids: Vec<SnapshotId> = plans.iter().flat_map(Plan::forget_ids).collect();
        let refused = plans.iter().any(|plan| plan.refused.is_some());
        (ids, if refused { Ending::Found(ErrorKind::Suspect) } else { Ending::Ok })
    } else {
        let selectors = session.expand(&args.snapshots).await?;
        let chosen = forget::named(&records, &selectors, args.force)?;
        show_named(session, &chosen, args.dry_run)?;
        (chosen.iter().map(|record| record.snapshot.id).collect(), Ending::Ok)
    };
    if args.dry_run {
        return Ok(ending);
    }
    let repository = session.repository().await?;
    session.interrupt.unless(forget::execute(repository, &ids)).await?;
    if args.prune {
        prune::prune(session, session.grace(), None, false).await?;
    } else if !ids.is_empty() {
        session.screen.hint("Their data stays until `backupctl prune`.");
    }
    Ok(ending)
}

async fn plan(
    session: &Session,
    args: &ForgetArgs,
    records: &[SnapshotRecord],
) -> Result<Vec<Plan>> {
    let known =
        |source: &SourceName| records.iter().any(|record| record.snapshot.source == *source);
    if let Some(absent) = args.source.iter().find(|source| !known(source)) {
        return Err(Error::new(ErrorKind::NotFound, "plan retention").with("source", absent));
    }
    let typed = args.keep.policy();
    let heads: Vec<HeadRecord> = records.iter().map(HeadRecord::from).collect();
    let repository = session.repository().await?;
    let passed = forget::passed_sets(repository, &heads);
    let passed = session.interrupt.unless(passed).await?;
    let plans = forget::plan(
        &heads,
        &passed,
        |source| {
            let asked = args.source.is_empty() || args.source.contains(source);
            session.retention(source, typed.filter(|_| asked))
        },
        session.clock.now(),
    );
    let plans = match args.source.as_slice() {
        [] => plans,
        asked => forget::for_sources(plans, &heads, |source| asked.contains(source)),
    };
    if plans.is_empty() && !records.is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "plan retention").hint(
            "There is no retention policy: pass --keep-daily 7 and the like, set \
             BACKUP_RETENTION_DAYS, or write it into backup.toml.",
        ));
    }
    Ok(plans)
}

fn show_plans(session: &Session, plans: &[Plan], dry_run: bool) -> Result<()> {
    if session.screen.json() {
        return session.screen.document(&ForgetDocument::planned(plans, dry_run));
    }
    for plan in plans {
        session.screen.data(&plan.table(&session.zone()));
    }
    if dry_run {
        session.screen.data("nothing was forgotten (--dry-run)\n");
    }
    Ok(())
}

fn show_named(session: &Session, chosen: &[SnapshotRecord], dry_run: bool) -> Result<()> {
    if session.screen.json() {
        return session.screen.document(&ForgetDocument::named(chosen, dry_run));
    }
    let done = if dry_run { "would forget" } else { "forget" };
    for record in chosen {
        session.screen.data(&format!(
            "{done} {} of {}\n",
            record.snapshot.id.short(),
            record.snapshot.source
        ));
    }
    Ok(())
}
