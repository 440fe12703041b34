//! Space: how much is left, how it goes, how long it lasts.

use backup_core::{ByteSize, Severity};
use jiff::{SignedDuration, Timestamp};

use super::{Concern, Condition, KeyFacts};

/// How far back a forecast looks.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Centuries away is never.
const NEVER: f64 = 100.0 * 365.0;
/// What lasts for less is worth looking at.
const SOON: f64 = 14.0;

/// The space of the device or quota a repository is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it, in bytes.
    pub capacity_bytes: u64,
    /// What is free.
    pub available_bytes: u64,
}

/// What a repository took at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrowthPoint {
    /// When.
    pub at: Timestamp,
    /// Bytes of all its objects.
    pub stored_bytes: u64,
}

/// How it goes on, by a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Bytes a day; negative while it shrinks.
    pub bytes_a_day: f64,
    /// Over how many days back.
    pub days: f64,
    /// When it is full at that rate; absent when it has no end or does not grow.
    pub full_at: Option<Timestamp>,
}

/// Draws a line through the last weeks; needs three points over two days at least.
#[must_use]
pub fn forecast(
    growth: &[GrowthPoint],
    available: Option<u64>,
    now: Timestamp,
) -> Option<Forecast> {
    let begin = now.checked_sub(LOOK_BACK).ok()?;
    let recent: Vec<_> = growth.iter().filter(|point| point.at >= begin).collect();
    let first = recent.first()?.at;
    let days = |at: Timestamp| at.duration_since(first).as_secs_f64() / 86_400.0;
    let span = days(recent.last()?.at);
    if recent.len() < 3 || span < 2.0 {
        return None;
    }
    let count = recent.len() as f64;
    let mean_x = recent.iter().map(|p| days(p.at)).sum::<f64>() / count;
    let mean_y = recent.iter().map(|p| p.stored_bytes as f64).sum::<f64>() / count;
    let both = |p: &&GrowthPoint| (days(p.at) - mean_x) * (p.stored_bytes as f64 - mean_y);
    let bytes_a_day = recent.iter().map(both).sum::<f64>()
        / recent.iter().map(|p| (days(p.at) - mean_x).powi(2)).sum::<f64>();
    let left = available.filter(|_| bytes_a_day > 0.0).map(|free| free as f64 / bytes_a_day);
    let left = left.filter(|days| *days < NEVER);
    let full_at = left.and_then(|days| {
        now.checked_add(SignedDuration::try_from_secs_f64(days * 86_400.0).ok()?).ok()
    });
    Some(Forecast { bytes_a_day, days: span, full_at })
}

/// How a repository stands, beside its sources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepositoryHealth {
    /// Its space, where the store can tell.
    pub room: Option<Room>,
    /// How it grows, where that was measured for days.
    pub forecast: Option<Forecast>,
    /// What is worth looking at.
    pub conditions: Vec<Condition>,
}

impl RepositoryHealth {
    /// Judges space and keys. `largest` is the most that a snapshot of late took.
    #[must_use]
    pub fn judge(
        room: Option<Room>,
        growth: &[GrowthPoint],
        largest: u64,
        keys: Option<&KeyFacts>,
        now: Timestamp,
    ) -> Self {
        let forecast = forecast(growth, room.map(|room| room.available_bytes), now);
        let mut conditions = Vec::new();
        if let Some(room) = room {
            conditions.extend(low(room, largest));
        }
        conditions.extend(filling(forecast, now));
        conditions.extend(keys.map(KeyFacts::judge).unwrap_or_default());
        Self { room, forecast, conditions }
    }

    /// Returns for how many days the space lasts; absent when that is not known, or for ever.
    #[must_use]
    pub fn days_until_full(&self, now: Timestamp) -> Option<f64> {
        let full_at = self.forecast?.full_at?;
        Some((full_at.duration_since(now).as_secs_f64() / 86_400.0).max(0.0))
    }
}

/// A tenth left, or too little for what comes next.
fn low(room: Room, largest: u64) -> Option<Condition> {
    let tight = room.available_bytes < largest.saturating_mul(2);
    let last = room.available_bytes < room.capacity_bytes / 50 || room.available_bytes < largest;
    if !tight && !last && room.available_bytes >= room.capacity_bytes / 10 {
        return None;
    }
    let mut detail =
        format!("{} of {} are free", ByteSize(room.available_bytes), ByteSize(room.capacity_bytes));
    if tight {
        detail.push_str(&format!(", a snapshot of late took {}", ByteSize(largest)));
    }
    detail.push_str("; prune, keep fewer snapshots, or add space.");
    let severity = if last { Severity::Critical } else { Severity::Warning };
    Some(Condition::new(Concern::StorageLow, severity, detail))
}

