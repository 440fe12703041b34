//! Which provider snapshots to keep.

use backup_core::port::{NativeSnapshot, NativeState};
use backup_core::{Error, ErrorKind, SnapshotId, SourceName, VerifyLevel};
use backup_retention::{Conditions, Policy, SnapshotFacts, plan};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::snapshots::is_ours;

/// What becomes of a source's provider snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativePlan {
    /// Those that stay, and why.
    pub keep: Vec<NativeKept>,
    /// Those to be deleted; once the plan was carried out, those that were.
    pub forget: Vec<NativeSnapshot>,
    /// Why nothing is deleted, where that is so.
    pub refused: Option<String>,
    /// Which could not be deleted, a phrase each; they are among those that stay.
    pub failed: Vec<String>,
}

impl NativePlan {
    /// Lets one that was to be deleted stay.
    pub(super) fn spare(&mut self, snapshot: NativeSnapshot, reason: String) {
        self.keep.push(NativeKept { snapshot, reasons: vec![reason] });
    }

    /// Returns what to say of those that could not be deleted, if there are any.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        let deleted = self.forget.len();
        (!self.failed.is_empty()).then(|| {
            Error::new(ErrorKind::Failed, "delete provider snapshots")
                .with("deleted", deleted)
                .with("not deleted", self.failed.len())
                .because(self.failed.join("; "))
                .hint(
                    "The others were deleted. One that is locked at the provider is kept for good by \
                     `backupctl pin --native ID --yes`; the rest is tried after the next snapshot.",
                )
        })
    }
}

/// One that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeKept {
    /// Which.
    pub snapshot: NativeSnapshot,
    /// Why, a phrase each.
    pub reasons: Vec<String>,
}

/// Plans by policy; changes nothing. Only what we made for this source, and is whole and not
/// protected, is ever deleted; the newest whole one never is, and nothing is after a failed one.
#[must_use]
pub fn plan_native(
    snapshots: &[NativeSnapshot],
    source: &SourceName,
    policy: &Policy,
    zone: &TimeZone,
    now: Timestamp,
) -> NativePlan {
    let mut planned = NativePlan::default();
    let mut ours = Vec::new();
    for snapshot in snapshots {
        match foreign(snapshot, source) {
            Some(why) => planned.keep.push(kept(snapshot, vec![why.to_owned()])),
            None => ours.push(snapshot),
        }
    }
    ours.sort_by_key(|snapshot| snapshot.created_at);
    let newest = ours.last().map(|snapshot| snapshot.state.clone());
    if let Some(state @ (NativeState::Failed | NativeState::Other(_))) = newest {
        planned.refused =
            Some(format!("the newest provider snapshot is {}; nothing is deleted", state.as_str()));
    }
    let whole: Vec<&NativeSnapshot> =
        ours.iter().copied().filter(|snapshot| snapshot.state == NativeState::Ready).collect();
    for snapshot in ours.iter().filter(|snapshot| snapshot.state != NativeState::Ready) {
        planned.keep.push(kept(snapshot, vec![snapshot.state.as_str().to_owned()]));
    }
    let facts: Vec<SnapshotFacts> =
        whole.iter().enumerate().map(|(at, snapshot)| facts(at, snapshot, source)).collect();
    let mut conditions = Conditions::at(now);
    conditions.zone = zone.clone();
    // The vendor lists it: nobody has read it.
    conditions.required = VerifyLevel::Exists;
    let plan = plan(&facts, policy, &conditions);
    let at = |id: SnapshotId| usize::try_from(u128::from_be_bytes(id.0)).ok();
    let forgotten: Vec<usize> = plan.forget_ids().into_iter().filter_map(at).collect();
    for (position, snapshot) in whole.iter().enumerate() {
        if position + 1 < whole.len() && forgotten.contains(&position) && planned.refused.is_none()
        {
            planned.forget.push((*snapshot).clone());
            continue;
        }
        let found = plan.keep.iter().find(|kept| at(kept.snapshot.id) == Some(position));
        let reasons = found.map(|kept| kept.reasons.iter().map(ToString::to_string).collect());
        planned.keep.push(kept(snapshot, reasons.unwrap_or_default()));
    }
    if policy.is_empty() {
        planned.keep.extend(
            planned.forget.drain(..).map(|snapshot| kept(&snapshot, vec!["no policy".into()])),
        );
    }
    planned
}

