//! Recovery sets: snapshots of several sources that are taken, kept and restored together.

use serde::{Deserialize, Serialize};

use crate::{SetId, SnapshotId, SourceName};

/// Where a snapshot stands in a recovery set. The last member's names all others, so that its
/// manifest is the commit of the whole set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPlace {
    /// Which set.
    pub id: SetId,
    /// The group that it is a set of.
    pub group: SourceName,
    /// The group's members in the order in which they are taken, as it was when the set began.
    pub members: Vec<SourceName>,
    /// The set's snapshots before this one, in that order: one for each member before.
    pub before: Vec<SnapshotId>,
}

impl SetPlace {
    /// Returns the place of the first member of a new set.
    #[must_use]
    pub fn first(id: SetId, group: SourceName, members: Vec<SourceName>) -> Self {
        Self { id, group, members, before: Vec::new() }
    }

    /// Returns the place after this one, whose snapshot is `taken`; nothing after the last.
    #[must_use]
    pub fn next(&self, taken: SnapshotId) -> Option<Self> {
        if self.is_last() {
            return None;
        }
        let mut next = self.clone();
        next.before.push(taken);
        Some(next)
    }

    /// Returns which member this is, from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.before.len()
    }

    /// Returns whether the set is whole with this one.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.before.len() + 1 >= self.members.len()
    }

    /// Returns whether it can be the place of a snapshot of `source`.
    #[must_use]
    pub fn is_of(&self, source: &SourceName) -> bool {
        self.members.get(self.position()) == Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_to_the_last() {
        let name = |text: &str| text.parse::<SourceName>().unwrap();
        let members = vec![name("shop"), name("uploads")];
        let first = SetPlace::first(SetId([1; 16]), name("all"), members);
        assert!(first.is_of(&name("shop")) && !first.is_last());
        let last = first.next(SnapshotId([2; 16])).unwrap();
        assert!(last.is_of(&name("uploads")) && !last.is_of(&name("shop")));
        assert!(last.is_last() && last.position() == 1);
        assert_eq!(last.next(SnapshotId([3; 16])), None);
    }
}