fn filling(forecast: Option<Forecast>, now: Timestamp) -> Option<Condition> {
    let forecast = forecast?;
    let days = forecast.full_at?.duration_since(now).as_secs_f64() / 86_400.0;
    (days < SOON).then(|| {
        Condition::warning(
            Concern::StorageFilling,
            format!(
                "At {} a day the space that is left lasts for {:.0} days.",
                ByteSize(forecast.bytes_a_day as u64),
                days.floor().max(0.0)
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn day(number: i64, bytes: u64) -> GrowthPoint {
        let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        GrowthPoint { at: first + SignedDuration::from_hours(24 * number), stored_bytes: bytes }
    }

    #[test]
    fn a_line_needs_days_and_says_when_it_is_full() {
        let growth: Vec<_> = (0..10).map(|n| day(n, 1000 + 100 * n as u64)).collect();
        let now = growth[9].at;
        assert!(forecast(&growth[..2], Some(500), now).is_none());
        let line = forecast(&growth, Some(500), now).unwrap();
        assert!((line.bytes_a_day - 100.0).abs() < 1e-6);
        let full_in = line.full_at.unwrap().duration_since(now).as_secs_f64() / 86_400.0;
        assert!((full_in - 5.0).abs() < 1e-3, "{full_in}");
        let shrinking: Vec<_> = (0..10).map(|n| day(n, 2000 - 100 * n as u64)).collect();
        assert_eq!(forecast(&shrinking, Some(500), now).unwrap().full_at, None);
    }

    #[test]
    fn space_is_judged_by_share_by_what_comes_next_and_by_how_it_goes() {
        let judge = |free: u64, largest: u64, a_day: u64| {
            let growth: Vec<_> = (0..10).map(|n| day(n, GIB + a_day * n as u64)).collect();
            let room = Room { capacity_bytes: 100 * GIB, available_bytes: free };
            RepositoryHealth::judge(Some(room), &growth, largest, None, growth[9].at)
                .conditions
                .into_iter()
                .map(|condition| (condition.concern, condition.severity))
                .collect::<Vec<_>>()
        };
        assert_eq!(judge(50 * GIB, GIB, GIB), []);
        assert_eq!(judge(9 * GIB, GIB, 0), [(Concern::StorageLow, Severity::Warning)]);
        assert_eq!(judge(GIB, 0, 0), [(Concern::StorageLow, Severity::Critical)]);
        assert_eq!(judge(50 * GIB, 60 * GIB, 0), [(Concern::StorageLow, Severity::Critical)]);
        assert_eq!(judge(50 * GIB, 30 * GIB, 0), [(Concern::StorageLow, Severity::Warning)]);
        assert_eq!(judge(20 * GIB, GIB, 2 * GIB), [(Concern::StorageFilling, Severity::Warning)]);
    }

    #[test]
    fn a_store_without_an_end_is_never_full() {
        let growth: Vec<_> = (0..10).map(|n| day(n, GIB * n as u64)).collect();
        let health = RepositoryHealth::judge(None, &growth, GIB, None, growth[9].at);
        assert_eq!(health.conditions, []);
        assert_eq!(health.days_until_full(growth[9].at), None);
        assert!((health.forecast.unwrap().bytes_a_day - GIB as f64).abs() < 1.0);
    }

    proptest! {
        #[test]
        fn less_space_is_never_better(
            capacity in 1..1_000_000_u64, free in 0..1_000_000_u64, largest in 0..500_000_u64,
        ) {
            let severity = |free: u64| {
                low(Room { capacity_bytes: capacity, available_bytes: free }, largest)
                    .map(|condition| condition.severity)
            };
            prop_assert!(severity(free / 2) >= severity(free));
        }

        #[test]
        fn more_space_lasts_no_shorter(
            sizes in prop::collection::vec(0..1_000_000_u64, 3..60), free in 0..1_000_000_u64,
        ) {
            let growth: Vec<_> =
                sizes.iter().enumerate().map(|(n, bytes)| day(n as i64, *bytes)).collect();
            let now = growth[growth.len() - 1].at;
            let full = |free| forecast(&growth, Some(free), now).unwrap().full_at;
            if let (Some(soon), Some(late)) = (full(free), full(free * 2)) {
                prop_assert!(soon <= late);
            }
        }
    }
}
