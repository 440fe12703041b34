//! `copy`: the same repository in a second place.

use std::sync::Arc;

use backup::ops::document::ReceiptDocument;
use backup::repository::{CopyPlan, Repository, Wanted};
use backup_core::{ByteSize, Error, ErrorKind, Result, SnapshotId};

use crate::args::CopyArgs;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &CopyArgs) -> Result<Ending> {
    let wanted = wanted(session, args).await?;
    let repository = session.repository().await?;
    let observer = session.observer();
    let open = |probe| {
        let (environment, observer) = (session.environment(), Arc::clone(&observer));
        backup::second_store(environment, &args.to, probe, &session.clock, observer)
    };
    // Nothing is written before something is found there, or may be begun.
    let mut store = session.interrupt.unless(open(false)).await?;
    if store.location() == repository.store().location() {
        return Err(Error::new(ErrorKind::Conflict, "copy repository")
            .with("location", store.location())
            .because("that is where the repository is")
            .hint("A second place has another URL: another disk, bucket or account."));
    }
    if !args.begin && !session.interrupt.unless(Repository::is_begun(&store)).await? {
        return Err(Error::new(ErrorKind::StoreUnavailable, "copy repository")
            .with("location", store.location())
            .because("no copy is there")
            .hint(
                "Check the URL and that its volume is mounted; `--begin` makes the first copy.",
            ));
    }
    if !args.dry_run {
        store = session.interrupt.unless(open(true)).await?;
    }
    let second = session.interrupt.unless(repository.second(store, !args.dry_run)).await?;
    let (plan, written) = if args.dry_run {
        (session.interrupt.unless(repository.plan_copy(&second, &wanted)).await?, None)
    } else {
        let report = session.interrupt.unless(repository.copy(&second, &wanted, observer)).await?;
        (report.plan, Some(report.written_bytes))
    };
    show(session, &plan, written, &second.store().location())?;
    for key in &plan.removed_keys {
        session.screen.warn(&format!(
            "key {} was removed here and still opens the copy; remove it there too: \
             `backupctl key remove` with BACKUP_REPOSITORY set to the copy",
            key.short()
        ));
    }
    if written.is_some() && !plan.snapshots.is_empty() {
        session.screen.hint(
            "The copy counts as protected once it was verified: `backupctl verify --all \
             --read-data` with BACKUP_REPOSITORY set to it.",
        );
    }
    Ok(Ending::Ok)
}

async fn wanted(session: &Session, args: &CopyArgs) -> Result<Wanted> {
    if args.all {
        return Ok(Wanted::Missing);
    }
    if args.snapshots.is_empty() {
        return Ok(Wanted::Newer);
    }
    let records = session.records().await?;
    let ids: Result<Vec<SnapshotId>> = args
        .snapshots
        .iter()
        .map(|selector| Ok(backup::ops::select(&records, selector)?.snapshot.id))
        .collect();
    ids.map(Wanted::These)
}

fn show(session: &Session, plan: &CopyPlan, written: Option<u64>, place: &str) -> Result<()> {
    let files: u64 = plan.wal.iter().map(|(_, files)| files.len() as u64).sum();
    let (snapshots, packs) = (plan.snapshots.len() as u64, plan.packs.len() as u64);
    if session.screen.json() {
        let message = if written.is_some() { "copied" } else { "planned; nothing was changed" };
        let mut receipt = ReceiptDocument::new("copy", message)
            .number("snapshots", snapshots)
            .number("packs", packs)
            .number("known_packs", plan.known_packs + plan.renamed.len() as u64)
            .number("wal_files", files)
            .number("bytes", written.unwrap_or_else(|| plan.bytes()))
            .number("removed_keys", plan.removed_keys.len() as u64)
            .fact("to", place)
            .fact("dry_run", &written.is_none());
        receipt.steps = plan
            .snapshots
            .iter()
            .map(|record| format!("{} of {}", record.snapshot.id, record.snapshot.source))
            .collect();
        return session.screen.document(&receipt);
    }
    let verb = if written.is_some() { "copied" } else { "would copy" };
    session.screen.data(&format!(
        "{verb} {} snapshots to {place}: {} packs and {} files of WAL, {}; {} packs were there\n",
        render::count(snapshots),
        render::count(packs),
        render::count(files),
        ByteSize(written.unwrap_or_else(|| plan.bytes())),
        render::count(plan.known_packs + plan.renamed.len() as u64),
    ));
    Ok(())
}
