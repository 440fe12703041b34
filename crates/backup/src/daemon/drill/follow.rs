//! A drill of each snapshot, where its owner wants every one drilled.

use std::collections::{BTreeMap, BTreeSet};

use backup_config::{DrillEvery, SourceSettings};
use backup_core::{JobKey, JobKind, Result, SnapshotId, SourceName, Trigger, VerifyLevel};
use backup_ops::daemon::Order;
use backup_ops::drill::DrillReceipt;
use backup_ops::{Selector, SourceStatus, select};

use super::{is_such, told};
use crate::daemon::start::Daemon;
use crate::daemon::work::Work;

impl Daemon {
    /// Has the newest snapshot drilled of each source whose owner wants every one drilled: those
    /// that another program took, or that were committed before a restart, as well. One that is
    /// newer than what a drill waits for takes its place: drills take the newest when they begin.
    /// Returns the sources whose drill waits or is under way.
    pub(in crate::daemon) async fn follow_snapshots(
        &self,
        sources: &[SourceStatus],
    ) -> BTreeSet<SourceName> {
        let mut awaited = BTreeSet::new();
        let loaded = self.inner.work.loaded();
        let each: BTreeMap<&SourceName, &SourceSettings> = loaded
            .settings
            .sources
            .iter()
            .filter(|source| is_each(source))
            .map(|source| (&source.name, source))
            .collect();
        for status in sources {
            let settings = each.get(&status.source);
            let Some(id) = settings.and_then(|settings| to_drill(settings, status)) else {
                continue;
            };
            let key = JobKey::of(JobKind::Drill, &status.source);
            match self.inner.handle.want(key, id.to_string()).await {
                Ok(true) => {
                    awaited.insert(status.source.clone());
                }
                Ok(false) => {}
                // It is stopping; the next start looks again.
                Err(_) => break,
            }
        }
        awaited
    }
}

impl Work {
    /// Whether a drill that is held because of a snapshot was held meanwhile, here or by another
    /// program, and could tell. Nothing when it is held for another reason.
    pub(in crate::daemon) async fn followed(&self, order: &Order) -> Result<Option<bool>> {
        let Some(source) = order.key.source.as_ref().filter(|_| order.key.kind == JobKind::Drill)
        else {
            return Ok(None);
        };
        let loaded = self.loaded();
        let each = is_each(loaded.settings.source(source.as_str())?);
        match order.trigger {
            Trigger::Snapshot => {}
            // It was held elsewhere, or the program was killed after the drill had ended.
            Trigger::Retry if each => {}
            _ => return Ok(None),
        }
        let records = self.repository.scan_heads().await?.records;
        let Ok(newest) = select(&records, &Selector::LatestOf(source.clone())) else {
            return Ok(Some(false));
        };
        if newest.verified.level >= VerifyLevel::Drilled {
            return Ok(Some(true));
        }
        let (id, since) = (newest.snapshot.id.to_string(), newest.snapshot.started_at);
        let receipts = self.repository.drills(|receipt: &DrillReceipt| receipt.at >= since).await?;
        let held = |receipt: &DrillReceipt| {
            receipt.snapshot == id && is_such(JobKind::Drill, receipt) && told(receipt)
        };
        Ok(Some(receipts.iter().any(held)))
    }
}

fn is_each(settings: &SourceSettings) -> bool {
    settings.drill.every == Some(DrillEvery::Snapshot)
}

/// Returns the snapshot to drill: the newest, if it is as good as its owner asks and was not
/// drilled yet. Pure.
fn to_drill(settings: &SourceSettings, status: &SourceStatus) -> Option<SnapshotId> {
    let newest = status.newest.as_ref()?;
    let level = newest.verified.level;
    let proved = level >= settings.protection.level.min(VerifyLevel::Read);
    let waits = proved && level < VerifyLevel::Drilled && !newest.snapshot.is_suspect();
    waits.then_some(newest.snapshot.id)
}
