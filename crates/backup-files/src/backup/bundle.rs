//! Which small files share a segment. Pure.
//!
//! Files follow each other in the order of their paths. Where a bundle ends follows from paths and
//! lengths alone: what changes in one leaves the others as they were, and two trees alike make the
//! same bundles.

use xxhash_rust::xxh3::xxh3_64;

use super::walk::Found;
use crate::entry::{FileData, Place};

/// Files below this share segments.
pub(crate) const SMALL: u64 = 256 << 10;
/// A bundle may end from here on …
const LEAST: u64 = 512 << 10;
/// … at a file that its hash chooses, on average after so many bytes more …
const MEAN: u64 = 512 << 10;
/// … and ends here at the latest, or after so many files.
const MOST: u64 = 2 << 20;
const MOST_FILES: usize = 8192;
/// Or when so many entries of any kind have passed, which wait for it.
const MOST_PASSED: usize = 1 << 14;

/// A file of a bundle.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) found: Found,
    /// What the snapshot before says of it, where it is the same file and was small.
    pub(crate) before: Option<FileData>,
    /// It is as it was then.
    pub(crate) unchanged: bool,
}

impl Member {
    pub(crate) fn size(&self) -> u64 {
        self.found.entry.file().map_or(0, |data| data.size)
    }
}

/// The bundle that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    pub(crate) members: Vec<Member>,
    bytes: u64,
    passed: usize,
}

impl Bundle {
    /// Returns whether it has to end before a file of this path and size.
    pub(crate) fn ends_before(&self, path: &[u8], size: u64) -> bool {
        if self.members.is_empty() {
            return false;
        }
        if self.bytes + size > MOST
            || self.members.len() >= MOST_FILES
            || self.passed >= MOST_PASSED
        {
            return true;
        }
        // A long file ends one more likely than a short one.
        let chance = u128::from(size.min(MEAN)) * u128::from(u64::MAX) / u128::from(MEAN);
        self.bytes >= LEAST && u128::from(xxh3_64(path)) < chance
    }

    pub(crate) fn push(&mut self, member: Member) {
        self.bytes += member.size();
        self.members.push(member);
    }

    /// Counts an entry that passes while it is open; returns whether it has to end.
    pub(crate) fn pass(&mut self) -> bool {
        if self.members.is_empty() {
            return false;
        }
        self.passed += 1;
        self.passed >= MOST_PASSED
    }

    /// Returns the address that the snapshot before gave to the first of its files that was in a
    /// bundle.
    pub(crate) fn former(&self) -> Option<u64> {
        self.members.iter().find_map(|member| match member.before.as_ref()?.place {
            Place::Bundle { address, .. } => Some(address),
            _ => None,
        })
    }

    /// Returns the bundle of the snapshot before that has just these files as they are: its
    /// address, and its length.
    pub(crate) fn unchanged(&self) -> Option<(u64, u64)> {
        let mut at = None;
        let mut end = 0;
        for member in &self.members {
            let before = member.before.as_ref().filter(|_| member.unchanged)?;
            match before.place {
                Place::Nowhere if before.size == 0 => {}
                Place::Bundle { address, offset }
                    if offset == end && at.is_none_or(|at| at == address) =>
                {
                    at = Some(address);
                    end += before.size;
                }
                _ => return None,
            }
        }
        Some((at.unwrap_or(0), end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Kind, Moment};

    fn member(path: &str, size: u64) -> Member {
        let kind = Kind::File(FileData { size, ..FileData::default() });
        let moment = Moment::default();
        let entry = Entry {
            path: path.into(),
            kind,
            mode: 0o644,
            owner: 0,
            group: 0,
            modified: moment,
            changed: moment,
            inode: 1,
            unsettled: false,
            attributes: Vec::new(),
        };
        Member { found: Found { entry, device: 0, names: 1 }, before: None, unchanged: false }
    }

    /// The first path of each bundle.
    fn bundles(files: impl Iterator<Item = (String, u64)>) -> Vec<String> {
        let (mut bundle, mut firsts) = (Bundle::default(), Vec::new());
        for (path, size) in files {
            if bundle.ends_before(path.as_bytes(), size) {
                bundle = Bundle::default();
            }
            if bundle.members.is_empty() {
                firsts.push(path.clone());
            }
            bundle.push(member(&path, size));
            assert!(bundle.bytes <= MOST && bundle.members.len() <= MOST_FILES);
        }
        firsts
    }

    #[test]
    fn a_file_more_moves_only_the_bundles_near_it() {
        let files = |extra: bool| {
            let size = |n: u64| n * 37 % 9000 + if n.is_multiple_of(50) { 100_000 } else { 0 };
            (0..6000_u64).flat_map(move |n| {
                let more = (extra && n == 900).then(|| ("f000900x".to_owned(), 50_000));
                [Some((format!("f{n:06}"), size(n))), more].into_iter().flatten()
            })
        };
        let (before, after) = (bundles(files(false)), bundles(files(true)));
        assert!((20..80).contains(&before.len()), "{} of 38 MB", before.len());
        let moved = after.iter().filter(|first| !before.contains(first)).count();
        assert!(moved <= 4, "{moved} of {}", after.len());
    }

    #[test]
    fn only_a_bundle_with_just_these_files_is_the_same() {
        let place = |address, offset| Place::Bundle { address, offset };
        let kept = |size, place| Member {
            before: Some(FileData { size, place, ..FileData::default() }),
            unchanged: true,
            ..member("a", size)
        };
        let of = |members: Vec<Member>| Bundle { members, ..Bundle::default() }.unchanged();
        let both = || vec![kept(5, place(7, 0)), kept(0, Place::Nowhere), kept(3, place(7, 5))];
        assert_eq!(of(both()), Some((7, 8)));
        let mut changed = both();
        changed[2].unchanged = false;
        assert_eq!(of(changed), None);
        assert_eq!(of(vec![kept(3, place(7, 5))]), None, "what came before is gone");
        assert_eq!(of(vec![kept(5, place(7, 0)), kept(3, place(8, 5))]), None);
        assert_eq!(of(vec![kept(0, Place::Nowhere)]), Some((0, 0)));
    }
}
