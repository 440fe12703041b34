//! From the audit record to what a report says of it.

use std::collections::BTreeMap;

use super::model::{ActLine, AuditFacts, Period, ReadLine};
use crate::audit::{Entry, Outcome, verify};

/// Checks a whole record, entry by entry, and keeps what belongs to the period. Fed in pages, in
/// order.
#[derive(Debug)]
pub struct AuditReader {
    period: Period,
    facts: AuditFacts,
    newest: Option<Entry>,
    reads: BTreeMap<(String, String), u64>,
}

impl AuditReader {
    /// Begins before the first entry.
    #[must_use]
    pub fn new(period: Period) -> Self {
        let facts = AuditFacts {
            entries: 0,
            in_period: 0,
            head: "none".into(),
            broken: None,
            acts: Vec::new(),
            reads: Vec::new(),
        };
        Self { period, facts, newest: None, reads: BTreeMap::new() }
    }

    /// Takes the next entries. After a break nothing more is believed.
    pub fn take(&mut self, entries: &[Entry]) {
        if self.facts.broken.is_some() {
            return;
        }
        let good = match verify(self.newest.as_ref(), entries) {
            Ok(_) => entries,
            Err(broken) => {
                self.facts.broken = Some(broken.to_string());
                let until = broken.good_until();
                let end = entries.iter().position(|entry| entry.sequence > until);
                entries.get(..end.unwrap_or(entries.len())).unwrap_or_default()
            }
        };
        for entry in good {
            self.facts.entries += 1;
            self.facts.head.clone_from(&entry.hash);
            if self.period.from <= entry.at && entry.at < self.period.to {
                self.note(entry);
            }
        }
        self.newest = good.last().cloned().or(self.newest.take());
    }

    /// An entry cannot be read at all.
    pub fn unreadable(&mut self, sequence: u64) {
        self.facts.broken.get_or_insert_with(|| format!("entry {sequence} cannot be read"));
    }

    /// Returns what is to be said.
    #[must_use]
    pub fn finish(mut self) -> AuditFacts {
        self.facts.reads = self
            .reads
            .into_iter()
            .map(|((actor, action), times)| ReadLine { actor, action, times })
            .collect();
        self.facts
    }

    fn note(&mut self, entry: &Entry) {
        self.facts.in_period += 1;
        if entry.is_read() && entry.outcome == Outcome::Allowed {
            *self.reads.entry((entry.actor.clone(), entry.action.clone())).or_default() += 1;
            return;
        }
        self.facts.acts.push(ActLine {
            at: entry.at,
            actor: entry.actor.clone(),
            remote: entry.remote.clone(),
            action: entry.action.clone(),
            object: entry.object.clone(),
            outcome: entry.outcome.as_str().into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Act, Chain};

    fn entries() -> Vec<Entry> {
        let mut chain = Chain::empty();
        let acts = [
            ("2025-12-31T23:00:00Z", "token a", "trigger", Outcome::Allowed),
            ("2026-01-01T00:00:00Z", "token a", "list_runs", Outcome::Allowed),
            ("2026-01-02T00:00:00Z", "token a", "list_runs", Outcome::Allowed),
            ("2026-01-03T00:00:00Z", "nobody", "list_runs", Outcome::Denied),
            ("2026-01-04T00:00:00Z", "token b", "page_start", Outcome::Allowed),
            ("2026-02-01T00:00:00Z", "token b", "cancel", Outcome::Allowed),
        ];
        acts.into_iter()
            .map(|(at, actor, action, outcome)| {
                chain.append(Act {
                    at: at.parse().unwrap(),
                    actor: actor.into(),
                    remote: "192.0.2.1".into(),
                    action: action.into(),
                    object: "shop".into(),
                    outcome,
                })
            })
            .collect()
    }

    fn read(pages: &[&[Entry]]) -> AuditFacts {
        let at = |text: &str| text.parse().unwrap();
        let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        let mut reader = AuditReader::new(Period { from, to });
        pages.iter().for_each(|page| reader.take(page));
        reader.finish()
    }

    #[test]
    fn what_was_done_is_told_one_by_one_and_what_was_read_is_counted() {
        let all = entries();
        let facts = read(&[&all[..2], &all[2..]]);
        assert_eq!((facts.entries, facts.in_period, &facts.broken), (6, 4, &None));
        assert_eq!(facts.head, all[5].hash);
        let acts: Vec<_> =
            facts.acts.iter().map(|act| (act.actor.as_str(), act.outcome.as_str())).collect();
        assert_eq!(acts, [("nobody", "denied"), ("token b", "allowed")]);
        assert_eq!(facts.reads.len(), 1);
        assert_eq!(facts.reads[0].times, 2);
        assert_eq!(read(&[&all]), facts, "pages do not matter");
    }

    #[test]
    fn nothing_is_believed_after_a_break() {
        let mut all = entries();
        all[3].actor = "token a".into();
        let facts = read(&[&all[..2], &all[2..]]);
        assert_eq!(facts.broken.as_deref(), Some("entry 4 was changed"));
        assert_eq!((facts.entries, facts.head == all[2].hash, facts.acts.len()), (3, true, 0));
    }
}
