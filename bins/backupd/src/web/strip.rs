//! The last thirty days of a source, one word each.

use backup::config::SourceSettings;
use backup_api::view::{Day, DayState};
use backup_core::{JobKind, Run, RunState};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Returns the days, oldest first; `runs` are newest first.
pub(super) fn days(
    settings: &SourceSettings,
    zone: &TimeZone,
    runs: &[&Run],
    now: Timestamp,
) -> Vec<Day> {
    let backups: Vec<_> = runs.iter().filter(|run| run.job.kind == JobKind::Backup).collect();
    let first = backups.last().map(|run| run.started_at);
    let cron = settings.schedule.backup.as_ref();
    (0..30_i64)
        .rev()
        .map(|back| {
            let date = (now - SignedDuration::from_hours(24 * back)).to_zoned(TimeZone::UTC).date();
            let own: Vec<_> = backups
                .iter()
                .filter(|run| run.started_at.to_zoned(TimeZone::UTC).date() == date)
                .collect();
            let due = || due(date, now, first, |after| cron?.next(after, zone));
            let (state, note) = match judge(&own.iter().map(|run| run.state).collect::<Vec<_>>()) {
                Some(state) => {
                    (state, own.iter().find_map(|run| Some(run.error.as_ref()?.message.clone())))
                }
                None if first.is_none_or(|first| date < first.to_zoned(TimeZone::UTC).date()) => {
                    (DayState::Before, None)
                }
                None if due() => (DayState::Overdue, None),
                None => (DayState::Idle, None),
            };
            Day { date, state, note: note.unwrap_or_default() }
        })
        .collect()
}

/// The word for a day with these runs, newest first; nothing without any that counts.
fn judge(states: &[RunState]) -> Option<DayState> {
    let newest = states.iter().find(|state| **state != RunState::Cancelled)?;
    let clean = states.iter().all(|s| matches!(s, RunState::Succeeded | RunState::Cancelled));
    Some(match newest {
        RunState::Queued | RunState::Running => DayState::Running,
        RunState::Succeeded if clean => DayState::Good,
        RunState::Succeeded | RunState::Suspect => DayState::Warning,
        RunState::Failed | RunState::Interrupted | RunState::Cancelled => DayState::Failed,
    })
}

/// Whether a backup was due on a day, an hour ago at least, after the first one ever.
fn due(
    date: Date,
    now: Timestamp,
    first: Option<Timestamp>,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
) -> bool {
    let Ok(begin) = date.to_zoned(TimeZone::UTC) else { return false };
    let begin = begin.timestamp();
    let after = first.map_or(begin, |first| first.max(begin));
    let end = begin + SignedDuration::from_hours(24);
    let late = now - SignedDuration::from_hours(1);
    next(after).is_some_and(|at| at < end && at < late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_as_good_as_its_end() {
        use RunState::{Cancelled, Failed, Running, Succeeded, Suspect};
        let cases: [(&[RunState], Option<DayState>); 8] = [
            (&[], None),
            (&[Cancelled], None),
            (&[Succeeded], Some(DayState::Good)),
            (&[Succeeded, Failed], Some(DayState::Warning)),
            (&[Failed, Succeeded], Some(DayState::Failed)),
            (&[Suspect], Some(DayState::Warning)),
            (&[Running, Failed], Some(DayState::Running)),
            (&[Cancelled, Succeeded], Some(DayState::Good)),
        ];
        for (states, word) in cases {
            assert_eq!(judge(states), word, "{states:?}");
        }
    }

    #[test]
    fn what_was_due_and_did_not_run_is_overdue() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let daily = |after: Timestamp| {
            let day = after.to_zoned(TimeZone::UTC).date();
            let three = |day: Date| day.at(3, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
            Some(if three(day) > after { three(day) } else { three(day.tomorrow().unwrap()) })
        };
        let date: Date = "2026-03-01".parse().unwrap();
        assert!(due(date, at("2026-03-02T00:00:00Z"), Some(at("2026-02-01T00:00:00Z")), daily));
        assert!(!due(date, at("2026-03-01T03:30:00Z"), None, daily), "not an hour ago");
        let after = Some(at("2026-03-01T05:00:00Z"));
        assert!(!due(date, at("2026-03-02T00:00:00Z"), after, daily), "before the first one");
        assert!(!due(date, at("2026-03-02T00:00:00Z"), None, |_| None));
    }
}
