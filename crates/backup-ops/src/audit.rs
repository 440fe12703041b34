//! The record of who asked for what, as a chain: each entry holds the hash of the one before.
//!
//! Pure: [`Chain`] makes entries, [`verify`] checks them; keeping them is the work of whoever
//! serves. A changed, removed, inserted or reordered entry breaks
//! the chain at that place. Entries cut off at the end cannot be missed by the chain itself:
//! compare the newest hash with one that was written down elsewhere.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash before the first entry.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What happened, before it is chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who: `token NAME`, `local`, `daemon`, or `nobody`.
    pub actor: String,
    /// From which address.
    pub remote: String,
    /// What was asked for: the operation's id, such as `trigger` or `list_snapshots`.
    pub action: String,
    /// Of what.
    pub object: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was permitted. For changes this is written before they are carried out.
    Allowed,
    /// It was refused for lack of permission.
    Denied,
    /// It was permitted and did not work.
    Failed,
}

impl Outcome {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// From 1, without holes.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who: `token NAME`, `local`, `daemon`, or `nobody`.
    pub actor: String,
    /// From which address.
    pub remote: String,
    /// What was asked for.
    pub action: String,
    /// Of what.
    pub object: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The hash of the entry before; zeros for the first.
    pub previous: String,
    /// SHA-256 of everything above.
    pub hash: String,
}

impl Entry {
    /// Returns whether it only looked at something, going by what the operations are called.
    #[must_use]
    pub fn is_read(&self) -> bool {
        const PLAIN: [&str; 4] = ["me", "events", "check_audit", "preview_restore"];
        const CHANGES: [&str; 2] = ["page_start", "page_cancel"];
        let action = self.action.as_str();
        let named = ["list_", "show_", "page_"].iter().any(|prefix| action.starts_with(prefix));
        (named || PLAIN.contains(&action)) && !CHANGES.contains(&action)
    }

    fn computed(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"backup audit entry v1");
        hasher.update(self.sequence.to_be_bytes());
        let at = self.at.to_string();
        let fields = [
            at.as_str(),
            &self.actor,
            &self.remote,
            &self.action,
            &self.object,
            self.outcome.as_str(),
            &self.previous,
        ];
        // Lengths in front, so that no two lists of fields hash alike.
        for field in fields {
            hasher.update((field.len() as u64).to_be_bytes());
            hasher.update(field.as_bytes());
        }
        HEXLOWER.encode(&hasher.finalize())
    }
}

/// The growing end of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    sequence: u64,
    hash: String,
}

impl Chain {
    /// Returns the chain before its first entry.
    #[must_use]
    pub fn empty() -> Self {
        Self { sequence: 0, hash: GENESIS.into() }
    }

    /// Returns the chain that ends in `newest`.
    #[must_use]
    pub fn after(newest: Option<&Entry>) -> Self {
        newest.map_or_else(Self::empty, |entry| Self {
            sequence: entry.sequence,
            hash: entry.hash.clone(),
        })
    }

    /// Makes the next entry and moves the end to it.
    pub fn append(&mut self, act: Act) -> Entry {
        let mut entry = Entry {
            sequence: self.sequence + 1,
            at: act.at,
            actor: act.actor,
            remote: act.remote,
            action: act.action,
            object: act.object,
            outcome: act.outcome,
            previous: self.hash.clone(),
            hash: String::new(),
        };
        entry.hash = entry.computed();
        self.sequence = entry.sequence;
        self.hash.clone_from(&entry.hash);
        entry
    }
}

/// Where and how a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// An entry's content does not match its hash.
    Changed {
        /// Its sequence.
        sequence: u64,
    },
    /// Entries are missing, doubled or out of order.
    Missing {
        /// The sequence that should have come.
        expected: u64,
        /// The one that did.
        found: u64,
    },
    /// An entry does not follow from the one before it.
    Unlinked {
        /// Its sequence.
        sequence: u64,
    },
}

