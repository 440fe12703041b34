//! What a person should know about a copy of a tree.

use std::io;

use backup_core::Finding;

use crate::entry::show;

/// How many paths are named.
const NAMED: usize = 8;
/// So many may go while a tree is read, or one of so many entries.
const VANISHED: u64 = 100;
const VANISHED_OF: u64 = 100;

/// What does not make a snapshot suspect, because its owner said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// Files and directories that cannot be read.
    pub unreadable: bool,
    /// Files that change while they are read, or go.
    pub changing: bool,
}

/// What was come across.
#[derive(Debug, Default)]
pub(super) struct Findings {
    unreadable: Named,
    torn: Named,
    vanished: Named,
    marked: Named,
    mounted: Named,
    excluded: u64,
    sockets: u64,
}

/// Paths, the first few by name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) count: u64,
    first: Vec<String>,
}

impl Named {
    pub(crate) fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(text());
        }
    }

    pub(crate) fn tell(&self, what: &str) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let more = self.count - self.first.len() as u64;
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        Some(format!("{what}: {}{more}.", self.first.join(", ")))
    }
}

impl Findings {
    pub(super) fn unreadable(&mut self, path: &[u8], error: &io::Error) {
        self.unreadable.add(|| format!("{} ({error})", show(path)));
    }

    pub(super) fn torn(&mut self, path: &[u8]) {
        self.torn.add(|| show(path));
    }

    pub(super) fn vanished(&mut self, path: &[u8]) {
        self.vanished.add(|| show(path));
    }

    pub(super) fn marked(&mut self, path: &[u8]) {
        self.marked.add(|| show(path));
    }

    pub(super) fn mounted(&mut self, path: &[u8]) {
        self.mounted.add(|| show(path));
    }

    pub(super) fn excluded(&mut self) {
        self.excluded += 1;
    }

    pub(super) fn socket(&mut self) {
        self.sockets += 1;
    }

    /// Returns what there is to say of a copy of so many entries, the worst first.
    pub(super) fn tell(&self, tolerance: Tolerance, entries: u64) -> Vec<Finding> {
        let doubt = |text: String, tolerated: bool| match tolerated {
            true => Finding::warning(text),
            false => Finding::suspect(text),
        };
        let mut all = Vec::new();
        if let Some(text) = self.unreadable.tell(&format!(
            "{} could not be read and are not in the snapshot",
            self.unreadable.count
        )) {
            all.push(doubt(text, tolerance.unreadable));
        }
        if let Some(text) = self.torn.tell(&format!(
            "{} changed each time they were read, and may never have looked like their copy",
            self.torn.count
        )) {
            all.push(doubt(text, tolerance.changing));
        }
        let vanished = self.vanished.count;
        let most = VANISHED.max((entries + vanished) / VANISHED_OF);
        if let Some(text) = self.vanished.tell(&format!("{vanished} went while the tree was read"))
        {
            all.push(match vanished > most {
                true => doubt(text, tolerance.changing),
                false => Finding::note(text),
            });
        }
        let notes = [
            self.marked.tell(&format!("{} left out by a marker", self.marked.count)),
            self.mounted.tell(&format!(
                "{} on another file system, left out with what they hold",
                self.mounted.count
            )),
            (self.excluded > 0).then(|| format!("{} left out by patterns.", self.excluded)),
            (self.sockets > 0).then(|| format!("{} sockets left out.", self.sockets)),
        ];
        all.extend(notes.into_iter().flatten().map(Finding::note));
        all
    }
}

#[cfg(test)]
mod tests {
    use backup_core::FindingKind;

    use super::*;

    #[test]
    fn what_is_missing_makes_a_snapshot_suspect_unless_tolerated() {
        let mut findings = Findings::default();
        assert!(findings.tell(Tolerance::default(), 0).is_empty());
        for n in 0..10 {
            findings.unreadable(format!("f{n}").as_bytes(), &io::Error::other("no"));
        }
        findings.torn(b"log");
        findings.socket();
        let kinds = |tolerance| -> Vec<FindingKind> {
            findings.tell(tolerance, 1000).into_iter().map(|finding| finding.kind).collect()
        };
        use FindingKind::{Note, Suspect, Warning};
        assert_eq!(kinds(Tolerance::default()), [Suspect, Suspect, Note]);
        let unreadable = Tolerance { unreadable: true, changing: false };
        assert_eq!(kinds(unreadable), [Warning, Suspect, Note]);
        let told = &findings.tell(unreadable, 1000)[0].message;
        assert!(
            told.starts_with("10 could not") && told.ends_with("f7 (no) and 2 more."),
            "{told}"
        );
    }

    #[test]
    fn a_tree_that_went_from_under_the_reader_is_suspect() {
        let kind = |vanished, entries, changing| {
            let mut findings = Findings::default();
            (0..vanished).for_each(|_| findings.vanished(b"f"));
            findings.tell(Tolerance { unreadable: false, changing }, entries)[0].kind
        };
        use FindingKind::{Note, Suspect, Warning};
        assert_eq!(kind(100, 0, false), Note, "few");
        assert_eq!(kind(101, 9_000, false), Suspect, "more than one of a hundred");
        assert_eq!(kind(101, 9_000, true), Warning);
        assert_eq!(kind(101, 10_000, false), Note, "few of many");
    }
}
