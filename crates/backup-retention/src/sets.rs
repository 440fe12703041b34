//! Recovery sets: what belongs together stays together.

use std::collections::BTreeSet;

use backup_core::{SetId, SnapshotId};

use crate::{KeepReason, Kept, Plan};

/// A complete recovery set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFacts {
    /// Which.
    pub id: SetId,
    /// The snapshots of all its members.
    pub snapshots: Vec<SnapshotId>,
}

/// Keeps whole every set of which something is kept: what is in no plan is kept as well.
///
/// Only complete sets may be given: what is left of others is kept, or goes, by the rules of its
/// source alone. Nothing is forgotten by this that was kept before.
pub fn keep_together(plans: &mut [Plan], sets: &[SetFacts]) {
    let going: BTreeSet<SnapshotId> = plans.iter().flat_map(Plan::forget_ids).collect();
    for set in sets {
        if set.snapshots.iter().all(|id| going.contains(id)) {
            continue;
        }
        for plan in plans.iter_mut() {
            let held = plan.forget.extract_if(.., |gone| set.snapshots.contains(&gone.snapshot.id));
            let held: Vec<Kept> = held
                .map(|gone| Kept {
                    snapshot: gone.snapshot,
                    reasons: vec![KeepReason::Set(set.id)],
                })
                .collect();
            if !held.is_empty() {
                plan.keep.extend(held);
                plan.keep.sort_by_key(|kept| {
                    let s = &kept.snapshot;
                    std::cmp::Reverse((s.sequence, s.stored_at, s.id))
                });
            }
        }
    }
}
