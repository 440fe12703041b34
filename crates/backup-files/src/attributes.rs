//! Extended attributes.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

/// What most lists of names fit into.
const USUAL: usize = 1 << 10;
/// The system allows no more for one value.
const MOST: usize = 64 << 10;

pub(crate) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads all that can be read, by name. File systems without any have none; those of one that may
/// not be read are left out, as every program without the right does.
pub(crate) fn read(fd: impl AsFd) -> io::Result<Attributes> {
    let fd = fd.as_fd();
    let mut names = vec![0; USUAL];
    let length = loop {
        match flistxattr(fd, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < MOST => names = vec![0; MOST],
            Err(Errno::NOTSUP | Errno::NOSYS | Errno::ACCESS | Errno::PERM) => return Ok(vec![]),
            Err(error) => return Err(error.into()),
        }
    };
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut found = Attributes::new();
    let names = names.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MOST];
        match fgetxattr(fd, name, value.as_mut_slice()) {
            Ok(length) => value.truncate(length),
            // Removed meanwhile, or not for everyone.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::ACCESS | Errno::PERM) => continue,
            Err(error) => return Err(error.into()),
        }
        value.shrink_to_fit();
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// Makes them what they should be; returns the names of those that cannot be set or removed here.
pub(crate) fn write(fd: impl AsFd, wanted: &Attributes) -> io::Result<Vec<String>> {
    let fd = fd.as_fd();
    let there = read(fd)?;
    let mut refused = Vec::new();
    for (name, value) in wanted {
        if there
            .binary_search_by(|(known, _)| known.cmp(name))
            .is_ok_and(|at| there.get(at).is_some_and(|(_, known)| known == value))
        {
            continue;
        }
        match fsetxattr(fd, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOTSUP | Errno::ACCESS | Errno::PERM | Errno::INVAL | Errno::NOSYS) => {
                refused.push(crate::entry::show(name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (name, _) in &there {
        if !wanted.iter().any(|(known, _)| known == name) {
            match fremovexattr(fd, name.as_slice()) {
                Ok(()) | Err(Errno::NODATA) => {}
                // What the system gave it itself, a security label, may have to stay.
                Err(_) if name.starts_with(b"security.") => {}
                Err(_) => refused.push(crate::entry::show(name)),
            }
        }
    }
    Ok(refused)
}
