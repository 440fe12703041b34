//! Whether the keys of a bucket can be the paths of files.

use std::sync::Arc;

use backup_core::port::PartSource;
use backup_core::{Error, ErrorKind, Result, Snapshot, TreeEvidence};

use super::chosen::Chosen;
use super::place::RESTORE;
use crate::bucket::lasting;
use crate::entry::{Kind, show};
use crate::list::{LIST, ListReader, Order};
use crate::select::Wanted;

/// Keys that are named.
const NAMED: usize = 8;
/// No file system takes a longer name.
const LONGEST_NAME: usize = 255;

/// Returns whether a snapshot's list is one of keys.
pub(super) fn is_of_bucket(snapshot: &Snapshot) -> bool {
    snapshot.part(LIST).is_some_and(|part| Order::of(part) == Order::Keys)
}

/// Refuses keys that are no paths below a directory, or stand where others need a folder, by name;
/// passes for a tree.
pub(super) async fn check(parts: &Arc<dyn PartSource>, wanted: &Wanted) -> Result<()> {
    let mut chosen = Chosen::bare(parts, wanted.clone()).await?;
    if chosen.order() != Order::Keys {
        return Ok(());
    }
    let (mut count, mut named) = (0_u64, Vec::new());
    // Keys that the next ones may begin with.
    let mut before: Vec<Vec<u8>> = Vec::new();
    while let Some(entry) = chosen.next().await? {
        let Kind::File(data) = &entry.kind else { continue };
        let key = &entry.path;
        before.retain(|earlier| key.starts_with(earlier));
        let in_the_way = before.iter().any(|earlier| key.get(earlier.len()) == Some(&b'/'));
        let marks = key.ends_with(b"/") && data.size == 0;
        let path = if marks { key.get(..key.len() - 1).unwrap_or_default() } else { key };
        if in_the_way || !is_path(path) {
            count += 1;
            if named.len() < NAMED {
                named.push(show(key));
            }
        }
        if !marks {
            before.push(key.clone());
        }
    }
    if count == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, RESTORE)
        .with("keys", named.join(", "))
        .because(format!("{count} keys of the bucket cannot be files side by side"))
        .hint(
            "Restore into a bucket, which takes any key, or choose others with --path. Nothing was \
             written.",
        ))
}

/// Counts and sums up the list of a bucket anew; nothing for a tree's.
pub(super) async fn listed(parts: &Arc<dyn PartSource>) -> Result<Option<TreeEvidence>> {
    let mut list = ListReader::open(Arc::clone(parts)).await?;
    if list.order() != Order::Keys {
        return Ok(None);
    }
    let mut tree = TreeEvidence::default();
    while let Some(entry) = list.next().await? {
        tree.files += 1;
        tree.bytes += entry.file().map_or(0, |data| data.size);
        tree.fingerprint += lasting(&entry).fingerprint();
    }
    Ok(Some(tree))
}

fn is_path(path: &[u8]) -> bool {
    let sound = |name: &[u8]| {
        !matches!(name, b"" | b"." | b"..") && !name.contains(&0) && name.len() <= LONGEST_NAME
    };
    path.split(|byte| *byte == b'/').all(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_one_another_are_paths() {
        for sound in ["a", "a/b", "a..b", " ", "a\\..\\b"] {
            assert!(is_path(sound.as_bytes()), "{sound}");
        }
        for odd in ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\0"] {
            assert!(!is_path(odd.as_bytes()), "{odd}");
        }
        assert!(!is_path(&[b'a'; 256]));
    }
}