impl Break {
    /// Returns the sequence of the last entry before the break.
    #[must_use]
    pub fn good_until(&self) -> u64 {
        match self {
            Self::Changed { sequence } | Self::Unlinked { sequence } => sequence.saturating_sub(1),
            Self::Missing { expected, .. } => expected.saturating_sub(1),
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { sequence } => write!(f, "entry {sequence} was changed"),
            Self::Missing { expected, found } => {
                write!(f, "entry {expected} is missing; {found} stands in its place")
            }
            Self::Unlinked { sequence } => {
                write!(f, "entry {sequence} does not follow from the one before it")
            }
        }
    }
}

impl std::error::Error for Break {}

/// Checks `entries`, which follow `before` (nothing: they are the first); returns the newest.
pub fn verify<'a>(
    before: Option<&'a Entry>,
    entries: &'a [Entry],
) -> Result<Option<&'a Entry>, Break> {
    let mut end = Chain::after(before);
    for entry in entries {
        if entry.sequence != end.sequence + 1 {
            return Err(Break::Missing { expected: end.sequence + 1, found: entry.sequence });
        }
        if entry.computed() != entry.hash {
            return Err(Break::Changed { sequence: entry.sequence });
        }
        if entry.previous != end.hash {
            return Err(Break::Unlinked { sequence: entry.sequence });
        }
        end = Chain::after(Some(entry));
    }
    Ok(entries.last().or(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(object: &str) -> Act {
        Act {
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            actor: "token nightly".into(),
            remote: "127.0.0.1".into(),
            action: "trigger".into(),
            object: object.into(),
            outcome: Outcome::Allowed,
        }
    }

    fn chain(length: usize) -> Vec<Entry> {
        let mut chain = Chain::empty();
        (0..length).map(|number| chain.append(act(&format!("source{number}")))).collect()
    }

    #[test]
    fn an_untouched_chain_holds_in_one_piece_and_in_pages() {
        let entries = chain(10);
        assert_eq!(verify(None, &entries).unwrap().unwrap().sequence, 10);
        let middle = verify(None, &entries[..4]).unwrap();
        assert_eq!(verify(middle, &entries[4..]).unwrap(), entries.last());
        assert_eq!(verify(None, &[]).unwrap(), None);
    }

    #[test]
    fn every_change_of_every_field_is_found() {
        let changes: [fn(&mut Entry); 8] = [
            |e| e.at = "2026-01-01T00:00:01Z".parse().unwrap(),
            |e| e.actor.push('x'),
            |e| e.remote.push('x'),
            |e| e.action.push('x'),
            |e| e.object.push('x'),
            |e| e.outcome = Outcome::Denied,
            |e| e.previous = GENESIS.into(),
            |e| e.hash = GENESIS.into(),
        ];
        for change in changes {
            for place in 1..5 {
                let mut entries = chain(5);
                change(&mut entries[place]);
                assert!(verify(None, &entries).is_err(), "{:?}", entries[place]);
            }
        }
    }

    #[test]
    fn text_cannot_move_from_one_field_to_the_next() {
        let mut entries = chain(1);
        entries[0].action = "triggers".into();
        entries[0].object = entries[0].object[1..].into();
        assert_eq!(verify(None, &entries), Err(Break::Changed { sequence: 1 }));
    }

    #[test]
    fn removed_swapped_and_forged_entries_are_found() {
        let whole = chain(6);
        for place in 0..5 {
            let mut entries = whole.clone();
            entries.remove(place);
            let sequence = place as u64 + 1;
            assert_eq!(
                verify(None, &entries),
                Err(Break::Missing { expected: sequence, found: sequence + 1 })
            );
            let mut entries = whole.clone();
            entries.swap(place, place + 1);
            assert!(verify(None, &entries).is_err());
        }
        // One who can compute hashes replaces an entry: the next one gives it away.
        let mut entries = whole.clone();
        entries[2] = Chain::after(Some(&entries[1])).append(act("forged"));
        assert_eq!(verify(None, &entries), Err(Break::Unlinked { sequence: 4 }));
    }
}
