//! Whether a source's drills keep what its owner promised: pure.

use std::time::Duration;

use backup_core::SnapshotHead;
use jiff::Timestamp;

use super::DrillReceipt;
use crate::health::{Concern, Condition};

/// What the owner of a source asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrillPromise {
    /// How long ago the last drill that passed may be.
    pub interval: Option<Duration>,
    /// Whether a source that was never drilled only waits for its first drill.
    pub awaited: bool,
    /// How long ago the last may be that passed from nothing but a recovery key.
    pub disaster: Option<Duration>,
    /// How long a restore may take until the database answers.
    pub rto: Option<Duration>,
}

/// How a source's drills stand.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillStanding {
    /// The newest drill, whatever it found.
    pub newest: DrillReceipt,
    /// The newest drill that failed and that nothing has answered since: only a drill of the same
    /// or a newer snapshot that passed answers it.
    pub failed: Option<DrillReceipt>,
    /// When the newest that passed was; nothing when none did.
    pub passed_at: Option<Timestamp>,
    /// When the newest that passed from nothing but a recovery key was, as far back as was
    /// looked; nothing when none did.
    pub disaster_passed_at: Option<Timestamp>,
    /// Seconds that a restore of the newest snapshot would take, by the newest drill that
    /// passed and the sizes of both.
    pub forecast_seconds: Option<f64>,
}

impl DrillStanding {
    /// Looks at the receipts of one source, newest first; nothing when there are none.
    #[must_use]
    pub fn of(receipts: &[&DrillReceipt], newest: Option<&SnapshotHead>) -> Option<Self> {
        let mut good = receipts.iter().filter(|receipt| receipt.verdict == "passed");
        let disaster = good.clone().find(|receipt| receipt.disaster);
        let passed = good.next();
        let failed = receipts.iter().position(|receipt| receipt.verdict == "failed");
        let failed = failed.filter(|at| {
            let data = receipts.get(*at).map(|failed| failed.data_from);
            let mut since = receipts.iter().take(*at);
            !since.any(|r| r.verdict == "passed" && Some(r.data_from) >= data)
        });
        Some(Self {
            failed: failed.and_then(|at| receipts.get(at)).map(|receipt| (*receipt).clone()),
            newest: (*receipts.first()?).clone(),
            passed_at: passed.map(|receipt| receipt.at),
            disaster_passed_at: disaster.map(|receipt| receipt.at),
            forecast_seconds: passed
                .zip(newest)
                .and_then(|(receipt, newest)| forecast(receipt, newest.restored_bytes)),
        })
    }
}

/// Returns why the promise is not kept; empty when it is, or nothing was asked.
pub(crate) fn broken(
    source: &str,
    promise: DrillPromise,
    standing: Option<&DrillStanding>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut broken = Vec::new();
    let mut reasons = Vec::new();
    let mut named = |concern, reasons: &mut Vec<String>| {
        broken.extend(reasons.drain(..).map(|reason| Condition::warning(concern, reason)));
    };
    if let Some(failed) = standing.and_then(|standing| standing.failed.as_ref()) {
        let id = failed.snapshot.get(..8).unwrap_or_default();
        let is_newest = standing.is_some_and(|standing| standing.newest.at == failed.at);
        let which =
            if is_newest { "The newest drill failed" } else { "A drill failed, unanswered since" };
        reasons.push(format!(
            "{which}: snapshot {id} is not what its source was; run `backupctl \
             drill {source} --history`."
        ));
    }
    named(Concern::DrillFailed, &mut reasons);
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
    named(Concern::DrillOverdue, &mut reasons);
    if let Some(interval) = promise.disaster {
        let passed = standing.and_then(|standing| standing.disaster_passed_at);
        let age = passed.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        let run = format!("`backupctl drill {source} --disaster --sheet FILE`");
        match age {
            None => reasons.push(format!("No disaster drill has passed; run {run}.")),
            Some(age) if age > interval => reasons.push(format!(
                "Disaster drill overdue: the last that passed was {} ago, at most {} was \
                 promised; run {run}.",
                days(age),
                days(interval)
            )),
            Some(_) => {}
        }
    }
    named(Concern::DisasterOverdue, &mut reasons);
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
    named(Concern::RestoreSlow, &mut reasons);
    broken
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
        let standing = DrillStanding::of(receipts, Some(&SnapshotHead::from(&newest)));
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        let broken = broken("shop", promise, standing.as_ref(), now);
        broken.into_iter().map(|condition| condition.detail).collect()
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
    fn a_failure_stands_until_as_new_a_snapshot_passes() {
        let at = |at: &str, data: &str, verdict: &str| {
            let mut receipt = receipt("shop", at, verdict);
            receipt.data_from = data.parse().unwrap();
            receipt
        };
        let failed = at("2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z", "failed");
        let older = at("2026-01-06T00:00:00Z", "2026-01-01T00:00:00Z", "passed");
        let unclear = at("2026-01-07T00:00:00Z", "2026-01-07T00:00:00Z", "inconclusive");
        let same = at("2026-01-08T00:00:00Z", "2026-01-05T00:00:00Z", "passed");
        let told = |receipts: &[&DrillReceipt]| reasons(DrillPromise::default(), receipts);
        assert!(told(&[&failed])[0].starts_with("The newest drill failed"));
        assert!(told(&[&older, &failed])[0].starts_with("A drill failed, unanswered"));
        assert!(told(&[&unclear, &older, &failed])[0].starts_with("A drill failed, unanswered"));
        assert_eq!(told(&[&same, &unclear, &older, &failed]), Vec::<String>::new());
    }

    #[test]
    fn an_exercise_for_disasters_has_an_interval_of_its_own() {
        let quarterly = DrillPromise { disaster: Some(92 * DAY), ..DrillPromise::default() };
        let usual = receipt("shop", "2026-01-08T00:00:00Z", "passed");
        let exercise = |at: &str, verdict: &str| {
            let mut receipt = receipt("shop", at, verdict);
            receipt.disaster = true;
            receipt
        };
        let (old, new) = (
            exercise("2025-09-01T00:00:00Z", "passed"),
            exercise("2026-01-01T00:00:00Z", "passed"),
        );
        assert!(reasons(quarterly, &[&usual])[0].contains("No disaster drill has passed"));
        let late = reasons(quarterly, &[&usual, &old]);
        assert!(late[0].starts_with("Disaster drill overdue"), "{late:?}");
        assert!(late[0].contains("`backupctl drill shop --disaster --sheet FILE`"), "{late:?}");
        assert_eq!(reasons(quarterly, &[&usual, &new, &old]), Vec::<String>::new());
        let failed = exercise("2026-01-09T00:00:00Z", "inconclusive");
        assert_eq!(reasons(quarterly, &[&failed, &new]), Vec::<String>::new());
        assert!(reasons(quarterly, &[&failed])[0].contains("No disaster drill"));
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
