//! What holds whatever the history, the policy and the clocks are.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use backup_core::VerifyLevel;
use backup_retention::{
    Conditions, KeepReason, LastRun, Period, Plan, Policy, Refusal, SnapshotFacts, plan,
};
use common::{at, history};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const START: i64 = 1_760_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(START + 400 * 86_400).unwrap()
}

fn level() -> impl Strategy<Value = VerifyLevel> {
    prop_oneof![
        3 => Just(VerifyLevel::None),
        1 => Just(VerifyLevel::Exists),
        2 => Just(VerifyLevel::Read),
        1 => Just(VerifyLevel::Drilled),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let count = || prop_oneof![2 => Just(0u32), 3 => 1..6u32];
    (count(), count(), count(), count(), count(), count(), prop::option::of(1..60u64)).prop_map(
        |(last, hourly, daily, weekly, monthly, yearly, days)| Policy {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within: days.map(Period::from_days),
        },
    )
}

/// A history in order: gaps from minutes to weeks.
fn ordered() -> impl Strategy<Value = Vec<SnapshotFacts>> {
    let gap = prop_oneof![60..7_200i64, 80_000..100_000i64, 500_000..1_000_000i64];
    prop::collection::vec(
        (gap, level(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        0..40,
    )
    .prop_map(|steps| {
        let mut time = START;
        let mut records = Vec::new();
        for (sequence, (gap, level, suspect, pinned)) in (1..).zip(steps) {
            time += gap;
            let mut record = at(sequence, Timestamp::from_second(time).unwrap());
            (record.level, record.suspect, record.pinned) = (level, suspect, pinned);
            records.push(record);
        }
        records
    })
}

/// Any history at all: times and sequences that make no sense.
fn wild() -> impl Strategy<Value = Vec<SnapshotFacts>> {
    let day = 0..500i64;
    let one = (day.clone(), day, 0..30u64, level(), any::<bool>(), prop::bool::weighted(0.2));
    prop::collection::vec(one, 0..30).prop_map(|all| {
        (0..)
            .zip(all)
            .map(|(position, (stored, finished, sequence, level, suspect, pinned))| {
                let time = |day: i64| Timestamp::from_second(START + day * 86_400).unwrap();
                let mut record = at(position, time(stored));
                record.finished_at = time(finished);
                record.sequence = sequence;
                (record.level, record.suspect, record.pinned) = (level, suspect, pinned);
                record
            })
            .collect()
    })
}

fn required() -> impl Strategy<Value = VerifyLevel> {
    prop_oneof![Just(VerifyLevel::Exists), Just(VerifyLevel::Read), Just(VerifyLevel::Drilled)]
}

fn conditions(required: VerifyLevel) -> Conditions {
    Conditions { required, ..Conditions::at(now()) }
}

fn kept(plan: &Plan) -> Vec<u64> {
    plan.keep.iter().map(|kept| kept.snapshot.sequence).collect()
}

fn forgotten(plan: &Plan) -> BTreeSet<backup_core::SnapshotId> {
    plan.forget_ids().into_iter().collect()
}

/// Adds snapshots after those of `records`, in order of time.
fn append(records: &mut Vec<SnapshotFacts>, gaps: &[i64], level: VerifyLevel, suspect: bool) {
    for gap in gaps {
        let time = records.last().map_or(START, |r| r.stored_at.as_second());
        let sequence = records.last().map_or(0, |r| r.sequence) + 1;
        let mut record = at(sequence, Timestamp::from_second(time + gap).unwrap());
        (record.level, record.suspect) = (level, suspect);
        records.push(record);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..Default::default() })]

    #[test]
    fn every_snapshot_is_in_one_list_with_a_reason(records in wild(), policy in policy()) {
        let plan = plan(&records, &policy, &conditions(VerifyLevel::Read));
        prop_assert!(plan.keep.iter().all(|kept| !kept.reasons.is_empty()));
        let mut ids: Vec<_> = plan.keep.iter().map(|k| k.snapshot.id).collect();
        ids.extend(plan.forget_ids());
        ids.sort_unstable();
        let mut expected: Vec<_> = records.iter().map(|r| r.id).collect();
        expected.sort_unstable();
        prop_assert_eq!(ids, expected);
    }

    #[test]
    fn the_order_of_the_records_does_not_matter(records in wild(), policy in policy()) {
        let mut reversed = records.clone();
        reversed.reverse();
        let conditions = conditions(VerifyLevel::Read);
        prop_assert_eq!(plan(&records, &policy, &conditions), plan(&reversed, &policy, &conditions));
    }

    #[test]
    fn the_newest_verified_snapshot_stays(
        records in wild(), policy in policy(), required in required(),
    ) {
        let plan = plan(&records, &policy, &conditions(required));
        for level in [VerifyLevel::Exists, VerifyLevel::Read, VerifyLevel::Drilled] {
            let newest = records
                .iter()
                .filter(|r| !r.suspect && r.level >= level)
                .max_by_key(|r| (r.sequence, r.stored_at, r.id));
            if let Some(newest) = newest {
                prop_assert!(!forgotten(&plan).contains(&newest.id), "{}", level.as_str());
            }
        }
    }

    #[test]
    fn the_newest_and_the_pinned_stay(records in wild(), policy in policy()) {
        let plan = plan(&records, &policy, &conditions(VerifyLevel::Read));
        let newest = records.iter().max_by_key(|r| (r.sequence, r.stored_at, r.id));
        for record in records.iter().filter(|r| r.pinned).chain(newest) {
            prop_assert!(!forgotten(&plan).contains(&record.id));
        }
    }

    #[test]
    fn unverified_snapshots_never_cost_a_verified_one(
        mut records in ordered(),
        gaps in prop::collection::vec(60..400_000i64, 1..60),
        policy in policy(),
        required in required(),
    ) {
        let conditions = conditions(required);
        let before = plan(&records, &policy, &conditions);
        prop_assume!(before.refused.is_none());
        append(&mut records, &gaps, VerifyLevel::None, false);
        let after = forgotten(&plan(&records, &policy, &conditions));
        let lost: Vec<u64> = before
            .keep
            .iter()
            .filter(|k| k.snapshot.level >= required && after.contains(&k.snapshot.id))
            // A reason that ceases is no trade: the one that lost "newest" alone was replaced
            // by nothing but its own age.
            .filter(|k| k.reasons.iter().any(|r| *r != KeepReason::Newest))
            .map(|k| k.snapshot.sequence)
            .collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn an_unverified_one_stands_for_no_verified_one(
        records in ordered(), policy in policy(), required in required(),
    ) {
        let plan = plan(&records, &policy, &conditions(required));
        for gone in plan.forget.iter().filter(|f| !f.snapshot.suspect) {
            if let backup_retention::ForgetReason::Represented { by, .. } = &gone.reason {
                let stands = records.iter().find(|r| r.id == *by).unwrap();
                prop_assert!(
                    stands.level.min(required) >= gone.snapshot.level.min(required),
                    "{} for {}", stands.sequence, gone.snapshot.sequence
                );
                prop_assert!(!forgotten(&plan).contains(by));
            }
        }
    }

    #[test]
    fn nothing_goes_after_a_failed_or_suspect_run(mut records in wild(), policy in policy()) {
        let failed = Conditions { last_run: LastRun::Failed, ..conditions(VerifyLevel::Read) };
        let refused = plan(&records, &policy, &failed);
        prop_assert!(refused.forget.is_empty());
        let newest = records.iter_mut().max_by_key(|r| (r.sequence, r.stored_at, r.id));
        prop_assume!(newest.is_some());
        prop_assert_eq!(refused.refused, Some(Refusal::AfterFailedRun));
        newest.unwrap().suspect = true;
        let refused = plan(&records, &policy, &conditions(VerifyLevel::Read));
        prop_assert!(refused.forget.is_empty());
        prop_assert!(matches!(refused.refused, Some(Refusal::AfterSuspectRun(_))));
    }

    #[test]
    fn suspect_snapshots_push_out_nothing(
        records in ordered(),
        at_place in any::<prop::sample::Index>(),
        gaps in prop::collection::vec(60..200_000i64, 1..8),
        policy in policy(),
    ) {
        let good: Vec<SnapshotFacts> = records.into_iter().filter(|r| !r.suspect).collect();
        prop_assume!(!good.is_empty());
        let conditions = conditions(VerifyLevel::Read);
        let before = forgotten(&plan(&good, &policy, &conditions));
        // Suspect ones come in between, at any place but the end.
        let place = at_place.index(good.len());
        let mut with_suspects = good[..place].to_vec();
        append(&mut with_suspects, &gaps, VerifyLevel::Drilled, true);
        let shift = u64::try_from(gaps.len()).unwrap();
        let pause = SignedDuration::from_secs(gaps.iter().sum());
        let mut shifted = good.clone();
        for record in &mut shifted[place..] {
            record.sequence += shift;
            record.stored_at += pause;
            record.finished_at += pause;
        }
        let baseline = forgotten(&plan(&shifted, &policy, &conditions));
        for (position, suspect) in with_suspects[place..].iter_mut().enumerate() {
            suspect.id.0[15] = u8::try_from(position).unwrap() + 1;
        }
        with_suspects.extend_from_slice(&shifted[place..]);
        let after = forgotten(&plan(&with_suspects, &policy, &conditions));
        let good_ids: BTreeSet<_> = good.iter().map(|r| r.id).collect();
        let after_good: BTreeSet<_> = after.intersection(&good_ids).copied().collect();
        prop_assert_eq!(after_good, baseline, "before: {:?}", before);
    }

    #[test]
    fn a_clock_of_ours_that_jumps_evicts_nothing(
        records in ordered(), policy in policy(), days in -1_000..100_000i64,
    ) {
        let usual = forgotten(&plan(&records, &policy, &conditions(VerifyLevel::Read)));
        let jumped = Conditions {
            now: now() + SignedDuration::from_hours(24 * days),
            ..conditions(VerifyLevel::Read)
        };
        let plan = plan(&records, &policy, &jumped);
        prop_assert!(forgotten(&plan).is_subset(&usual));
        for record in records.iter().filter(|r| r.stored_at > jumped.now) {
            prop_assert!(!forgotten(&plan).contains(&record.id));
        }
    }

    #[test]
    fn a_clock_of_the_store_that_jumps_evicts_nothing(
        mut records in ordered(),
        place in any::<prop::sample::Index>(),
        count in 1..4usize,
        back in any::<bool>(),
        policy in policy(),
    ) {
        for record in &mut records {
            record.suspect = false;
        }
        append(&mut records, &[86_400; 8], VerifyLevel::None, false);
        let usual = plan(&records, &policy, &conditions(VerifyLevel::Read));
        // What only a crowded day keeps may go when that day is less crowded.
        let crowd = usual.keep.iter().filter(|kept| {
            kept.reasons.iter().all(|r| matches!(r, KeepReason::UncrowdedRule(..)))
        });
        let crowd: Vec<_> = crowd.map(|kept| kept.snapshot.id).collect();
        let mut usual = forgotten(&usual);
        usual.extend(crowd);
        let mut jumped = records.clone();
        let first = place.index(records.len() - count).max(2);
        for record in &mut jumped[first..first + count] {
            let years = SignedDuration::from_hours(24 * 365 * 3);
            record.stored_at = if back { record.stored_at - years } else { record.stored_at + years };
        }
        let after = plan(&jumped, &policy, &conditions(VerifyLevel::Read));
        prop_assert!(forgotten(&after).is_subset(&usual), "{}", after.table(&jiff::tz::TimeZone::UTC));
        for record in &jumped[first..first + count] {
            prop_assert!(!forgotten(&after).contains(&record.id));
        }
    }

    #[test]
    fn an_empty_policy_keeps_everything(records in wild()) {
        let plan = plan(&records, &Policy::EVERYTHING, &conditions(VerifyLevel::Read));
        prop_assert!(plan.forget.is_empty());
    }

    #[test]
    fn what_a_plan_keeps_the_next_plan_keeps(records in ordered(), policy in policy()) {
        let conditions = conditions(VerifyLevel::Read);
        let first = plan(&records, &policy, &conditions);
        let left: Vec<SnapshotFacts> = first.keep.iter().map(|k| k.snapshot.clone()).collect();
        // Crowds are judged by what is there, so a plan may be more generous than the next one
        // once the crowd is gone; without crowds it is stable.
        prop_assume!(!first.warnings.iter().any(|w| w.contains("is usual")));
        let second = plan(&left, &policy, &conditions);
        prop_assert!(second.forget.is_empty(), "{}", second.table(&jiff::tz::TimeZone::UTC));
    }

    #[test]
    fn policies_survive_their_text(policy in policy()) {
        prop_assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
    }

    #[test]
    fn policy_text_never_panics(text in "\\PC{0,40}") {
        let _ = text.parse::<Policy>();
        let _ = text.parse::<Period>();
    }
}

#[test]
fn junk_on_one_day_costs_no_other_day() {
    let good = history(30, 24, "2026-03-31T02:00:00Z");
    let conditions = Conditions::at("2026-04-01T00:00:00Z".parse().unwrap());
    for policy in ["last 5", "7 daily", "standard", "within 3d"] {
        let policy: Policy = policy.parse().unwrap();
        let before = kept(&plan(&good, &policy, &conditions));
        let mut junk = good.clone();
        append(&mut junk, &[60; 500], VerifyLevel::None, false);
        let plan = plan(&junk, &policy, &conditions);
        let after = kept(&plan);
        assert!(before.iter().all(|s| after.contains(s)), "{policy}: {before:?} {after:?}");
        assert!(plan.warnings.iter().any(|w| w.contains("501 snapshots")), "{:?}", plan.warnings);
    }
}
