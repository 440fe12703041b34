//! Drills by the daemon: held as `backupctl drill` holds them, and remembered for those who look.

mod follow;
mod subject;

use std::sync::PoisonError;

use backup_core::port::Catalog;
use backup_core::{JobKind, Result, RunId, SourceName};
use backup_ops::daemon::{Report, Verdict};
use backup_ops::drill::{self, DrillReceipt};
use backup_ops::{Selector, SourceStatus, select};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::subject::Subject;
use super::start::Daemon;
use super::work::{Task, Work};

/// The program that drills.
pub(super) const PROGRAM: &str = concat!("backupd ", env!("CARGO_PKG_VERSION"));

/// Drills of a source that are remembered; the repository has them all.
const REMEMBERED: usize = 50;

/// A drill that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldDrill {
    /// The run it was; absent when another program held it.
    pub run: Option<RunId>,
    /// What was found.
    pub receipt: DrillReceipt,
}

impl Work {
    /// Drills what the job is about. The receipt is stored whatever it says; one that does not say
    /// "passed" is the error.
    pub(super) async fn drill(
        &self,
        task: &Task<'_>,
        source: &SourceName,
        report: &mut Report,
    ) -> Result<Verdict> {
        let subject = task.guard.asked.unless(self.subject(task, source)).await?;
        let Subject { repository, snapshot, target, request } = &subject;
        report.snapshot = Some(snapshot.id);
        let receipt = task
            .guard
            .watch(|interrupt| async move {
                drill::drill(
                    repository,
                    target.as_ref(),
                    snapshot,
                    request,
                    &self.clock,
                    &task.observer,
                    &interrupt,
                )
                .await
            })
            .await?;
        report.numbers.extend(numbers(&receipt));
        let found = receipt.findings.iter().map(|finding| finding.message.as_str());
        self.voice.left_behind(source, found, self.clock.now()).await;
        let held = HeldDrill { run: Some(task.order.run), receipt };
        remember(self.catalog.as_ref(), source, &held).await;
        drill::demand(&held.receipt)?;
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(Verdict::Good)
    }

    /// Whether somebody has held such a drill of the source since then, and could tell.
    pub(super) async fn drilled_since(
        &self,
        kind: JobKind,
        source: &SourceName,
        due: Timestamp,
    ) -> Result<bool> {
        let newest = match kind {
            JobKind::PointDrill | JobKind::DisasterDrill => None,
            _ => {
                let records = self.repository.scan_heads().await?.records;
                match select(&records, &Selector::LatestOf(source.clone())) {
                    Ok(newest) => Some(newest.snapshot.id.to_string()),
                    // The drill itself says that there is none.
                    Err(_) => return Ok(false),
                }
            }
        };
        let such = |receipt: &DrillReceipt| {
            is_such(kind, receipt) && newest.as_ref().is_none_or(|id| receipt.snapshot == *id)
        };
        let receipts = self.repository.drills(|receipt: &DrillReceipt| receipt.at >= due).await?;
        let held = |receipt: &DrillReceipt| {
            receipt.at >= due && receipt.source == source.as_str() && such(receipt) && told(receipt)
        };
        Ok(receipts.iter().any(held))
    }
}

/// Whether a receipt is of a drill of this kind: one of a point in time or with nothing at hand is
/// not the newest snapshot's own.
fn is_such(kind: JobKind, receipt: &DrillReceipt) -> bool {
    let at_point = receipt.replay.as_ref().is_some_and(|replay| replay.timeline.is_some());
    match kind {
        JobKind::PointDrill => at_point,
        JobKind::DisasterDrill => receipt.disaster,
        _ => !at_point && !receipt.disaster,
    }
}

/// Whether a drill could tell whether the backup is good.
fn told(receipt: &DrillReceipt) -> bool {
    receipt.verdict != "inconclusive"
}

impl Daemon {
    /// Returns the drills of a source that are remembered, newest first: those it held, and those
    /// of other programs that were once the newest of their source.
    pub async fn drills(&self, source: &SourceName) -> Result<Vec<HeldDrill>> {
        let kept = self.inner.catalog.all(&space(source)).await?;
        let read = |(_, text): &(String, String)| serde_json::from_str(text).ok();
        Ok(kept.iter().rev().filter_map(read).collect())
    }

