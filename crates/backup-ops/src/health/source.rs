//! One source: everything that is judged beside its protection.

use std::time::Duration;

use backup_core::HeadRecord;
use jiff::{SignedDuration, Timestamp};

use super::lateness::{Lateness, Rhythm, lateness};
use super::reliability::{self, Ended, SuccessRate, success};
use super::size::{self, SizePoint, SizeStanding};
use super::{Concern, Condition};
use crate::status::begun_at;

/// How many snapshots say how long one takes.
const RECENT: usize = 10;

/// What is worth knowing of a source beside its protection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceHealth {
    /// When the next backup is expected; absent without a schedule or a first snapshot.
    pub backup: Option<Lateness>,
    /// When something of it was last verified.
    pub verified_at: Option<Timestamp>,
    /// The longest that a snapshot has been waiting to be verified, or verified again.
    pub longest_unverified: Option<Duration>,
    /// How large the newest snapshot is beside those before.
    pub size: Option<SizeStanding>,
    /// How many backups went well over 30 and 90 days; empty where no record of runs is at hand.
    pub success: Vec<SuccessRate>,
    /// What is worth looking at.
    pub conditions: Vec<Condition>,
    /// Whether a backup is running, so that nobody knows whether it is late.
    pub running: bool,
}

impl SourceHealth {
    /// Adds what the record of runs says: `ended` are the backups of this source.
    pub fn hear(&mut self, ended: &[Ended], now: Timestamp) {
        self.success = [30, 90].into_iter().map(|days| success(ended, days, now)).collect();
        self.conditions.retain(|condition| condition.concern != Concern::Unreliable);
        let month = self.success.first().copied();
        self.conditions.extend(month.and_then(reliability::judge));
    }

    /// Takes back that the backup is late: it is running. Whether it was is known when it has
    /// ended.
    pub fn running(&mut self) {
        self.running = true;
        if let Some(backup) = &mut self.backup {
            backup.overdue_since = None;
        }
        self.conditions.retain(|condition| condition.concern != Concern::Overdue);
    }
}

/// Judges the snapshots of one source.
pub(crate) fn judge(
    records: &[&HeadRecord],
    backups: Option<&Rhythm>,
    verifications: Option<&Rhythm>,
    now: Timestamp,
) -> SourceHealth {
    let mut own = records.to_vec();
    own.sort_by_key(|record| (record.snapshot.sequence, record.stored_at));
    let Some(newest) = own.last().copied() else { return SourceHealth::default() };
    let usual = own.iter().rev().take(RECENT).map(|record| took(record)).max().unwrap_or_default();
    let last = own.iter().map(|record| begun_at(record)).max();
    let late = |rhythm: Option<&Rhythm>, last: Option<Timestamp>, usual| {
        lateness(rhythm?, last?, usual, now)
    };
    let backup = late(backups, last, usual);
    let verified_at = own.iter().filter_map(|record| record.verified.at).max();
    // Reading back everything takes longer than one snapshot did.
    let begun = own.first().map(|record| record.snapshot.finished_at);
    let verification =
        late(verifications, verified_at.or(begun), usual.saturating_mul(own.len() as u32));
    let points: Vec<SizePoint> = own
        .iter()
        .map(|record| &record.snapshot)
        .filter(|s| s.kind == newest.snapshot.kind)
        .filter(|s| !s.is_suspect() || s.id == newest.snapshot.id)
        .map(|snapshot| SizePoint {
            at: snapshot.started_at,
            read_bytes: snapshot.read_bytes,
            stored_bytes: snapshot.stored_bytes,
        })
        .collect();
    let mut conditions = Vec::new();
    if let Some(since) = backup.and_then(|backup| backup.overdue_since) {
        conditions.push(Condition::warning(
            Concern::Overdue,
            format!("A backup was due at {} and has not come.", minute(since)),
        ));
    }
    if let Some(since) = verification.and_then(|one| one.overdue_since) {
        conditions.push(Condition::warning(
            Concern::VerifyOverdue,
            format!("Stored data was to be verified at {} and was not.", minute(since)),
        ));
    }
    let (size, odd) = size::judge(&points);
    conditions.extend(odd);
    let waiting = own.iter().map(|record| record.verified.at.unwrap_or(record.stored_at)).min();
    SourceHealth {
        backup,
        verified_at,
        longest_unverified: waiting.map(|at| since(at, now)),
        size,
        success: Vec::new(),
        conditions,
        running: false,
    }
}

