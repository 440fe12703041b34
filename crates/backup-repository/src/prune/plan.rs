//! What prune would do, and why: a pure decision.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use backup_core::PackId;
use jiff::Timestamp;

/// How to prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneOptions {
    /// How long a pack stays marked before it is deleted, and how old an unreferenced pack must
    /// be to be marked. Below two hours nobody may back up meanwhile: writers trust a mark for
    /// one hour.
    pub grace: Duration,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(24 * 60 * 60) }
    }
}

/// What is known of one pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackFacts {
    /// In the store: its size and time.
    pub(crate) stored: Option<(u64, Timestamp)>,
    /// In the index, and since when marked.
    pub(crate) indexed: Option<Option<Timestamp>>,
}

/// Everything the planner looks at.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) packs: BTreeMap<PackId, PackFacts>,
    pub(crate) needed: HashSet<PackId>,
    pub(crate) indexes: usize,
    /// The store's time when packs were listed, before the indexes were read.
    pub(crate) listed_at: Timestamp,
    /// The store's time when all else was known.
    pub(crate) now: Timestamp,
}

/// What happens to one pack, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneStep {
    /// Which pack.
    pub pack: PackId,
    /// Its size in the store, in bytes.
    pub bytes: u64,
    /// What happens.
    pub action: PruneAction,
    /// Why, in a phrase.
    pub reason: String,
}

/// What can happen to a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PruneAction {
    /// A snapshot needs it.
    Keep,
    /// A snapshot needs it again: the mark is taken off.
    Unmark,
    /// Nothing needs it, but it is too young to judge: a running backup may have written it.
    TooYoung,
    /// Nothing needs it: marked now, deleted by a later prune.
    Mark,
    /// Marked, and the grace period is not over.
    Wait,
    /// Marked long enough: deleted.
    Delete,
    /// Gone from the store and needed by nothing: dropped from the index.
    Drop,
    /// Gone from the store although a snapshot needs it. Prune leaves it for `verify` to name.
    Lost,
}

impl PruneAction {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Unmark => "unmark",
            Self::TooYoung => "too-young",
            Self::Mark => "mark",
            Self::Wait => "wait",
            Self::Delete => "delete",
            Self::Drop => "drop",
            Self::Lost => "lost",
        }
    }
}

/// What prune would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunePlan {
    /// One step a pack, by id.
    pub steps: Vec<PruneStep>,
    /// Whether a new index is written.
    pub rewrites_index: bool,
}

impl PrunePlan {
    /// Returns how many packs an action concerns, and their bytes.
    #[must_use]
    pub fn total(&self, action: PruneAction) -> (u64, u64) {
        let of_action = self.steps.iter().filter(|step| step.action == action);
        of_action.fold((0, 0), |(packs, bytes), step| (packs + 1, bytes + step.bytes))
    }
}

/// Index objects above this many are merged into one.
const MANY_INDEXES: usize = 16;
/// An unindexed pack may belong to a run that has not reached its checkpoint: never younger.
const ORPHAN_AGE: Duration = Duration::from_secs(60 * 60);

/// Decides about every pack.
pub(crate) fn plan(facts: &Facts, options: PruneOptions) -> PrunePlan {
    let steps: Vec<PruneStep> = facts
        .packs
        .iter()
        .map(|(id, pack)| {
            let (action, reason) = decide(facts, options, id, pack);
            let bytes = pack.stored.map_or(0, |(bytes, _)| bytes);
            PruneStep { pack: *id, bytes, action, reason }
        })
        .collect();
    let changes = steps.iter().any(|step| {
        use PruneAction::{Delete, Drop, Mark, Unmark};
        matches!(step.action, Delete | Drop | Mark | Unmark)
    });
    PrunePlan { steps, rewrites_index: changes || facts.indexes > MANY_INDEXES }
}

