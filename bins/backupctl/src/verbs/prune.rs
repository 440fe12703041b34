//! `prune`: reclaim what no snapshot needs.

use std::collections::BTreeMap;
use std::time::Duration;

use backup::ops::document::ReceiptDocument;
use backup::ops::prune as op;
use backup::ops::wal::{self, WalRetentionPlan};
use backup::repository::{PruneAction, PrunePlan};
use backup::retention::Period;
use backup_core::{ByteSize, Result};

use crate::args::PruneArgs;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &PruneArgs) -> Result<Ending> {
    let grace = args.grace.map_or_else(|| session.grace(), Period::as_duration);
    if args.dry_run {
        let repository = session.repository().await?;
        let plan = op::plan(repository, grace, &session.interrupt).await?;
        let whole = op::demand(&plan);
        let wal = match whole {
            Ok(()) => wal_plans(session, grace, args.wal_window).await?,
            Err(_) => Vec::new(),
        };
        show(session, &plan, None, &wal)?;
        return whole.map(|()| Ending::Ok);
    }
    prune(session, grace, args.wal_window, session.screen.json()).await?;
    Ok(Ending::Ok)
}

/// Returns what would be deleted of the stored WAL.
async fn wal_plans(
    session: &Session,
    grace: Duration,
    window: Option<Period>,
) -> Result<Vec<WalRetentionPlan>> {
    let repository = session.repository().await?;
    let rule = backup::wal_retention(session.settings()?, grace, window.map(Period::as_duration));
    let work = wal::plan_retention(repository, rule, session.clock.now());
    session.interrupt.unless(work).await
}

/// Prunes and shows what was done; as a document only if asked, because `forget --prune` prints
/// one of its own. `Integrity` when packs that snapshots need are gone: no WAL is deleted then.
pub(super) async fn prune(
    session: &Session,
    grace: Duration,
    window: Option<Period>,
    document: bool,
) -> Result<()> {
    let observer = session.observer();
    let report =
        op::prune(session.repository().await?, grace, &observer, &session.interrupt).await?;
    drop(observer);
    let deleted = Some((report.deleted_packs, report.deleted_bytes));
    if let Err(error) = op::demand(&report.plan) {
        if document || !session.screen.json() {
            show(session, &report.plan, deleted, &[])?;
        }
        return Err(error);
    }
    // After the packs, whose lease says that nobody else prunes, and with the snapshots of now.
    let wal = wal_plans(session, grace, window).await?;
    let retain = wal::retain(session.repository().await?, &wal);
    session.interrupt.unless(retain).await?;
    if document || !session.screen.json() {
        show(session, &report.plan, deleted, &wal)?;
    }
    Ok(())
}

const ACTIONS: [(PruneAction, &str); 8] = [
    (PruneAction::Keep, "keep"),
    (PruneAction::Unmark, "keep after all"),
    (PruneAction::TooYoung, "leave: too young to judge"),
    (PruneAction::Mark, "mark"),
    (PruneAction::Wait, "wait: marked, grace not over"),
    (PruneAction::Delete, "delete"),
    (PruneAction::Drop, "drop from the index"),
    (PruneAction::Lost, "LOST"),
];

fn show(
    session: &Session,
    plan: &PrunePlan,
    deleted: Option<(u64, u64)>,
    wal: &[WalRetentionPlan],
) -> Result<()> {
    if session.screen.json() {
        return session.screen.document(&receipt(plan, deleted, wal));
    }
    let mut text = String::new();
    for (action, words) in ACTIONS {
        let (packs, bytes) = plan.total(action);
        if packs > 0 {
            text.push_str(&format!("{words}: {packs} packs, {}\n", ByteSize(bytes)));
        }
    }
    if session.screen.verbose() > 0 || deleted.is_none() {
        for step in plan.steps.iter().filter(|step| step.action != PruneAction::Keep) {
            text.push_str(&format!(
                "  {} pack {} ({}): {}\n",
                step.action.as_str(),
                step.pack.short(),
                ByteSize(step.bytes),
                step.reason
            ));
        }
    }
    for plan in wal {
        text.push_str(&format!(
            "WAL of {}: keep {} files, {}; delete {} files, {}. {}\n",
            plan.log.source,
            render::count(plan.kept),
            ByteSize(plan.kept_bytes),
            render::count(plan.delete.len() as u64),
            ByteSize(plan.bytes()),
            plan.reason
        ));
    }
    match deleted {
        None => text.push_str("nothing was changed (--dry-run)\n"),
        Some((packs, bytes)) => {
            text.push_str(&format!(
                "deleted {} packs, {}\n",
                render::count(packs),
                ByteSize(bytes)
            ));
        }
    }
    session.screen.data(&text);
    Ok(())
}

fn receipt(
    plan: &PrunePlan,
    deleted: Option<(u64, u64)>,
    wal: &[WalRetentionPlan],
) -> ReceiptDocument {
    let message = if deleted.is_some() { "pruned" } else { "planned; nothing was changed" };
    let mut numbers = BTreeMap::new();
    for (action, _) in ACTIONS {
        let (packs, bytes) = plan.total(action);
        let name = action.as_str().replace('-', "_");
        numbers.insert(format!("{name}_packs"), packs);
        numbers.insert(format!("{name}_bytes"), bytes);
    }
    let (packs, bytes) = deleted.unwrap_or_default();
    numbers.insert("deleted_packs".into(), packs);
    numbers.insert("deleted_bytes".into(), bytes);
    let doomed: u64 = wal.iter().map(|plan| plan.delete.len() as u64).sum();
    numbers.insert("wal_delete_files".into(), doomed);
    numbers.insert("wal_delete_bytes".into(), wal.iter().map(WalRetentionPlan::bytes).sum());
    numbers.insert("wal_keep_files".into(), wal.iter().map(|plan| plan.kept).sum());
    let steps = plan.steps.iter().filter(|step| step.action != PruneAction::Keep);
    let mut receipt = ReceiptDocument::new("prune", message);
    receipt.numbers = numbers;
    receipt.steps = steps
        .map(|step| format!("{} pack {}: {}", step.action.as_str(), step.pack, step.reason))
        .chain(wal.iter().map(|plan| {
            let count = plan.delete.len();
            format!("delete {count} files of WAL of {}: {}", plan.log.source, plan.reason)
        }))
        .collect();
    receipt.fact("dry_run", &deleted.is_none())
}