fn took(record: &HeadRecord) -> Duration {
    let snapshot = &record.snapshot;
    since(snapshot.started_at, snapshot.finished_at)
}

fn since(at: Timestamp, now: Timestamp) -> Duration {
    let span: SignedDuration = now.duration_since(at);
    span.try_into().unwrap_or(Duration::ZERO)
}

/// `2026-01-02 02:00 UTC`.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{heads, record};
    use backup_core::{Verified, VerifyLevel};
    use backup_schedule::{Blackouts, Timetable};
    use jiff::tz::TimeZone;

    fn rhythm(cron: &str) -> Rhythm {
        let cron = cron.parse().unwrap();
        let timetable = Timetable { cron, zone: TimeZone::UTC, shift: Duration::ZERO };
        Rhythm { timetable, blackouts: Blackouts::default(), zone: TimeZone::UTC }
    }

    #[test]
    fn late_backups_and_verifications_are_named() {
        let mut old = record("aa", "shop", 1, "2026-01-01T02:00:00Z");
        old.verified =
            Verified { level: VerifyLevel::Read, at: "2026-01-04T05:00:00Z".parse().ok() };
        let new = record("bb", "shop", 2, "2026-01-05T02:00:00Z");
        let (nightly, weekly) = (rhythm("0 2 * * *"), rhythm("0 5 * * sun"));
        let judge = |now: &str| {
            let now = now.parse().unwrap();
            let own = heads(&[new.clone(), old.clone()]);
            let own: Vec<_> = own.iter().collect();
            super::judge(&own, Some(&nightly), Some(&weekly), now)
        };
        let names = |health: &SourceHealth| {
            health.conditions.iter().map(|one| one.concern).collect::<Vec<_>>()
        };
        let fine = judge("2026-01-05T20:00:00Z");
        assert_eq!(names(&fine), []);
        assert_eq!(fine.backup.unwrap().expected_at.to_string(), "2026-01-06T02:00:00Z");
        assert_eq!(fine.longest_unverified, Some(Duration::from_secs(39 * 3600)));
        let mut late = judge("2026-01-12T20:00:00Z");
        assert_eq!(names(&late), [Concern::Overdue, Concern::VerifyOverdue]);
        assert!(late.conditions[0].detail.contains("2026-01-06 02:00 UTC"));
        late.running();
        assert_eq!(names(&late), [Concern::VerifyOverdue]);
        assert_eq!(super::judge(&[], Some(&nightly), None, Timestamp::UNIX_EPOCH).backup, None);
    }

    #[test]
    fn a_clock_that_ran_ahead_does_not_hide_that_backups_stopped() {
        let mut ahead = record("aa", "shop", 1, "2026-06-01T02:00:00Z");
        ahead.stored_at = "2026-01-05T02:00:00Z".parse().unwrap();
        let now = "2026-01-12T20:00:00Z".parse().unwrap();
        let health = super::judge(&[&(&ahead).into()], Some(&rhythm("0 2 * * *")), None, now);
        assert_eq!(health.backup.unwrap().expected_at.to_string(), "2026-01-06T02:00:00Z");
        assert_eq!(health.conditions[0].concern, Concern::Overdue);
    }

    #[test]
    fn runs_are_heard_once_however_often_they_are_told() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let bad: Vec<Ended> = (0..20).map(|n| Ended { at: now, good: n % 2 == 0 }).collect();
        let mut health = SourceHealth::default();
        health.hear(&bad, now);
        health.hear(&bad, now);
        assert_eq!(health.conditions.len(), 1);
        health.hear(&[], now);
        assert_eq!((health.conditions.len(), health.success.len()), (0, 2));
    }
}
