//! What a person should know about a copy of a bucket.

use backup_core::{Error, Finding};

use crate::backup::Tolerance;
use crate::backup::findings::Named;
use crate::entry::show;

/// What was come across; nothing of it is in the snapshot.
#[derive(Debug, Default)]
pub(super) struct Findings {
    unreadable: Named,
    changing: Named,
    vanished: Named,
    pub(super) excluded: u64,
}

impl Findings {
    pub(super) fn unreadable(&mut self, key: &[u8], error: &Error) {
        self.unreadable.add(|| format!("{} ({error})", show(key)));
    }

    pub(super) fn changing(&mut self, key: &[u8]) {
        self.changing.add(|| show(key));
    }

    pub(super) fn vanished(&mut self, key: &[u8]) {
        self.vanished.add(|| show(key));
    }

    /// Returns how many objects could not be read.
    pub(super) fn missing(&self) -> u64 {
        self.unreadable.count + self.changing.count
    }

    /// Returns what there is to say, the worst first.
    pub(super) fn tell(&self, tolerance: Tolerance) -> Vec<Finding> {
        let doubt = |text: String, tolerated: bool| match tolerated {
            true => Finding::warning(text),
            false => Finding::suspect(text),
        };
        let mut all = Vec::new();
        let count = self.unreadable.count;
        let text = format!("{count} objects could not be read and are not in the snapshot");
        all.extend(self.unreadable.tell(&text).map(|text| doubt(text, tolerance.unreadable)));
        let count = self.changing.count;
        let text = format!("{count} objects changed each time they were read and are not in it");
        all.extend(self.changing.tell(&text).map(|text| doubt(text, tolerance.changing)));
        let text = format!("{} went while the bucket was read", self.vanished.count);
        all.extend(self.vanished.tell(&text).map(Finding::note));
        if self.excluded > 0 {
            all.push(Finding::note(format!("{} left out by patterns.", self.excluded)));
        }
        all
    }
}
