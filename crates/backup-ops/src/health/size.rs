//! Is the newest snapshot as large as those before it, and where do sizes go?

use backup_core::ByteSize;
use jiff::Timestamp;

use super::robust::{median, slope};
use super::{Concern, Condition};

/// Fewer say nothing about what is usual.
const ENOUGH: usize = 4;
/// So many are looked at for what is usual: a source that grows is not compared with last month.
const RECENT: usize = 14;
/// So many are looked at for where sizes go.
const LONG: usize = 31;
/// And so many days at least.
const DAYS: f64 = 7.0;
/// Smaller differences interest nobody.
const LITTLE: f64 = (1 << 20) as f64;

/// One snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizePoint {
    /// The instant it is from.
    pub at: Timestamp,
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// Bytes written for it.
    pub stored_bytes: u64,
}

/// How large the newest snapshot is, beside those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeStanding {
    /// Bytes read for the newest.
    pub newest_bytes: u64,
    /// The median of those before it.
    pub usual_bytes: u64,
    /// How they change, in bytes a day; absent until there are five over a week.
    pub bytes_a_day: Option<f64>,
}

impl SizeStanding {
    /// Returns the newest as a multiple of what is usual; nothing when that is nothing.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.usual_bytes > 0).then(|| self.newest_bytes as f64 / self.usual_bytes as f64)
    }
}

/// Judges the last of these points, oldest first; nothing to say before there are five.
pub(super) fn judge(points: &[SizePoint]) -> (Option<SizeStanding>, Vec<Condition>) {
    let Some((newest, before)) = points.split_last() else { return (None, Vec::new()) };
    let recent = before.get(before.len().saturating_sub(RECENT)..).unwrap_or_default();
    if recent.len() < ENOUGH {
        return (None, Vec::new());
    }
    let reads: Vec<f64> = recent.iter().map(|point| point.read_bytes as f64).collect();
    let Some(usual) = median(&reads) else { return (None, Vec::new()) };
    let trend = trend(points.get(points.len().saturating_sub(LONG)..).unwrap_or_default());
    let standing = SizeStanding {
        newest_bytes: newest.read_bytes,
        usual_bytes: usual as u64,
        bytes_a_day: trend,
    };
    let mut conditions = Vec::new();
    conditions.extend(odd(newest.read_bytes as f64, usual, &reads));
    conditions.extend(changed(newest, recent));
    if let Some(a_day) = trend {
        conditions.extend(drift(usual, a_day));
    }
    (Some(standing), conditions)
}

/// Less than half or more than twice of what is usual, and fewer than a quarter of those before
/// were about like it: sizes may swing.
fn odd(newest: f64, usual: f64, before: &[f64]) -> Option<Condition> {
    if (newest - usual).abs() < LITTLE {
        return None;
    }
    let like = |alike: &dyn Fn(f64) -> bool| {
        before.iter().filter(|value| alike(**value)).count() * 4 >= before.len()
    };
    let text = |how: &str| {
        format!(
            "The newest snapshot read {}, {how} than the usual {}.",
            ByteSize(newest as u64),
            ByteSize(usual as u64)
        )
    };
    if newest < usual * 0.5 && !like(&|value| value <= newest * 1.25) {
        return Some(Condition::warning(Concern::SizeSmall, text("much less")));
    }
    let large = newest > usual * 2.0 && !like(&|value| value >= newest * 0.8);
    large.then(|| Condition::warning(Concern::SizeLarge, text("much more")))
}

/// Five times as much stored as usual, and no small part of what was read: much of the data was
/// written anew, or encrypted by somebody.
fn changed(newest: &SizePoint, recent: &[SizePoint]) -> Option<Condition> {
    let stored: Vec<f64> = recent.iter().map(|point| point.stored_bytes as f64).collect();
    let usual = median(&stored)?;
    let now = newest.stored_bytes as f64;
    let much = now > usual * 5.0 && now - usual >= LITTLE && now * 10.0 > newest.read_bytes as f64;
    much.then(|| {
        Condition::warning(
            Concern::ChangeLarge,
            format!(
                "The newest snapshot stored {}, usually it is {}: much more of the data changed.",
                ByteSize(newest.stored_bytes),
                ByteSize(usual as u64)
            ),
        )
    })
}

/// Bytes a day, by a line that single snapshots do not move.
fn trend(points: &[SizePoint]) -> Option<f64> {
    let first = points.first()?.at;
    let days = |at: Timestamp| at.duration_since(first).as_secs_f64() / 86_400.0;
    if points.len() <= ENOUGH || days(points.last()?.at) < DAYS {
        return None;
    }
    let line: Vec<_> = points.iter().map(|p| (days(p.at), p.read_bytes as f64)).collect();
    slope(&line)
}

