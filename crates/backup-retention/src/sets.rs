//! Recovery sets: what belongs together stays together.

use std::collections::{BTreeMap, BTreeSet};

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
    let torn = sets.iter().filter(|set| !set.snapshots.iter().all(|id| going.contains(id)));
    let held: BTreeMap<SnapshotId, SetId> =
        torn.flat_map(|set| set.snapshots.iter().map(|id| (*id, set.id))).collect();
    hold_those(plans, |id| held.get(&id).copied().map(KeepReason::Set));
}

/// Keeps these snapshots, for that reason, where their plans let them go.
pub fn hold(plans: &mut [Plan], snapshots: &[SnapshotId], reason: &KeepReason) {
    hold_those(plans, |id| snapshots.contains(&id).then(|| reason.clone()));
}

fn hold_those(plans: &mut [Plan], reason: impl Fn(SnapshotId) -> Option<KeepReason>) {
    for plan in plans {
        let keep = plan.keep.len();
        let staying = plan
            .forget
            .extract_if(.., |gone| reason(gone.snapshot.id).is_some())
            .filter_map(|gone| {
                let reasons = vec![reason(gone.snapshot.id)?];
                Some(Kept { snapshot: gone.snapshot, reasons })
            });
        plan.keep.extend(staying);
        if plan.keep.len() > keep {
            plan.keep.sort_by_key(|kept| {
                let s = &kept.snapshot;
                std::cmp::Reverse((s.sequence, s.stored_at, s.id))
            });
        }
    }
}