fn decide(
    facts: &Facts,
    options: PruneOptions,
    id: &PackId,
    pack: &PackFacts,
) -> (PruneAction, String) {
    let needed = facts.needed.contains(id);
    let Some((_, stored_at)) = pack.stored else {
        return if needed {
            (PruneAction::Lost, "a snapshot needs it and the store does not have it".to_owned())
        } else {
            (PruneAction::Drop, "gone from the store and needed by nothing".to_owned())
        };
    };
    let age = age(facts.listed_at, stored_at);
    match pack.indexed {
        Some(Some(_)) if needed => {
            (PruneAction::Unmark, "a snapshot made since the mark needs it".to_owned())
        }
        Some(None) if needed => (PruneAction::Keep, "a snapshot needs it".to_owned()),
        Some(Some(marked_at)) => {
            let since = self::age(facts.now, marked_at);
            if since >= options.grace {
                (PruneAction::Delete, format!("marked {} ago", text(since)))
            } else {
                (
                    PruneAction::Wait,
                    format!("marked {} ago, grace {}", text(since), text(options.grace)),
                )
            }
        }
        Some(None) if age < options.grace => {
            (PruneAction::TooYoung, format!("unreferenced, stored {} ago", text(age)))
        }
        Some(None) => (PruneAction::Mark, "no snapshot needs it".to_owned()),
        None if age >= options.grace.max(ORPHAN_AGE) => {
            (PruneAction::Delete, format!("in no index, stored {} ago", text(age)))
        }
        None => (PruneAction::TooYoung, format!("in no index, stored {} ago", text(age))),
    }
}

/// Returns how long ago `then` was; a time ahead of the store's own clock counts as just now.
fn age(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

fn text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn facts(stored: Option<i64>, indexed: Option<Option<i64>>, needed: bool) -> Facts {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 - seconds).unwrap();
        let id = PackId([1; 16]);
        let pack = PackFacts {
            stored: stored.map(|ago| (100, at(ago))),
            indexed: indexed.map(|marked| marked.map(at)),
        };
        Facts {
            packs: [(id, pack)].into(),
            needed: if needed { [id].into() } else { HashSet::new() },
            indexes: 1,
            listed_at: at(0),
            now: at(0),
        }
    }

    #[test]
    fn every_case_of_one_pack() {
        let day = 24 * HOUR;
        let cases = [
            (Some(99 * day), Some(None), true, PruneAction::Keep),
            (Some(99 * day), Some(Some(99 * day)), true, PruneAction::Unmark),
            (Some(99 * day), Some(None), false, PruneAction::Mark),
            (Some(HOUR), Some(None), false, PruneAction::TooYoung),
            (Some(99 * day), Some(Some(HOUR)), false, PruneAction::Wait),
            (Some(99 * day), Some(Some(day)), false, PruneAction::Delete),
            (Some(99 * day), None, false, PruneAction::Delete),
            (Some(HOUR), None, false, PruneAction::TooYoung),
            (None, Some(None), true, PruneAction::Lost),
            (None, Some(None), false, PruneAction::Drop),
            // The store's clock jumped back: a mark from the future is no old mark.
            (Some(99 * day), Some(Some(-day)), false, PruneAction::Wait),
            (Some(-day), Some(None), false, PruneAction::TooYoung),
        ];
        for (stored, indexed, needed, expected) in cases {
            let plan = plan(&facts(stored, indexed, needed), PruneOptions::default());
            assert_eq!(plan.steps[0].action, expected, "{stored:?} {indexed:?} {needed}");
        }
    }

    #[test]
    fn without_grace_a_young_orphan_is_still_left_alone() {
        let options = PruneOptions { grace: Duration::ZERO };
        assert_eq!(
            plan(&facts(Some(60), None, false), options).steps[0].action,
            PruneAction::TooYoung
        );
        assert_eq!(
            plan(&facts(Some(60), Some(None), false), options).steps[0].action,
            PruneAction::Mark
        );
    }
}