/// A third less, or twice as much, in a month.
fn drift(usual: f64, a_day: f64) -> Option<Condition> {
    let month = a_day * 30.0;
    if month.abs() < LITTLE {
        return None;
    }
    let text = |how: &str| {
        format!(
            "Snapshots {how} by {} a day, of {}.",
            ByteSize(a_day.abs() as u64),
            ByteSize(usual as u64)
        )
    };
    if month < -usual / 3.0 {
        return Some(Condition::warning(Concern::Shrinking, text("shrink")));
    }
    (month > usual).then(|| Condition::warning(Concern::Growing, text("grow")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn points(sizes: &[(u64, u64)]) -> Vec<SizePoint> {
        let first: Timestamp = "2026-01-01T02:00:00Z".parse().unwrap();
        let day = |number: usize| first + SignedDuration::from_hours(24 * number as i64);
        let point = |(number, (read, stored)): (usize, &(u64, u64))| SizePoint {
            at: day(number),
            read_bytes: read * MIB,
            stored_bytes: stored * MIB,
        };
        sizes.iter().enumerate().map(point).collect()
    }

    fn concerns(sizes: &[(u64, u64)]) -> Vec<Concern> {
        judge(&points(sizes)).1.into_iter().map(|condition| condition.concern).collect()
    }

    fn steady(with: (u64, u64)) -> Vec<(u64, u64)> {
        let mut sizes = vec![(1000, 250)];
        sizes.extend((1..12).map(|day| (1000 + day % 3, 9)));
        sizes.push(with);
        sizes
    }

    #[test]
    fn half_and_double_are_odd_and_so_is_everything_new() {
        assert_eq!(concerns(&steady((1001, 9))), []);
        assert_eq!(concerns(&steady((499, 9))), [Concern::SizeSmall]);
        assert_eq!(concerns(&steady((520, 9))), []);
        assert_eq!(concerns(&steady((2100, 9))), [Concern::SizeLarge]);
        assert_eq!(concerns(&steady((1001, 900))), [Concern::ChangeLarge]);
        assert_eq!(concerns(&steady((1001, 60))), [], "a small part of the data");
        assert_eq!(concerns(&[(1000, 9), (1000, 9), (1, 1)]), [], "too few to say");
    }

    #[test]
    fn what_varies_much_is_not_odd_when_it_varies() {
        let swinging: Vec<_> =
            (0..14).map(|day| (if day % 2 == 0 { 900 } else { 200 }, 9)).collect();
        assert_eq!(concerns(&swinging), []);
    }

    #[test]
    fn what_stays_small_is_usual_after_some_days() {
        let days = |small: usize| {
            let mut sizes = vec![(1000, 9); 14];
            sizes.extend(vec![(100, 9); small]);
            concerns(&sizes).contains(&Concern::SizeSmall)
        };
        assert!(days(1) && days(3));
        assert!(!days(6));
    }

    #[test]
    fn a_slow_loss_is_seen_although_no_day_is_odd() {
        let shrinking: Vec<_> = (0..30).map(|day| (1000 - 15 * day, 9)).collect();
        assert_eq!(concerns(&shrinking), [Concern::Shrinking]);
        let growing: Vec<_> = (0..30).map(|day| (100 + 20 * day, 9)).collect();
        assert_eq!(concerns(&growing), [Concern::Growing]);
        let calm: Vec<_> = (0..30).map(|day| (1000 + day, 9)).collect();
        let (standing, conditions) = judge(&points(&calm));
        assert_eq!(conditions, []);
        let a_day = standing.unwrap().bytes_a_day.unwrap();
        assert!((a_day - MIB as f64).abs() < 1.0, "{a_day}");
    }

    proptest! {
        #[test]
        fn what_never_changes_is_never_odd(read in 0..100_000_u64, days in 0..60_usize) {
            prop_assert_eq!(concerns(&vec![(read, 0); days]), []);
        }

        /// Twice the size everywhere is the same judgement, as long as nothing is too small.
        #[test]
        fn judgement_does_not_depend_on_scale(
            sizes in prop::collection::vec((100..10_000_u64, 1..1_000_u64), 0..40),
        ) {
            let tenfold: Vec<_> = sizes.iter().map(|(r, s)| (r * 10, s * 10)).collect();
            let (small, large) = (concerns(&sizes), concerns(&tenfold));
            prop_assert!(small.iter().all(|one| large.contains(one)), "{:?} {:?}", small, large);
        }

        /// Making an odd one odder does not make it usual.
        #[test]
        fn smaller_than_small_is_small(
            before in prop::collection::vec(500..2_000_u64, 4..30),
            newest in 0..1_000_u64,
        ) {
            let judge = |newest| {
                let mut sizes: Vec<_> = before.iter().map(|read| (*read, 1)).collect();
                sizes.push((newest, 1));
                concerns(&sizes).contains(&Concern::SizeSmall)
            };
            prop_assert!(!judge(newest) || judge(newest / 2));
        }

        /// What is usual does not depend on the order of what was before.
        #[test]
        fn order_before_does_not_matter_for_what_is_usual(
            mut before in prop::collection::vec(1..2_000_u64, 4..14),
            newest in 0..4_000_u64,
        ) {
            let usual = |before: &[u64]| {
                let mut sizes: Vec<_> = before.iter().map(|read| (*read, 1)).collect();
                sizes.push((newest, 1));
                judge(&points(&sizes)).0.unwrap().usual_bytes
            };
            let first = usual(&before);
            before.sort_unstable();
            prop_assert_eq!(usual(&before), first);
        }
    }
}
