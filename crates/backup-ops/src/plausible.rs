//! Is today's snapshot believable next to yesterday's?
//!
//! A dump that lost its rows looks like a success to everything but a comparison. What is
//! found here makes a snapshot *suspect*: it is kept, it is said, and retention never trades
//! an older one for it.

use std::collections::BTreeMap;

use backup_core::{
    ByteSize, Evidence, Finding, FindingKind, Snapshot, TableEvidence, TreeEvidence,
};

/// What counts as unbelievable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plausibility {
    /// A table that had at least this many rows and now has none is suspect.
    pub many_rows: u64,
    /// A database that was at least this large is watched for shrinking.
    pub watched_bytes: u64,
    /// Shrinking by more than this part of a hundred is suspect.
    pub shrink_percent: u64,
    /// Whether a person said that the data really did shrink: findings become notes.
    pub accepted: bool,
}

impl Default for Plausibility {
    fn default() -> Self {
        Self { many_rows: 1_000, watched_bytes: 1 << 20, shrink_percent: 90, accepted: false }
    }
}

/// Turns every suspicion among `findings` into a note, because a person said that the data really
/// did shrink. What is no instant stays suspect, whatever anybody says.
pub fn accept(findings: &mut [Finding]) {
    let liftable =
        |finding: &&mut Finding| finding.kind == FindingKind::Suspect && !finding.is_fuzzy();
    for finding in findings.iter_mut().filter(liftable) {
        finding.kind = FindingKind::Note;
        finding.message.push_str(" (accepted by the person who ran the backup)");
    }
}

/// Returns what is unbelievable about `now`, compared with the newest snapshot of the source
/// that was not suspect. No previous snapshot, no findings.
#[must_use]
pub fn compare(previous: Option<&Snapshot>, now: &Evidence, policy: Plausibility) -> Vec<Finding> {
    let Some(previous) = previous else {
        return Vec::new();
    };
    // An engine may have noticed the same.
    let told = |name: &str| {
        let mut said = now.findings.iter().filter(|f| f.kind == FindingKind::Suspect);
        said.any(|finding| finding.message.contains(name))
    };
    let mut findings = Vec::new();
    let before = &previous.evidence;
    if let (Some(was), Some(is)) = (&before.tree, &now.tree) {
        findings.extend(tree(previous, was, is, policy));
        return findings;
    }
    let today = by_name(now);
    if now.tables.is_empty() && !before.tables.is_empty() {
        findings.push(Finding::suspect(format!(
            "No table was copied, but snapshot {} had {}.",
            previous.id.short(),
            before.tables.len()
        )));
        return findings;
    }
    for table in before.tables.iter().filter(|table| table.rows >= policy.many_rows) {
        let name = format!("{}.{}", table.schema, table.name);
        match today.get(&(table.schema.as_str(), table.name.as_str())) {
            Some(found) if found.rows == 0 && !told(&name) => {
                findings.push(Finding::suspect(format!(
                    "Table {name} has no rows, but had {} in snapshot {}.",
                    table.rows,
                    previous.id.short()
                )));
            }
            Some(_) => {}
            None => findings.push(Finding::warning(format!(
                "Table {name} is gone; it had {} rows in snapshot {}.",
                table.rows,
                previous.id.short()
            ))),
        }
    }
    let (was, is) = (bytes(before), bytes(now));
    if was >= policy.watched_bytes && shrunk(was, is, policy.shrink_percent) {
        findings.push(Finding::suspect(format!(
            "The rows take {}, but took {} in snapshot {}: more than {}% less.",
            ByteSize(is),
            ByteSize(was),
            previous.id.short(),
            policy.shrink_percent
        )));
    }
    findings
}

/// A tree that is suddenly empty was not mounted, as a rule; one that lost nearly all of its files
/// may have lost them to an accident.
fn tree(
    previous: &Snapshot,
    was: &TreeEvidence,
    is: &TreeEvidence,
    policy: Plausibility,
) -> Option<Finding> {
    let id = previous.id.short();
    if is.entries() <= 1 && was.entries() > 1 {
        return Some(Finding::suspect(format!(
            "{} is empty, but had {} files in snapshot {id}. Is it mounted?",
            is.root, was.files
        )));
    }
    let files = was.files >= policy.many_rows && shrunk(was.files, is.files, policy.shrink_percent);
    let bytes =
        was.bytes >= policy.watched_bytes && shrunk(was.bytes, is.bytes, policy.shrink_percent);
    (files || bytes).then(|| {
        Finding::suspect(format!(
            "{} shrank from {} files and {} to {} files and {} since snapshot {id}, by more than \
             {} %.",
            is.root,
            was.files,
            ByteSize(was.bytes),
            is.files,
            ByteSize(is.bytes),
            policy.shrink_percent
        ))
    })
}

