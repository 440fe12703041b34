//! What an operating system's refusal means, and what to do about it.

use std::io::{self, ErrorKind as Io};
use std::path::Path;

use backup_core::{Error, ErrorKind};

/// Turns a failure on `path` into an error with its remedy; never `NotFound`.
pub(super) fn unavailable(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let kind = error.kind();
    let wrapped = Error::new(ErrorKind::StoreUnavailable, operation).with("path", path.display());
    let wrapped = match remedy(kind, path) {
        Some(remedy) => wrapped.hint(remedy),
        None => wrapped,
    };
    let wrapped = wrapped.because(error);
    if may_pass(kind) { wrapped.temporary() } else { wrapped }
}

/// Says that nothing is stored under a name.
pub(super) fn absent(operation: &'static str, root: &Path, path: &Path) -> Error {
    let error = Error::new(ErrorKind::NotFound, operation).with("path", path.display());
    if root.is_dir() {
        return error;
    }
    error.hint(format!(
        "The directory {} does not exist. If it is on a mounted volume, check that the volume is \
         mounted; otherwise check the path.",
        root.display()
    ))
}

/// Returns whether the failure is the confirmed absence of a file: no entry, or a path that
/// leads through a file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), Io::NotFound | Io::NotADirectory)
}

fn may_pass(kind: Io) -> bool {
    // What a network filesystem says while its server is away.
    matches!(
        kind,
        Io::Interrupted
            | Io::TimedOut
            | Io::WouldBlock
            | Io::StaleNetworkFileHandle
            | Io::ResourceBusy
            | Io::HostUnreachable
            | Io::NetworkDown
            | Io::NetworkUnreachable
    )
}

fn remedy(kind: Io, path: &Path) -> Option<String> {
    let path = path.display();
    Some(match kind {
        Io::StorageFull => format!(
            "Free space on the filesystem that holds {path}, or let `prune` remove snapshots that \
             retention no longer needs."
        ),
        Io::QuotaExceeded => {
            format!("Raise the disk quota of this user on the filesystem that holds {path}.")
        }
        Io::ReadOnlyFilesystem => format!(
            "The filesystem that holds {path} is mounted read-only; remount it writable, or look in \
             the kernel log for disk errors that made it so."
        ),
        Io::PermissionDenied => format!(
            "Give the user that runs this command read, write and search permission on {path} and \
             the directories above it."
        ),
        Io::NotADirectory => {
            format!("A file is in the way of {path}; choose another directory.")
        }
        Io::CrossesDevices => format!(
            "{path} is on another filesystem than the root of the repository; keep the whole \
             repository on one."
        ),
        Io::StaleNetworkFileHandle => {
            format!("Mount the network filesystem that holds {path} again.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_name_the_path() {
        let path = Path::new("/mnt/backups/x");
        for (number, words, temporary) in [
            (28, "Free space", false),
            (30, "read-only", false),
            (13, "permission", false),
            (122, "quota", false),
            (116, "Mount", true),
        ] {
            let error = unavailable("write object", path, io::Error::from_raw_os_error(number));
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            let remedy = error.remedy().unwrap();
            assert!(remedy.contains(words) && remedy.contains("/mnt/backups/x"), "{remedy}");
            assert_eq!(error.status() == backup_core::ErrorStatus::Temporary, temporary);
        }
    }
}
