//! Keys that went, fell behind, or are too few.

use backup_core::Severity;
use backup_crypto::Role;
use backup_repository::KeyStanding;

use super::{Concern, Condition};

/// What is known of a repository's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// Keys that can read.
    pub owners: u64,
    /// Records that the repository's root did not sign, or that are damaged.
    pub untrusted: u64,
    /// Labels of keys that do not hold the newest epoch.
    pub behind: Vec<String>,
    /// Whether the key that this program opened with is still there; absent when it does not
    /// know which that was.
    pub opened_with_listed: Option<bool>,
    /// Whether this program holds the newest epoch.
    pub current: bool,
}

impl From<&KeyStanding> for KeyFacts {
    fn from(standing: &KeyStanding) -> Self {
        let records = &standing.records;
        let newest = records.iter().map(|record| record.epoch).max().unwrap_or_default();
        let named = |id| records.iter().any(|record| record.id == id);
        Self {
            owners: records.iter().filter(|record| record.role == Role::Owner).count() as u64,
            untrusted: standing.untrusted,
            behind: records
                .iter()
                .filter(|record| record.epoch < newest)
                .map(|record| record.label.clone())
                .collect(),
            opened_with_listed: standing.opened_with.map(named),
            current: standing.epoch >= newest,
        }
    }
}

impl KeyFacts {
    /// Returns what is worth looking at.
    pub(super) fn judge(&self) -> Vec<Condition> {
        let mut conditions = Vec::new();
        if self.opened_with_listed == Some(false) {
            conditions.push(Condition::new(
                Concern::KeyRemoved,
                Severity::Critical,
                "The key that this program opened the repository with was removed: it opens it no \
                 more once it is started again; give it another.",
            ));
        }
        if !self.current {
            conditions.push(Condition::warning(
                Concern::KeyRotated,
                "Keys were rotated since this program opened the repository, and it writes under \
                 the old ones; start it again.",
            ));
        }
        if !self.behind.is_empty() {
            conditions.push(Condition::warning(
                Concern::KeyBehind,
                format!(
                    "Not every key opens what is written now: {} missed a rotation; open the \
                     repository with another key and run `backupctl key rotate --data`.",
                    self.behind.join(", ")
                ),
            ));
        }
        if self.untrusted > 0 {
            conditions.push(Condition::warning(
                Concern::KeyForged,
                format!(
                    "Of the key records {} are damaged or not of this repository; find out who \
                     writes to its store.",
                    self.untrusted
                ),
            ));
        }
        if self.owners == 1 {
            conditions.push(Condition::new(
                Concern::KeySingle,
                Severity::Info,
                "One key is all that opens the repository; without it everything is lost. \
                 `backupctl key sheet` makes another, to be kept elsewhere.",
            ));
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_name() {
        let good = KeyFacts {
            owners: 2,
            opened_with_listed: Some(true),
            current: true,
            ..KeyFacts::default()
        };
        let concerns = |facts: KeyFacts| {
            facts.judge().into_iter().map(|condition| condition.concern).collect::<Vec<_>>()
        };
        assert_eq!(concerns(good.clone()), []);
        assert_eq!(concerns(KeyFacts { opened_with_listed: None, ..good.clone() }), []);
        assert_eq!(concerns(KeyFacts { owners: 1, ..good.clone() }), [Concern::KeySingle]);
        assert_eq!(concerns(KeyFacts { untrusted: 1, ..good.clone() }), [Concern::KeyForged]);
        assert_eq!(
            concerns(KeyFacts { opened_with_listed: Some(false), current: false, ..good.clone() }),
            [Concern::KeyRemoved, Concern::KeyRotated]
        );
        let behind = KeyFacts { behind: vec!["sheet".into()], ..good };
        assert!(behind.judge()[0].detail.contains("sheet"));
    }
}