fn by_name(evidence: &Evidence) -> BTreeMap<(&str, &str), &TableEvidence> {
    evidence.tables.iter().map(|t| ((t.schema.as_str(), t.name.as_str()), t)).collect()
}

fn bytes(evidence: &Evidence) -> u64 {
    evidence.tables.iter().map(|table| table.bytes).sum()
}

/// In u128 so that no size can overflow.
fn shrunk(was: u64, is: u64, percent: u64) -> bool {
    u128::from(is) * 100 < u128::from(was) * u128::from(100_u64.saturating_sub(percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{record, table};

    fn check(before: &[(&str, u64, u64)], now: &[(&str, u64, u64)]) -> Vec<FindingKind> {
        let mut previous = record("aa", "shop", 1, "2026-01-01T00:00:00Z").snapshot;
        previous.evidence.tables = before.iter().map(|(n, r, b)| table(n, *r, *b)).collect();
        let tables = now.iter().map(|(n, r, b)| table(n, *r, *b)).collect();
        let evidence = Evidence { tables, ..Evidence::default() };
        compare(Some(&previous), &evidence, Plausibility::default())
            .into_iter()
            .map(|finding| finding.kind)
            .collect()
    }

    #[test]
    fn what_is_no_instant_stays_suspect_whoever_accepts_it() {
        let mut findings =
            [Finding::suspect("t has no rows"), Finding::fuzzy("read piece by piece")];
        accept(&mut findings);
        assert_eq!(findings[0].kind, FindingKind::Note);
        assert!(findings[1].is_fuzzy() && findings[1].kind == FindingKind::Suspect);
    }

    #[test]
    fn a_tree_that_is_suddenly_empty_or_small_is_suspect() {
        let tree = |files, bytes| {
            let tree = TreeEvidence { files, bytes, directories: 1, ..TreeEvidence::default() };
            Evidence { tree: Some(tree), ..Evidence::default() }
        };
        let check = |before: Evidence, now: Evidence| {
            let mut previous = record("aa", "uploads", 1, "2026-01-01T00:00:00Z").snapshot;
            previous.evidence = before;
            compare(Some(&previous), &now, Plausibility::default()).len()
        };
        let mib = 1 << 20;
        assert_eq!(check(tree(3, 5), tree(0, 0)), 1, "however little there was");
        assert_eq!(check(tree(0, 0), tree(0, 0)), 0);
        assert_eq!(check(tree(5000, 9), tree(400, 9)), 1);
        assert_eq!(check(tree(50, 9), tree(4, 9)), 0, "few files may go");
        assert_eq!(check(tree(50, 20 * mib), tree(50, mib)), 1);
        assert_eq!(check(tree(5000, 20 * mib), tree(4000, 5 * mib)), 0);
    }

    #[test]
    fn lost_rows_and_shrunk_databases_are_suspect() {
        use FindingKind::{Suspect, Warning};
        let mib = 1 << 20;
        assert_eq!(check(&[("a", 1_000, 10)], &[("a", 0, 0)]), [Suspect]);
        assert_eq!(check(&[("a", 999, 10)], &[("a", 0, 0)]), [], "few rows may go");
        assert_eq!(check(&[("a", 1, 1)], &[]), [Suspect], "nothing was copied at all");
        assert_eq!(
            check(&[("a", 5_000, 10), ("b", 1, 1)], &[("b", 1, 1)]),
            [Warning],
            "a dropped table is said, not suspected"
        );
        assert_eq!(check(&[("a", 9, 2 * mib)], &[("a", 5, mib / 10)]), [Suspect]);
        assert_eq!(check(&[("a", 9, 2 * mib)], &[("a", 5, mib)]), []);
        assert_eq!(check(&[("a", 9, 2 * mib)], &[("a", 9, 3 * mib)]), []);
        assert_eq!(check(&[], &[("a", 9, 9)]), []);
    }

    #[test]
    fn acceptance_turns_suspicion_into_a_note() {
        let mut findings = [Finding::suspect("a has no rows"), Finding::warning("foreign data")];
        accept(&mut findings);
        assert_eq!(findings[0].kind, FindingKind::Note);
        assert!(findings[0].message.contains("accepted"));
        assert_eq!(findings[1], Finding::warning("foreign data"));
    }

    #[test]
    fn nothing_is_said_twice_and_the_first_snapshot_is_believed() {
        let mut previous = record("aa", "shop", 1, "2026-01-01T00:00:00Z").snapshot;
        previous.evidence.tables = vec![table("a", 5_000, 10)];
        let mut now = Evidence { tables: vec![table("a", 0, 0)], ..Evidence::default() };
        let policy = Plausibility::default();
        assert_eq!(compare(Some(&previous), &now, policy).len(), 1);
        assert!(compare(None, &now, policy).is_empty());
        now.findings.push(Finding::suspect("public.a has no rows"));
        assert!(compare(Some(&previous), &now, policy).is_empty());
    }
}
