//! Recovery sets as the repository has them: pure.
//!
//! A set is complete when its last member is in and nothing of what that names is gone. Anything
//! else is what is left of one, and counts for nothing but the snapshots it is made of.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use backup_core::{HeadRecord, Listed as _, SetId, SetPlace, SnapshotId, SourceName, VerifyLevel};
use backup_retention::SetFacts;
use jiff::Timestamp;

/// A recovery set: all of it, or what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySet {
    /// Its id.
    pub id: SetId,
    /// The group that it is a set of.
    pub group: SourceName,
    /// Its members in the order in which they were taken, each with its snapshot; at least one has
    /// one.
    pub members: Vec<SetMember>,
}

/// One member of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMember {
    /// Which source.
    pub source: SourceName,
    /// Its snapshot; nothing where it was not taken, or is gone.
    pub record: Option<HeadRecord>,
}

/// What a set is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetState {
    /// All of it is there.
    Complete,
    /// All of it is there, and something of it cannot be trusted.
    Suspect,
    /// Something is missing.
    Incomplete,
}

impl SetState {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Suspect => "suspect",
            Self::Incomplete => "incomplete",
        }
    }
}

impl RecoverySet {
    /// Returns what it is worth.
    #[must_use]
    pub fn state(&self) -> SetState {
        if self.members.iter().any(|member| member.record.is_none()) {
            return SetState::Incomplete;
        }
        if self.records().any(|record| record.snapshot.is_suspect()) {
            return SetState::Suspect;
        }
        SetState::Complete
    }

    /// Returns whether it is what `latest` may mean: complete, and nothing of it suspect.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.state() == SetState::Complete
    }

    /// Returns what there is of it, in order.
    pub fn records(&self) -> impl Iterator<Item = &HeadRecord> {
        self.members.iter().filter_map(|member| member.record.as_ref())
    }

    /// Returns the members that are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<&SourceName> {
        let missing = self.members.iter().filter(|member| member.record.is_none());
        missing.map(|member| &member.source).collect()
    }

    /// Returns the instant that its oldest data is from: when its first member was begun.
    #[must_use]
    pub fn begun_at(&self) -> Timestamp {
        let begun = self.records().map(crate::status::begun_at);
        begun.min().unwrap_or(Timestamp::MIN)
    }

    /// Returns how far all of it is proved: as far as the least proved member.
    #[must_use]
    pub fn level(&self) -> VerifyLevel {
        self.records().map(|record| record.verified.level).min().unwrap_or_default()
    }

    /// What orders the sets of a group: the snapshot that came last.
    fn top(&self) -> Option<&HeadRecord> {
        self.members.iter().rev().find_map(|member| member.record.as_ref())
    }
}

/// Returns every set that something is left of, by group, oldest first.
#[must_use]
pub fn sets(records: &[HeadRecord]) -> Vec<RecoverySet> {
    let by_id: HashMap<SnapshotId, &HeadRecord> =
        records.iter().map(|record| (record.snapshot.id, record)).collect();
    let mut of: BTreeMap<SetId, Vec<(&SetPlace, &HeadRecord)>> = BTreeMap::new();
    for record in records {
        // A place that its source has not is no place.
        let place = record.snapshot.set.as_ref();
        if let Some(place) = place.filter(|place| place.is_of(&record.snapshot.source)) {
            of.entry(place.id).or_default().push((place, record));
        }
    }
    let mut all: Vec<RecoverySet> = of.into_values().filter_map(|own| one(&own, &by_id)).collect();
    all.sort_by(|a, b| a.group.cmp(&b.group).then_with(|| order(a, b)));
    all
}

/// The snapshot that names the most others says what the set is.
fn one(
    own: &[(&SetPlace, &HeadRecord)],
    by_id: &HashMap<SnapshotId, &HeadRecord>,
) -> Option<RecoverySet> {
    let (place, top) =
        own.iter().max_by_key(|(place, record)| (place.position(), record.place()))?;
    let part_of = |record: &&&HeadRecord| {
        record.snapshot.set.as_ref().is_some_and(|other| other.id == place.id)
    };
    let members = place.members.iter().enumerate().map(|(position, source)| {
        let record = match position.cmp(&place.position()) {
            Ordering::Less => {
                let named = place.before.get(position).and_then(|id| by_id.get(id));
                named.filter(part_of).filter(|r| r.snapshot.source == *source).copied()
            }
            Ordering::Equal => Some(*top),
            Ordering::Greater => None,
        };
        SetMember { source: source.clone(), record: record.cloned() }
    });
    Some(RecoverySet { id: place.id, group: place.group.clone(), members: members.collect() })
}