/// Why a snapshot is none of our business.
fn foreign(snapshot: &NativeSnapshot, source: &SourceName) -> Option<&'static str> {
    if !is_ours(&snapshot.name, source) {
        return Some(if snapshot.automatic { "made by the provider" } else { "not made by us" });
    }
    if snapshot.automatic {
        return Some("made by the provider");
    }
    snapshot.protected.then_some("protected")
}

fn kept(snapshot: &NativeSnapshot, reasons: Vec<String>) -> NativeKept {
    NativeKept { snapshot: snapshot.clone(), reasons }
}

fn facts(at: usize, snapshot: &NativeSnapshot, source: &SourceName) -> SnapshotFacts {
    SnapshotFacts {
        // Only to find it again in the plan.
        id: SnapshotId((at as u128).to_be_bytes()),
        source: source.clone(),
        sequence: at as u64,
        stored_at: snapshot.created_at,
        finished_at: snapshot.created_at,
        level: VerifyLevel::Exists,
        suspect: false,
        pinned: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: &str, source: &str) -> NativeSnapshot {
        let created_at: Timestamp = at.parse().unwrap();
        let name = backup_core::OwnedName::new(
            &source.parse().unwrap(),
            backup_core::Purpose::Snapshot,
            created_at,
            1,
        );
        NativeSnapshot {
            id: format!("{source}-{at}"),
            name: name.to_string(),
            created_at,
            expires_at: None,
            state: NativeState::Ready,
            bytes: None,
            protected: false,
            automatic: false,
        }
    }

    fn deleted(snapshots: &[NativeSnapshot], policy: &str) -> Vec<String> {
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        let plan = plan_native(
            snapshots,
            &"shop".parse().unwrap(),
            &policy.parse().unwrap(),
            &TimeZone::UTC,
            now,
        );
        assert_eq!(plan.keep.len() + plan.forget.len(), snapshots.len(), "each has its fate");
        plan.forget.into_iter().map(|snapshot| snapshot.created_at.to_string()).collect()
    }

    #[test]
    fn the_policy_decides_about_ours_and_nothing_else() {
        let mut all: Vec<NativeSnapshot> =
            (1..=9).map(|day| snapshot(&format!("2026-01-0{day}T00:00:00Z"), "shop")).collect();
        all.push(snapshot("2026-01-01T00:00:00Z", "blog"));
        all.push(NativeSnapshot {
            name: "before the migration".into(),
            ..snapshot("2026-01-01T00:00:00Z", "shop")
        });
        all[0].protected = true;
        all[1].automatic = true;
        assert_eq!(deleted(&all, "3 daily").len(), 4);
        assert_eq!(deleted(&all, "everything"), Vec::<String>::new());
    }

    #[test]
    fn the_newest_stays_and_nothing_goes_after_a_failure() {
        let mut all: Vec<NativeSnapshot> =
            (1..=3).map(|day| snapshot(&format!("2026-01-0{day}T00:00:00Z"), "shop")).collect();
        assert_eq!(deleted(&all, "1 last").len(), 2);
        all[2].state = NativeState::Failed;
        assert_eq!(deleted(&all, "1 last"), Vec::<String>::new());
        all[2].state = NativeState::Other("thawing".into());
        assert_eq!(deleted(&all, "1 last"), Vec::<String>::new());
        all[2].state = NativeState::Running;
        assert_eq!(deleted(&all, "1 last").len(), 1, "the newest whole one stays");
    }
}
