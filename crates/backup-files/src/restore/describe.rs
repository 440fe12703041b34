//! Gives what was written its owners, attributes, mode and times.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering;

use backup_core::{Error, ErrorKind, Result};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, Timespec, Timestamps, Uid, chmodat,
    chownat, fchmod, fchown, fstat, futimens, openat, removexattr, utimensat,
};
use rustix::io::Errno;

use super::place::RESTORE;
use super::write::{Place, kind};
use crate::attributes;
use crate::entry::{Entry, Kind, Moment, show};

/// An access control list that was inherited from the directory around.
const LIST: &[u8] = b"system.posix_acl_access";

impl Place {
    /// Gives an open file or directory its owners, attributes, mode and times, in this order:
    /// each takes away what the one before set.
    pub(super) fn describe(&self, fd: impl AsFd, entry: &Entry) -> Result<()> {
        let fd = fd.as_fd();
        let path = &entry.path;
        let mut mode = entry.mode;
        if !self.owner(|owner, group| fchown(fd, owner, group), entry)? {
            mode &= 0o1777;
        }
        // What is new may have inherited some.
        let refused = attributes::write(fd, &entry.attributes)
            .map_err(|error| self.lost("set attributes", path, error))?;
        self.refused(refused);
        fchmod(fd, Mode::from_raw_mode(mode as RawMode))
            .map_err(|error| self.failed("set mode", path, error))?;
        futimens(fd, &times(entry.modified)).map_err(|error| self.failed("set times", path, error))
    }

    /// As `describe`, for what cannot be opened: a link, a pipe or a device. `Conflict` where
    /// something else took its place.
    pub(super) fn describe_name(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<()> {
        let path = &entry.path;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(parent, name, flags, Mode::empty())
            .map_err(|error| self.failed("look at entry", path, error))?;
        let stat = fstat(&fd).map_err(|error| self.failed("look at entry", path, error))?;
        if kind(&stat) != file_type(&entry.kind) {
            return Err(Error::new(ErrorKind::Conflict, RESTORE)
                .with("path", self.shown(path).display())
                .because("something else took its place while it was restored")
                .hint(
                    "See that nothing else writes there, and run the same restore with --delta.",
                ));
        }
        let set =
            self.owner(|owner, group| chownat(&fd, c"", owner, group, AtFlags::EMPTY_PATH), entry)?;
        let times = times(entry.modified);
        if matches!(entry.kind, Kind::Link(_)) {
            return utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.failed("set times", path, error));
        }
        // By this name the system finds what is open, whatever the other names by now.
        let open = format!("/proc/self/fd/{}", fd.as_raw_fd());
        match removexattr(open.as_str(), LIST) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(_) => self.refused(vec![show(LIST)]),
        }
        let mode = if set { entry.mode } else { entry.mode & 0o1777 };
        chmodat(CWD, open.as_str(), Mode::from_raw_mode(mode as RawMode), AtFlags::empty())
            .map_err(|error| self.failed("set mode", path, error))?;
        utimensat(CWD, open.as_str(), &times, AtFlags::empty())
            .map_err(|error| self.failed("set times", path, error))
    }

    /// Returns whether the owners are what they should be.
    fn owner(
        &self,
        set: impl FnOnce(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
        entry: &Entry,
    ) -> Result<bool> {
        if self.no_owner {
            return Ok(false);
        }
        match set(Some(Uid::from_raw(entry.owner)), Some(Gid::from_raw(entry.group))) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::ACCESS | Errno::INVAL) => {
                self.tally.owners.fetch_add(1, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(self.failed("set owner", &entry.path, error)),
        }
    }

    fn refused(&self, names: Vec<String>) {
        self.tally.attributes.fetch_add(names.len() as u64, Ordering::Relaxed);
        if let Ok(mut refused) = self.tally.refused.lock() {
            for name in names {
                if refused.len() < 8 && !refused.contains(&name) {
                    refused.push(name);
                }
            }
        }
    }
}

fn times(modified: Moment) -> Timestamps {
    let time = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn file_type(kind: &Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File(_) => FileType::RegularFile,
        Kind::Link(_) => FileType::Symlink,
        Kind::Pipe => FileType::Fifo,
        Kind::Character(..) => FileType::CharacterDevice,
        Kind::Block(..) => FileType::BlockDevice,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::beneath::open_root;

    #[test]
    fn the_mode_of_a_pipe_never_reaches_what_a_link_in_its_place_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "x").unwrap();
        std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&victim, folder.path().join("pipe")).unwrap();
        let root = open_root(folder.path()).unwrap();
        let place = Place {
            root: std::sync::Arc::clone(&root),
            shown: folder.path().to_owned(),
            device: fstat(&root).unwrap().st_dev,
            delta: false,
            names: <_>::default(),
            delete: false,
            no_owner: false,
            tally: <_>::default(),
        };
        let entry = |kind, mode| Entry {
            path: b"pipe".to_vec(),
            kind,
            mode,
            owner: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
            modified: Moment::default(),
            changed: Moment::default(),
            inode: 1,
            unsettled: false,
            attributes: Vec::new(),
        };
        let error = place.describe_name(root.as_fd(), b"pipe", &entry(Kind::Pipe, 0o777));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
        let link = Kind::Link(b"victim".to_vec());
        place.describe_name(root.as_fd(), b"pipe", &entry(link, 0o777)).unwrap();
        let there = std::fs::metadata(&victim).unwrap();
        assert_eq!(there.permissions().mode() & 0o7777, 0o600);
        assert!(there.modified().unwrap() > std::time::UNIX_EPOCH);
    }
}