/// Two sets of one group: by what no clock can change where both end with the same source, else by
/// the store's clock.
fn order(a: &RecoverySet, b: &RecoverySet) -> Ordering {
    let (Some(x), Some(y)) = (a.top(), b.top()) else { return Ordering::Equal };
    x.stored_at.cmp(&y.stored_at).then_with(|| a.id.cmp(&b.id))
}

/// Returns the newest set of a group that counts.
#[must_use]
pub fn newest<'a>(sets: &'a [RecoverySet], group: &SourceName) -> Option<&'a RecoverySet> {
    let own = sets.iter().filter(|set| set.group == *group && set.counts());
    newest_of(own.collect())
}

/// Returns the newest set that counts and that has just these members: one of before a member
/// joined, or left, is none of what the group is now.
#[must_use]
pub fn newest_alike<'a>(
    sets: &'a [RecoverySet],
    group: &SourceName,
    members: &[SourceName],
) -> Option<&'a RecoverySet> {
    let alike = |set: &&RecoverySet| {
        set.group == *group
            && set.counts()
            && set.members.iter().map(|member| &member.source).eq(members)
    };
    newest_of(sets.iter().filter(alike).collect())
}

/// Returns the newest of some sets of one group; all of them are complete.
///
/// Among those that end with the same source its sequence decides, which no clock can
/// change; else the store's clock.
#[must_use]
pub fn newest_of(sets: Vec<&RecoverySet>) -> Option<&RecoverySet> {
    let last = |set: &&RecoverySet| set.members.last().map(|member| member.source.clone());
    let alike = sets.windows(2).all(|two| match two {
        [a, b] => last(a) == last(b),
        _ => true,
    });
    let key = |set: &&RecoverySet| {
        let top = set.top();
        let sequence = top.filter(|_| alike).map(|record| record.snapshot.sequence);
        (sequence, top.map(|record| record.stored_at), set.id)
    };
    sets.into_iter().max_by_key(key)
}

/// Returns the sets that retention keeps, or lets go, as wholes.
#[must_use]
pub fn kept_together(records: &[HeadRecord]) -> Vec<SetFacts> {
    let whole = sets(records).into_iter().filter(RecoverySet::counts);
    whole
        .map(|set| SetFacts {
            id: set.id,
            snapshots: set.records().map(|record| record.snapshot.id).collect(),
        })
        .collect()
}

