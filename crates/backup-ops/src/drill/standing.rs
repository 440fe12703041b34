//! Whether a source's drills keep what its owner promised: pure.

use std::time::Duration;

use backup_core::Snapshot;
use jiff::Timestamp;

use super::DrillReceipt;

/// What the owner of a source asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrillPromise {
    /// How long ago the last drill that passed may be.
    pub interval: Option<Duration>,
    /// Whether a source that was never drilled only waits for its first drill.
    pub awaited: bool,
    /// How long a restore may take until the database answers.
    pub rto: Option<Duration>,
}

/// How a source's drills stand.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillStanding {
    /// The newest drill, whatever it found.
    pub newest: DrillReceipt,
    /// When the newest that passed was; nothing when none did.
    pub passed_at: Option<Timestamp>,
    /// Seconds that a restore of the newest snapshot would take, by the newest drill that
    /// passed and the sizes of both.
    pub forecast_seconds: Option<f64>,
}

impl DrillStanding {
    /// Looks at the receipts of one source, newest first; nothing when there are none.
    #[must_use]
    pub fn of(receipts: &[&DrillReceipt], newest: Option<&Snapshot>) -> Option<Self> {
        let passed = receipts.iter().find(|receipt| receipt.verdict == "passed");
        Some(Self {
            newest: (*receipts.first()?).clone(),
            passed_at: passed.map(|receipt| receipt.at),
            forecast_seconds: passed
                .zip(newest)
                .and_then(|(receipt, newest)| forecast(receipt, newest.restored_bytes())),
        })
    }
}

/// Returns why the promise is not kept, as sentences; empty when it is, or nothing was asked.
pub(crate) fn broken(
    source: &str,
    promise: DrillPromise,
    standing: Option<&DrillStanding>,
    now: Timestamp,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(standing) = standing.filter(|standing| standing.newest.verdict == "failed") {
        let id = standing.newest.snapshot.get(..8).unwrap_or_default();
        reasons.push(format!(
            "The newest drill failed: snapshot {id} is not what its source was; run `backupctl \
             drill {source} --history`."
        ));
    }
    if let Some(interval) = promise.interval {
        let passed = standing.and_then(|standing| standing.passed_at);
        let age = passed.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        match age {
            None if promise.awaited && standing.is_none() => {}
            None => reasons.push(format!("No drill has passed; run `backupctl drill {source}`.")),
            Some(age) if age > interval => reasons.push(format!(
                "Drill overdue: the last that passed was {} ago, at most {} was promised; run \
                 `backupctl drill {source}`.",
                days(age),
                days(interval)
            )),
            Some(_) => {}
        }
    }
    if let Some((rto, standing)) = promise.rto.zip(standing) {
        let measured = standing.newest.rto_seconds.filter(|_| standing.newest.verdict == "passed");
        let over = |seconds: &f64| *seconds > rto.as_secs_f64();
        if let Some(measured) = measured.filter(over) {
            reasons.push(format!(
                "The newest drill took {measured:.0} s to its first answer; the budget is {} s.",
                rto.as_secs()
            ));
        } else if let Some(forecast) = standing.forecast_seconds.filter(over) {
            reasons.push(format!(
                "By its size the newest snapshot would take {forecast:.0} s to its first answer; \
                 the budget is {} s.",
                rto.as_secs()
            ));
        }
    }
    reasons
}

/// Returns the seconds to the first answer that a snapshot of `bytes` would take, by a drill:
/// what grows with the data is scaled, the rest stays.
#[must_use]
pub fn forecast(receipt: &DrillReceipt, bytes: u64) -> Option<f64> {
    let rto = receipt.rto_seconds?;
    if receipt.bytes == 0 {
        return Some(rto);
    }
    let restore: f64 = receipt
        .phases
        .iter()
        .filter(|phase| phase.name.starts_with("restore"))
        .map(|phase| phase.seconds)
        .sum();
    let growing = restore.min(rto);
    Some(rto - growing + growing * (bytes as f64 / receipt.bytes as f64))
}

fn days(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    if hours < 48 { format!("{hours} h") } else { format!("{} d", hours / 24) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::PhaseDocument;
    use crate::testing::{receipt, record, table};

    const DAY: Duration = Duration::from_secs(86_400);

    fn reasons(promise: DrillPromise, receipts: &[&DrillReceipt]) -> Vec<String> {
        let mut newest = record("aa", "shop", 1, "2026-01-09T00:00:00Z").snapshot;
        newest.evidence.tables.push(table("t", 10, 3000));
        let standing = DrillStanding::of(receipts, Some(&newest));
        broken("shop", promise, standing.as_ref(), "2026-01-10T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_drill_is_overdue_a_failure_is_told_and_nothing_asked_is_nothing_broken() {
        let weekly = DrillPromise { interval: Some(7 * DAY), ..DrillPromise::default() };
        let awaited = DrillPromise { awaited: true, ..weekly };
        let old = receipt("shop", "2026-01-01T00:00:00Z", "passed");
        let new = receipt("shop", "2026-01-08T00:00:00Z", "passed");
        let bad = receipt("shop", "2026-01-09T00:00:00Z", "failed");
        let unclear = receipt("shop", "2026-01-09T00:00:00Z", "inconclusive");
        assert_eq!(reasons(weekly, &[&new, &old]), Vec::<String>::new());
        assert_eq!(reasons(DrillPromise::default(), &[]), Vec::<String>::new());
        assert!(reasons(weekly, &[])[0].contains("No drill has passed"));
        assert_eq!(reasons(awaited, &[]), Vec::<String>::new());
        assert!(reasons(awaited, &[&unclear])[0].contains("No drill has passed"));
        assert!(reasons(awaited, &[&unclear, &old])[0].contains("9 d ago"));
        assert!(reasons(weekly, &[&unclear, &old])[0].contains("9 d ago"));
        assert!(reasons(DrillPromise::default(), &[&bad, &new])[0].contains("drill failed"));
    }

    #[test]
    fn the_budget_counts_what_was_measured_and_what_is_to_be_expected() {
        let budget = |seconds| DrillPromise {
            rto: Some(Duration::from_secs(seconds)),
            ..DrillPromise::default()
        };
        let mut drilled = receipt("shop", "2026-01-08T00:00:00Z", "passed");
        drilled.rto_seconds = Some(12.0);
        drilled.bytes = 1000;
        drilled.phases = vec![
            PhaseDocument { name: "start".into(), seconds: 2.0 },
            PhaseDocument { name: "restore: load rows".into(), seconds: 10.0 },
        ];
        // Three times the bytes: 2 + 3 × 10.
        assert_eq!(forecast(&drilled, 3000), Some(32.0));
        assert_eq!(reasons(budget(40), &[&drilled]), Vec::<String>::new());
        assert!(reasons(budget(20), &[&drilled])[0].contains("would take 32 s"));
        assert!(reasons(budget(10), &[&drilled])[0].contains("took 12 s"));
    }
}
