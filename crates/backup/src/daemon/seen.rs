//! By what a file is known again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// A file as one program sees it, for another one to compare: under the same path another file may
/// lie there (another container, another mount namespace).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSeen {
    /// The device it lies on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
    /// Its length.
    pub bytes: u64,
    /// When it was last written to, in seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl FileSeen {
    /// Reads it from what the system says of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// By what a file that was written again is told from the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) file: FileSeen,
    status_changed: (i64, i64),
}

impl Seen {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            file: FileSeen::of(metadata),
            status_changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_again_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let seen = || Seen::of(&std::fs::metadata(&path).unwrap());
        std::fs::write(&path, "one").unwrap();
        let first = seen();
        assert_eq!(first, seen());
        std::fs::write(&path, "more").unwrap();
        assert_ne!(first, seen());
        // The same length under the same name: what was there before is still open elsewhere.
        let kept = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Seen::of(&kept.metadata().unwrap());
        std::fs::write(&path, "less").unwrap();
        assert_ne!(second, seen());
    }

    #[test]
    fn two_programs_know_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for path in [&one, &other] {
            std::fs::write(path, "the same bytes").unwrap();
        }
        let of = |path: &std::path::Path| FileSeen::of(&std::fs::metadata(path).unwrap());
        let sent: FileSeen =
            serde_json::from_str(&serde_json::to_string(&of(&one)).unwrap()).unwrap();
        assert_eq!(sent, of(&one));
        assert_ne!(sent, of(&other));
        std::fs::File::open(&one).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_ne!(sent, of(&one));
    }
}
