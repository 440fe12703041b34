//! A drill to a point in time: what was asked for, and how near it came. Pure.

use backup_core::Lsn;
use backup_core::port::Replay;
use jiff::Timestamp;

use super::DrillReceipt;
use crate::document::ReplayDocument;
use crate::wal::{RecoveryGoal, RecoveryPlan, fell_short};

/// The point that a drill brings a cluster to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillPoint {
    /// Which.
    pub goal: RecoveryGoal,
    /// The timeline that leads there.
    pub timeline: u32,
    /// Position up to which stored WAL reaches there.
    pub reaches: Lsn,
}

impl DrillPoint {
    /// Returns the point that a plan leads to.
    #[must_use]
    pub fn of(plan: &RecoveryPlan) -> Self {
        Self { goal: plan.goal.clone(), timeline: plan.timeline, reaches: plan.reaches }
    }

    /// Returns what is missing, a phrase, where the end of stored WAL was asked for and the server
    /// stopped before it.
    pub(super) fn fell_short(&self, replay: &Replay) -> Option<String> {
        fell_short(&self.goal, self.reaches, replay.position)
    }
}

/// Notes how far the cluster was brought, and what that means for the age of its data.
pub(super) fn note(receipt: &mut DrillReceipt, point: Option<&DrillPoint>, replay: &Replay) {
    let goal = point.map_or(&RecoveryGoal::Immediate, |point| &point.goal);
    let requested_at = match goal {
        RecoveryGoal::Time(time) => Some(*time),
        RecoveryGoal::Latest => Some(receipt.at),
        _ => None,
    };
    let gap = requested_at.zip(replay.last_commit).map(|(wanted, last)| seconds(last, wanted));
    receipt.replay = Some(ReplayDocument {
        goal: goal.to_string(),
        requested_at,
        timeline: point.map(|point| point.timeline),
        position: replay.position.map(|position| position.to_string()),
        last_commit: replay.last_commit,
        gap_seconds: gap,
        segments: replay.segments,
        wal_bytes: replay.wal_bytes,
    });
    // The end of a snapshot is as old as the snapshot says.
    if point.is_none() {
        return;
    }
    if let Some(last) = replay.last_commit {
        receipt.data_from = last;
    }
    receipt.rpo_seconds = match (requested_at, gap) {
        (Some(_), Some(gap)) => gap.ceil() as u64,
        // No commit was replayed: the data is the snapshot's.
        (Some(wanted), None) => seconds(receipt.data_from, wanted).ceil() as u64,
        (None, _) => 0,
    };
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::receipt;

    fn noted(goal: RecoveryGoal, last_commit: Option<&str>) -> DrillReceipt {
        let mut receipt = receipt("shop", "2026-01-02T00:00:00Z", "passed");
        receipt.data_from = "2026-01-01T00:00:00Z".parse().unwrap();
        let replay =
            Replay { last_commit: last_commit.map(|at| at.parse().unwrap()), ..Replay::default() };
        note(&mut receipt, Some(&DrillPoint { goal, timeline: 1, reaches: Lsn(9) }), &replay);
        receipt
    }

    #[test]
    fn the_end_of_stored_wal_is_reached_or_the_drill_failed() {
        let point = |goal| DrillPoint { goal, timeline: 1, reaches: Lsn(500) };
        let short = |goal, position: Option<u64>| {
            let replay = Replay { position: position.map(Lsn), ..Replay::default() };
            point(goal).fell_short(&replay)
        };
        assert_eq!(short(RecoveryGoal::Latest, Some(500)), None);
        assert_eq!(short(RecoveryGoal::Latest, Some(900)), None, "more came since the plan");
        assert!(short(RecoveryGoal::Latest, Some(499)).unwrap().contains("0/1F4"));
        assert!(short(RecoveryGoal::Latest, None).is_some());
        // With a target the server says itself that it was not reached.
        assert_eq!(short(RecoveryGoal::Lsn(Lsn(300)), Some(301)), None);
        assert_eq!(short(RecoveryGoal::Immediate, None), None);
    }

    #[test]
    fn what_may_be_missing_is_measured_from_the_time_that_was_asked_for() {
        let time = RecoveryGoal::Time("2026-01-01T12:00:00Z".parse().unwrap());
        let to_time = noted(time.clone(), Some("2026-01-01T11:59:30.5Z"));
        assert_eq!(to_time.rpo_seconds, 30);
        assert_eq!(to_time.replay.unwrap().gap_seconds, Some(29.5));
        assert_eq!(to_time.data_from, "2026-01-01T11:59:30.5Z".parse().unwrap());
        let latest = noted(RecoveryGoal::Latest, Some("2026-01-01T23:58:00Z"));
        assert_eq!(latest.rpo_seconds, 120);
        // Nothing was replayed: what is there is the snapshot's.
        assert_eq!(noted(time, None).rpo_seconds, 43_200);
        // A position has no time of its own: it was reached, nothing is missing.
        let position = noted(RecoveryGoal::Lsn(backup_core::Lsn(7)), Some("2026-01-01T01:00:00Z"));
        assert_eq!((position.rpo_seconds, position.replay.unwrap().gap_seconds), (0, None));
    }
}