/// Returns the other sources that have complete sets with this one.
#[must_use]
pub fn mates(records: &[HeadRecord], source: &SourceName) -> BTreeSet<SourceName> {
    let with = |set: &RecoverySet| set.members.iter().any(|member| member.source == *source);
    let whole = sets(records).into_iter().filter(|set| set.counts() && with(set));
    let names = whole.flat_map(|set| set.members.into_iter().map(|member| member.source));
    names.filter(|name| name != source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::pick;
    use crate::select::Selector;
    use crate::testing::{heads, record, set_of};
    use backup_core::{ErrorKind, Finding, SetPlace, SnapshotRecord};

    #[test]
    fn the_newest_set_of_other_members_is_not_the_newest_of_these() {
        let mut records: Vec<SnapshotRecord> = set_of(1).to_vec();
        let mut later = record("cc", "avatars", 2, "2026-01-02T00:00:00Z");
        let members = vec![later.snapshot.source.clone()];
        let alone = SetPlace::first(SetId([2; 16]), "all".parse().unwrap(), members);
        later.snapshot.set = Some(alone);
        records.push(later);
        let all = sets(&heads(&records));
        let (group, now) = ("all".parse().unwrap(), ["shop", "uploads"]);
        let now = now.map(|name| name.parse().unwrap());
        assert_eq!(newest(&all, &group).unwrap().id, SetId([2; 16]));
        assert_eq!(newest_alike(&all, &group, &now).unwrap().id, SetId([1; 16]));
        assert!(newest_alike(&all, &group, &now[..1]).is_none());
    }

    fn states(records: &[SnapshotRecord]) -> Vec<&'static str> {
        sets(&heads(records)).iter().map(|set| set.state().as_str()).collect()
    }

    #[test]
    fn a_set_is_complete_when_its_last_member_names_all_that_is_there() {
        let [shop, uploads] = set_of(1);
        assert_eq!(states(&[shop.clone(), uploads.clone()]), ["complete"]);
        assert_eq!(states(&[uploads.clone(), shop.clone()]), ["complete"]);
        assert_eq!(states(std::slice::from_ref(&shop)), ["incomplete"]);
        assert_eq!(states(std::slice::from_ref(&uploads)), ["incomplete"], "the first is gone");
        assert_eq!(states(&[record("cc", "blog", 1, "2026-01-01T00:00:00Z")]), [""; 0]);
        let mut suspect = uploads.clone();
        suspect.snapshot.evidence.findings.push(Finding::suspect("empty"));
        assert_eq!(states(&[shop.clone(), suspect]), ["suspect"]);
        // Another snapshot under the named id's set does not stand in for the named one.
        let mut other = shop.clone();
        other.snapshot.id = "ee".repeat(16).parse().unwrap();
        assert_eq!(states(&[other, uploads.clone()]), ["incomplete"]);
        // A place that is another source's is none.
        let mut foreign = shop;
        foreign.snapshot.source = "blog".parse().unwrap();
        let found = sets(&heads(&[foreign, uploads]));
        assert_eq!(found[0].missing()[0].as_str(), "shop");
    }

    fn picked(records: &[SnapshotRecord], text: &str) -> Result<String, ErrorKind> {
        let (sets, selector) = (sets(&heads(records)), text.parse::<Selector>().unwrap());
        let known = |name: &SourceName| records.iter().any(|r| r.snapshot.source == *name);
        match pick(&sets, &selector, known) {
            Ok(set) => Ok(set.map_or("none".into(), |set| set.id.short())),
            Err(error) => Err(error.kind()),
        }
    }

    #[test]
    fn latest_and_times_mean_complete_sets_and_digits_mean_any() {
        let mut records: Vec<SnapshotRecord> = [set_of(1), set_of(2), set_of(3)].concat();
        let half = records.pop().unwrap();
        let of = |text: &str| picked(&records, text);
        for newest in ["all", "all@latest", "all@2026-01-02", "all@2026-01-09T00:00:00Z"] {
            assert_eq!(of(newest).as_deref(), Ok("02020202"), "{newest}");
        }
        assert_eq!(of("all@2026-01-01").as_deref(), Ok("01010101"));
        assert_eq!(of("all@2026-01-02T00:00:00Z").as_deref(), Ok("02020202"), "to the instant");
        assert_eq!(of("all@2026-01-01T23:59:59Z").as_deref(), Ok("01010101"));
        assert_eq!(of("all@2025-12-31"), Err(ErrorKind::NotFound));
        assert_eq!(of("all@03").as_deref(), Ok("03030303"), "incomplete, but named");
        assert_eq!(of("all@0"), Err(ErrorKind::Usage));
        assert_eq!(of("all@ff"), Err(ErrorKind::NotFound));
        for snapshot in ["latest", "shop@latest", "shop", "a1", "blog@latest", "x y"] {
            assert_eq!(of(snapshot).as_deref(), Ok("none"), "{snapshot}");
        }
        records.push(half);
        assert_eq!(picked(&records, "all").as_deref(), Ok("03030303"));
        // Its sequence says which is the newest, whatever the store's clock said.
        for record in &mut records[4..] {
            record.stored_at = "2020-01-01T00:00:00Z".parse().unwrap();
        }
        assert_eq!(picked(&records, "all").as_deref(), Ok("03030303"));
    }

    #[test]
    fn sources_that_have_sets_together_are_told() {
        let records: Vec<SnapshotRecord> = [set_of(1), set_of(2)].concat();
        let of = |name: &str| mates(&heads(&records), &name.parse().unwrap());
        assert_eq!(of("shop"), BTreeSet::from(["uploads".parse().unwrap()]));
        assert!(of("blog").is_empty());
    }
}
