//! What belongs together stays together, whatever the histories and the policies are.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use backup_core::{SetId, SnapshotId, SourceName, VerifyLevel};
use backup_retention::{
    Conditions, KeepReason, Plan, Policy, SetFacts, SnapshotFacts, keep_together, plan_sources,
};
use jiff::Timestamp;
use proptest::prelude::*;

const START: i64 = 1_760_000_000;

/// One run: how long after the one before, what of it there is, and how good that is.
#[derive(Clone, Debug)]
enum Run {
    /// A set; the truth values say which members are suspect, pinned.
    Set { suspect: bool, pinned: bool, level: VerifyLevel },
    /// One member alone.
    Alone(usize),
    /// A set that ended after its first member.
    Half,
}

fn run() -> impl Strategy<Value = (i64, Run)> {
    let level = prop_oneof![Just(VerifyLevel::None), Just(VerifyLevel::Read)];
    let set = (prop::bool::weighted(0.1), prop::bool::weighted(0.05), level)
        .prop_map(|(suspect, pinned, level)| Run::Set { suspect, pinned, level });
    let run = prop_oneof![5 => set, 1 => (0..3_usize).prop_map(Run::Alone), 1 => Just(Run::Half)];
    (prop_oneof![60..7_200_i64, 80_000..100_000_i64, 500_000..1_000_000_i64], run)
}

fn policy() -> impl Strategy<Value = Policy> {
    let count = || prop_oneof![Just(0_u32), 1..4_u32];
    (count(), count(), count(), count()).prop_map(|(last, daily, weekly, monthly)| Policy {
        last,
        daily,
        weekly,
        monthly,
        ..Policy::EVERYTHING
    })
}

fn source(member: usize) -> SourceName {
    ["shop", "avatars", "uploads"][member].parse().unwrap()
}

/// Three sources that are a group, and the sets of theirs that are complete.
fn history(runs: &[(i64, Run)]) -> (Vec<SnapshotFacts>, Vec<SetFacts>) {
    let (mut records, mut sets, mut time) = (Vec::new(), Vec::new(), START);
    let mut sequences = [0_u64; 3];
    for (number, (gap, run)) in (1_u32..).zip(runs) {
        time += gap;
        let mut take = |member: usize, suspect, pinned, level| {
            sequences[member] += 1;
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            id[4] = u8::try_from(member).unwrap();
            let stored_at = Timestamp::from_second(time + member as i64).unwrap();
            let (id, source, finished_at) = (SnapshotId(id), source(member), stored_at);
            let sequence = sequences[member];
            records.push(SnapshotFacts {
                id,
                source,
                sequence,
                stored_at,
                finished_at,
                level,
                suspect,
                pinned,
            });
            id
        };
        match run {
            Run::Alone(member) => drop(take(*member, false, false, VerifyLevel::None)),
            Run::Half => drop(take(0, false, false, VerifyLevel::None)),
            Run::Set { suspect, pinned, level } => {
                let snapshots = vec![
                    take(0, false, *pinned, *level),
                    take(1, *suspect, false, *level),
                    take(2, false, false, *level),
                ];
                if !suspect {
                    let mut id = [0; 16];
                    id[..4].copy_from_slice(&number.to_be_bytes());
                    sets.push(SetFacts { id: SetId(id), snapshots });
                }
            }
        }
    }
    (records, sets)
}

fn going(plans: &[Plan]) -> BTreeSet<SnapshotId> {
    plans.iter().flat_map(Plan::forget_ids).collect()
}

proptest! {
    #[test]
    fn no_set_is_ever_torn_and_nothing_more_goes(
        runs in prop::collection::vec(run(), 0..30),
        policies in [policy(), policy(), policy()],
        // One of the sources may have no policy, and so no plan.
        planned in 1..=3_usize,
    ) {
        let (records, sets) = history(&runs);
        let facts: Vec<SnapshotFacts> = records
            .iter()
            .filter(|record| (0..planned).any(|member| record.source == source(member)))
            .cloned()
            .collect();
        let conditions = Conditions::at(Timestamp::from_second(START + 40_000_000).unwrap());
        let mut plans = plan_sources(&facts, |name| {
            let member = (0..3).find(|member| source(*member) == *name).unwrap();
            (policies[member], conditions.clone())
        });
        let before = going(&plans);
        keep_together(&mut plans, &sets);
        let after = going(&plans);
        prop_assert!(after.is_subset(&before), "more goes than by the policies");
        for set in &sets {
            let gone = set.snapshots.iter().filter(|id| after.contains(id)).count();
            prop_assert!(gone == 0 || gone == set.snapshots.len(), "torn: {set:?}");
            // And it holds no set that every policy lets go.
            let all_went = set.snapshots.iter().all(|id| before.contains(id));
            prop_assert_eq!(all_went, gone > 0);
        }
        // Each snapshot is still in one list of its plan, and what is in no set goes as before.
        let listed: usize = plans.iter().map(|plan| plan.keep.len() + plan.forget.len()).sum();
        prop_assert_eq!(listed, facts.len());
        let in_sets: BTreeSet<SnapshotId> =
            sets.iter().flat_map(|set| set.snapshots.iter().copied()).collect();
        prop_assert!(before.iter().all(|id| in_sets.contains(id) || after.contains(id)));
        for plan in &plans {
            let place = |s: &SnapshotFacts| std::cmp::Reverse((s.sequence, s.stored_at, s.id));
            prop_assert!(plan.keep.is_sorted_by_key(|kept| place(&kept.snapshot)));
            let held = plan.keep.iter().filter(|k| before.contains(&k.snapshot.id));
            prop_assert!(held.clone().all(|k| matches!(k.reasons[..], [KeepReason::Set(_)])));
        }
    }
}