    /// Remembers the newest drill of each source that another program held.
    pub(super) async fn note_drills(&self, sources: &[SourceStatus]) {
        for source in sources {
            let Some(standing) = &source.drill else { continue };
            let (name, receipt) = (&source.source, &standing.newest);
            {
                let noted = self.inner.scene.drilled.lock();
                let mut noted = noted.unwrap_or_else(PoisonError::into_inner);
                if noted.insert(name.clone(), receipt.at) == Some(receipt.at) {
                    continue;
                }
            }
            let known = self.inner.catalog.get(&space(name), &key(receipt)).await;
            if matches!(known, Ok(None)) {
                let held = HeldDrill { run: None, receipt: receipt.clone() };
                remember(self.inner.catalog.as_ref(), name, &held).await;
            }
        }
    }
}

fn space(source: &SourceName) -> String {
    format!("drills {source}")
}

/// Sorts by time.
fn key(receipt: &DrillReceipt) -> String {
    receipt.at.strftime("%Y%m%dT%H%M%S%.6f").to_string()
}

/// Keeps a drill, and lets go of the oldest. That it is remembered is a convenience: the receipt
/// is in the repository.
pub(super) async fn remember(catalog: &dyn Catalog, source: &SourceName, held: &HeldDrill) {
    let keeping = async {
        let Ok(text) = serde_json::to_string(held) else { return Ok(()) };
        let kept = catalog.all(&space(source)).await?;
        let mut values = vec![(key(&held.receipt), Some(text))];
        let most = REMEMBERED.saturating_sub(1);
        let old = kept.into_iter().rev().skip(most).map(|(key, _)| (key, None));
        values.extend(old);
        catalog.put(&space(source), &values).await
    };
    if let Err(error) = keeping.await {
        tracing::warn!(%source, %error, "a drill could not be remembered");
    }
}

/// What the record of a run says of a drill.
pub(super) fn numbers(receipt: &DrillReceipt) -> impl Iterator<Item = (String, u64)> {
    let rto = receipt.rto_seconds.map(|rto| ("rto_milliseconds", (rto * 1000.0).max(0.0) as u64));
    let counts = [
        ("read_bytes", receipt.fetched_bytes),
        ("rows", receipt.rows),
        ("tables", receipt.tables),
        ("questions", receipt.questions.len() as u64),
    ];
    counts.into_iter().chain(rto).map(|(name, number)| (name.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use backup_catalog::SqliteCatalog;

    use super::*;

    fn held(day: u32) -> HeldDrill {
        let at = format!("2026-01-{:02}T00:00:{:02}.5Z", 1 + day / 24, day % 24);
        let text = format!(
            r#"{{"schema":"backupctl.drill.v1","source":"shop","snapshot":"aa","kind":"logical",
            "verdict":"passed","at":"{at}","data_from":"{at}","disaster":false,"target":"t",
            "source_version":"18","server_version":"18","program":"p","rto_seconds":1.5,
            "rpo_seconds":1,"validation_seconds":1.0,"seconds":2.0,"phases":[],"tables":1,
            "rows":1,"bytes":1,"fetched_bytes":1,"questions":[],"findings":[]}}"#
        );
        HeldDrill { run: None, receipt: serde_json::from_str(&text).unwrap() }
    }

    #[test]
    fn a_drill_of_one_kind_is_none_of_another() {
        let usual = held(1).receipt;
        let disaster = DrillReceipt { disaster: true, ..usual.clone() };
        let replay = |timeline: &str| {
            let text =
                format!(r#"{{"goal":"latest","timeline":{timeline},"segments":1,"wal_bytes":1}}"#);
            DrillReceipt { replay: serde_json::from_str(&text).unwrap(), ..usual.clone() }
        };
        // A physical snapshot replays its own WAL in any drill.
        let (own, point) = (replay("null"), replay("1"));
        let kinds = [JobKind::Drill, JobKind::PointDrill, JobKind::DisasterDrill];
        let such = |receipt| kinds.map(|kind| is_such(kind, receipt));
        assert_eq!(such(&usual), [true, false, false]);
        assert_eq!(such(&own), [true, false, false]);
        assert_eq!(such(&point), [false, true, false]);
        assert_eq!(such(&disaster), [false, false, true]);
    }

    #[tokio::test]
    async fn the_newest_drills_are_remembered_in_their_order() {
        let catalog = SqliteCatalog::in_memory().unwrap();
        let source: SourceName = "shop".parse().unwrap();
        for day in 0..60 {
            remember(&catalog, &source, &held(day)).await;
        }
        let kept = catalog.all(&space(&source)).await.unwrap();
        assert_eq!(kept.len(), REMEMBERED);
        let newest: HeldDrill = serde_json::from_str(&kept.last().unwrap().1).unwrap();
        assert_eq!(newest, held(59));
        let oldest: HeldDrill = serde_json::from_str(&kept[0].1).unwrap();
        assert_eq!(oldest, held(10));
    }
}
