//! How many backups go well.

use backup_core::{JobKind, Run, RunState};
use jiff::{SignedDuration, Timestamp};

use super::{Concern, Condition};

/// Fewer runs say nothing.
const ENOUGH: u64 = 10;

/// A run that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it began.
    pub at: Timestamp,
    /// Whether it did what it should.
    pub good: bool,
}

impl Ended {
    /// Returns what a run says about reliability; nothing when it is no backup, has not ended, or
    /// was stopped: then it is run again, or was not wanted.
    #[must_use]
    pub fn of(run: &Run) -> Option<Self> {
        if run.job.kind != JobKind::Backup {
            return None;
        }
        let good = match run.state {
            RunState::Succeeded => true,
            RunState::Failed | RunState::Suspect => false,
            RunState::Queued | RunState::Running | RunState::Interrupted | RunState::Cancelled => {
                return None;
            }
        };
        Some(Self { at: run.started_at, good })
    }
}

/// How many backups went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// Over how many days back.
    pub days: u32,
    /// Runs that ended well.
    pub good: u64,
    /// Runs that ended by themselves.
    pub all: u64,
}

impl SuccessRate {
    /// Returns the share that went well, from 0 to 1; nothing when there was none.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.all > 0).then(|| self.good as f64 / self.all as f64)
    }
}

/// Counts the runs of the last `days` days.
#[must_use]
pub fn success(ended: &[Ended], days: u32, now: Timestamp) -> SuccessRate {
    let since =
        now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
    let mut rate = SuccessRate { days, good: 0, all: 0 };
    for run in ended.iter().filter(|run| run.at >= since) {
        rate.all += 1;
        rate.good += u64::from(run.good);
    }
    rate
}

/// More than one in ten failing is worth looking at, however often the next attempt went well.
pub(super) fn judge(rate: SuccessRate) -> Option<Condition> {
    if rate.all < ENOUGH || rate.good * 10 >= rate.all * 9 {
        return None;
    }
    Some(Condition::warning(
        Concern::Unreliable,
        format!("{} of {} backups in {} days failed.", rate.all - rate.good, rate.all, rate.days),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::{JobKey, RunId, Trigger};
    use proptest::prelude::*;

    #[test]
    fn only_backups_that_ended_by_themselves_count() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let run = |kind, state| {
            let key = JobKey::of(kind, &"shop".parse().unwrap());
            let run = Run::begin(RunId([1; 16]), key, Trigger::Schedule, now);
            Ended::of(&Run { state, ..run }).map(|ended| ended.good)
        };
        assert_eq!(run(JobKind::Backup, RunState::Succeeded), Some(true));
        assert_eq!(run(JobKind::Backup, RunState::Suspect), Some(false));
        assert_eq!(run(JobKind::Backup, RunState::Failed), Some(false));
        assert_eq!(run(JobKind::Backup, RunState::Cancelled), None);
        assert_eq!(run(JobKind::Backup, RunState::Interrupted), None);
        assert_eq!(run(JobKind::Verify, RunState::Failed), None);
    }

    #[test]
    fn one_in_ten_may_fail() {
        let rate = |good, all| SuccessRate { days: 30, good, all };
        assert_eq!(judge(rate(27, 30)), None);
        assert_eq!(judge(rate(0, 9)), None, "too few to say");
        assert!(judge(rate(26, 30)).unwrap().detail.contains("4 of 30"));
    }

    proptest! {
        #[test]
        fn a_longer_look_counts_no_less(
            runs in prop::collection::vec((0..200_i64, any::<bool>()), 0..60),
        ) {
            let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
            let ended: Vec<Ended> = runs
                .iter()
                .map(|(days, good)| {
                    Ended { at: now - SignedDuration::from_hours(24 * days), good: *good }
                })
                .collect();
            let (short, long) = (success(&ended, 30, now), success(&ended, 90, now));
            prop_assert!(short.good <= short.all && short.all <= long.all);
            prop_assert!(short.good <= long.good && long.all <= runs.len() as u64);
            let share = short.share();
            prop_assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
    }
}
